"""An officer's end of the socket, for commands: connect, be let in, ask, one thing after another.

    with OfficerClient(data / "run" / "officers.sock") as client:
        client.present("officer-1", secret_from(Path("secret")))
        answer, blobs = client.ask({"op": "disclose", …})

A secret comes from a file or an environment variable, never from the command line, where every
account of the machine could read it.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sekisho_audit.errors import in_words
from sekisho_audit.officers import well_formed
from sekisho_audit.wire import Malformed, Message, Splitter, encode

SECRET_VARIABLE = "SEKISHO_OFFICER_SECRET"  # noqa: S105 - a name, not a secret
_CONNECT_S = 5.0
# Erasing rewrites files and waits for a disk; nothing an officer asks takes longer by design.
ANSWER_S = 600.0
_READ_BYTES = 262_144
_SECRET_BYTES_MAX = 1_024


class OfficerError(Exception):
    """It was refused, or nobody answers; `code` is stable, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def secret_from(file: Path | None, variable: str = SECRET_VARIABLE) -> str:
    """An officer's secret from a private file, or without one from the environment."""
    if file is None:
        said = os.environ.get(variable, "")
        if not said:
            raise OfficerError("no_secret", f"give --secret-file, or set {variable}")
    else:
        try:
            with file.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                said = opened.read(_SECRET_BYTES_MAX).decode("ascii", "replace")
        except OSError as error:
            raise OfficerError("no_secret", f"{file} cannot be read: {error.strerror}") from error
        if stat.S_ISREG(mode) and mode & 0o077:
            raise OfficerError("no_secret", f"{file} is open to others; run: chmod 600 {file}")
    secret = said.strip()
    if not well_formed(secret):
        raise OfficerError("no_secret", "this is no officer's secret: it is not whole, or mistyped")
    return secret


class OfficerClient:
    """One connection. Every method may raise OfficerError."""

    def __init__(self, path: Path, *, answer_s: float = ANSWER_S) -> None:
        self._splitter = Splitter()
        self._found: list[Message] = []
        self._req = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_CONNECT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise OfficerError(
                "no_auditd",
                f"nobody answers at {path} ({error.strerror}): auditd must run, and its account "
                "must be yours",
            ) from error
        self._socket.settimeout(answer_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def present(self, name: str, secret: str) -> Mapping[str, Any]:
        """Be let in; returns the ledger's `origin`, `vkey` and `size`."""
        answer, _ = self.ask({"op": "present", "name": name, "secret": secret})
        return answer

    def ask(self, message: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> Message:
        """The answer to one question, with its blobs."""
        self._req += 1
        try:
            self._socket.sendall(encode({**message, "req": self._req}, blobs))
            answer, found = self._next()
        except (OSError, Malformed) as error:
            said = in_words(error) if isinstance(error, OSError) else str(error)
            raise OfficerError("no_auditd", f"auditd did not answer: {said}") from error
        if "error" in answer:
            raise OfficerError(str(answer["error"]), str(answer.get("message", "")))
        return answer, found

    def _next(self) -> Message:
        while not self._found:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise OSError("it hung up")
            self._found += self._splitter.feed(data)
        return self._found.pop(0)

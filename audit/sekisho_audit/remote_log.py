"""A published log at a URL (C2SP tlog-tiles), read as one reads a stranger's.

    with RemoteLog(url, credential) as log:
        note = log.get("checkpoint", 65_536)

Whoever serves the log may be whom the auditor suspects: every answer is bounded in bytes and in
time, whole and trickling alike; no redirect is followed, since a credential goes along; nothing is
sent in clear but to this machine itself. `http.client` is used because it does none of these things
by itself: no proxies of the environment, no redirects, no cookies.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from sekisho_audit.errors import in_words

LOG_PATH = "/v1/audit/log"
# For one answer, from the connection to the last byte; a bundle of entries has at most 17 MB.
ANSWER_S = 60.0
BUSY_TRIES = 8
BUSY_WAIT_S = 1.0
CREDENTIAL_CHARS_MAX = 4_096
_PIECE_BYTES = 1 << 16
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class BadAddress(ValueError):
    """A URL or a credential that is not used; says why."""


class Unreachable(Exception):
    """The log did not answer, or not with what was asked for. It proves nothing."""


class NotThere(Unreachable):
    """The log says that it has no such file."""


class TooLong(Exception):
    """An answer that is longer than what was asked for can be."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a log is."""

    host: str
    port: int
    prefix: str
    tls: bool

    @classmethod
    def parse(cls, url: str, *, in_clear: bool = False) -> Address:
        """Read a URL: of the log itself, or of a gateway that has one. Raises BadAddress.

        Without `in_clear`, `http` is for this machine only.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError as error:
            raise BadAddress(f"this is not a URL: {error}") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise BadAddress("a log is at a URL like https://gateway.example")
        if parts.username is not None or parts.query or parts.fragment:
            raise BadAddress("the URL of a log has no name, no question mark and no #")
        if any(not "!" <= char <= "~" for char in url):
            raise BadAddress("the URL holds a blank or another character that no URL has")
        tls = parts.scheme == "https"
        if not tls and not in_clear and not _is_here(host):
            raise BadAddress(
                "http is read by everybody on the way: use https, or say --in-clear if you must"
            )
        default = 443 if tls else 80
        path = parts.path.rstrip("/")
        return cls(host, default if port is None else port, path or LOG_PATH, tls)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_credential(text: str) -> str:
    """A bearer credential as it goes into a header. Raises BadAddress."""
    found = text.strip()
    if not 0 < len(found) <= CREDENTIAL_CHARS_MAX or any(not "!" <= c <= "~" for c in found):
        raise BadAddress("the credential must be one word of printable ASCII")
    return found


class _Deadlined(io.RawIOBase):
    """The bytes that a socket receives, all of them before one moment."""

    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._wire.hurry()
        return self._wire.socket.recv_into(buffer)


class _Wire:
    """What `http.client` needs of a socket, with a time that is over for all of it at once: a
    timeout of a socket begins anew with each byte.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.until_s = 0.0

    def hurry(self) -> None:
        """Let the next step take what is left of the time. Raises TimeoutError."""
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self.socket.settimeout(left_s)

    def sendall(self, data: bytes) -> None:
        self.hurry()
        self.socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Deadlined(self))

    def close(self) -> None:
        """Nothing yet: `http.client` lets go of a last answer's socket before it is read."""


class RemoteLog:
    """One log, over one connection that is made again when it breaks."""

    def __init__(
        self, address: Address, credential: str | None, *, answer_s: float = ANSWER_S
    ) -> None:
        self._address = address
        self._headers = {"user-agent": "sekisho-audit", "accept-encoding": "identity"}
        if credential is not None:
            self._headers["authorization"] = f"Bearer {credential}"
        self._answer_s = answer_s
        self._connection: tuple[HTTPConnection, _Wire] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            connection, wire = self._connection
            connection.close()
            wire.socket.close()
        self._connection = None

    def get(self, path: str, bytes_max: int) -> bytes:
        """The file under this path. Raises Unreachable, NotThere, TooLong."""
        status, body = self._ask(path, bytes_max)
        for _ in range(BUSY_TRIES):
            if status not in _BUSY:
                break
            time.sleep(BUSY_WAIT_S)
            status, body = self._ask(path, bytes_max)
        if status != HTTPStatus.OK:
            raise _refusal(path, status)
        return body

    def _ask(self, path: str, bytes_max: int) -> tuple[int, bytes]:
        kept_alive = self._connection is not None
        try:
            try:
                return self._once(path, bytes_max)
            except (HTTPException, ConnectionError):
                if not kept_alive:
                    raise
            # The server may have hung up since the last answer.
            self.close()
            return self._once(path, bytes_max)
        except (HTTPException, OSError, ValueError) as error:
            self.close()
            said = in_words(error) if isinstance(error, OSError) else str(error)
            said = said or type(error).__name__
            raise Unreachable(f"{path} cannot be read: {said}") from error
        except TooLong:
            self.close()
            raise

    def _once(self, path: str, bytes_max: int) -> tuple[int, bytes]:
        until_s = time.monotonic() + self._answer_s
        connection, wire = self._connected()
        wire.until_s = until_s
        connection.request("GET", f"{self._address.prefix}/{path}", headers=self._headers)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            self.close()  # what a refusal says is of no use here
            return response.status, b""
        if response.length is None and not response.chunked:
            raise HTTPException("the answer does not say how long it is")
        body = bytearray()
        while piece := response.read(min(_PIECE_BYTES, bytes_max + 1 - len(body))):
            body += piece
            if len(body) > bytes_max:
                raise TooLong(f"the answer is longer than the {bytes_max} bytes that it can have")
        if response.length:
            raise HTTPException("the answer ended early")
        if response.will_close:
            self.close()
        return response.status, bytes(body)

    def _connected(self) -> tuple[HTTPConnection, _Wire]:
        if self._connection is None:
            address = self._address
            connection = (
                HTTPSConnection(
                    address.host,
                    address.port,
                    timeout=self._answer_s,
                    context=ssl.create_default_context(),
                )
                if address.tls
                else HTTPConnection(address.host, address.port, timeout=self._answer_s)
            )
            connection.connect()
            wire = _Wire(connection.sock)
            connection.sock = wire  # it is asked for no more than this
            self._connection = (connection, wire)
        return self._connection


def _refusal(path: str, status: int) -> Unreachable:
    if status in _REFUSED:
        return Unreachable(
            f"the log wants another credential (status {status}): a key with the scope `audit` of "
            "somebody with the role auditor"
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Unreachable(
            f"the log sends elsewhere (status {status}); redirects are not followed, "
            "name the place itself"
        )
    if status in _BUSY:
        return Unreachable(f"the log is busy (status {status}): try again in a minute")
    kind = NotThere if status == HTTPStatus.NOT_FOUND else Unreachable
    return kind(f"the log has no {path} (status {status})")

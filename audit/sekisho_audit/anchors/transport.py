"""One HTTP request to an anchor: bounded in time and size, without redirects and without cookies.

A server that sends a byte now and then is cut at the deadline, not after each byte's time-out. Runs
in the anchor's own thread and blocks nobody else.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sekisho_audit.anchors.port import AnchorFailed

# A cosignature of a post-quantum key is 3 kB, a time stamp with its certificates about 6 kB.
ANSWER_BYTES_MAX = 65_536
_AGENT = "sekisho-auditd"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    body: bytes

    def text(self) -> str:
        """The body as text. Raises AnchorFailed."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AnchorFailed("bad_answer", "the answer is not UTF-8") from error


class Site:
    """A server under one URL. `ca_file` is a PEM file of its own authorities, else the system's."""

    def __init__(self, url: str, timeout_s: float, ca_file: Path | None = None) -> None:
        """Raises ValueError for what is no such URL, OSError for a bad `ca_file`."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the URL of an anchor begins with http:// or https:// and has a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the URL of an anchor has no user, no query and no fragment")
        self.secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=ca_file) if self.secure else None

    @property
    def authentic(self) -> bool:
        """Whether an answer is surely this server's: TLS, or the way does not leave the machine."""
        return self.secure or self._host in {"localhost", "127.0.0.1", "::1"}

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "", accept: str = "*/*"
    ) -> Answer:
        """Send one request. Raises AnchorFailed (`unreachable`, `bad_answer`)."""
        headers = {"User-Agent": _AGENT, "Accept": accept, "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = kind
        connection, late = self._connection(), threading.Event()
        # Also when headers or chunks trickle in, each in time.
        deadline = threading.Timer(self._timeout_s, _cut, [connection, late])
        deadline.daemon = True
        deadline.start()
        try:
            answer = self._ask(connection, method, self._path + path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise AnchorFailed("unreachable", f"{self._host}: {why}") from error
        finally:
            deadline.cancel()
            connection.close()
        if late.is_set():
            raise AnchorFailed("unreachable", f"{self._host}: no whole answer in time")
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        connection.request(method, path or "/", body, headers)
        with connection.getresponse() as answer:
            found = answer.read(ANSWER_BYTES_MAX + 1)
            missing = answer.length
        if len(found) > ANSWER_BYTES_MAX:
            raise AnchorFailed("bad_answer", f"{self._host}: the answer is too long")
        if missing:
            raise AnchorFailed("bad_answer", f"{self._host}: the answer is not whole")
        kind = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        return Answer(answer.status, kind, found)


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)

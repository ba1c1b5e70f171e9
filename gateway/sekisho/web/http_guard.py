"""uvicorn's HTTP protocol with the limits it lacks, before any application code runs.

A request head that is too large or too slow, and bytes that are not HTTP, get an OpenAI-shaped
error and a closed connection. Memory held for a client that has not finished its head is bounded
by `head_bytes_max`, its time by `head_timeout_s`.

With TLS of our own, the identity in the client's certificate goes into each request's scope, under
`extensions.tls.client_identity`, as long as the certificate is valid.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sekisho.web.tls import identity_of, valid_until_s

_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_CODES = {
    400: "invalid_request",
    408: "request_timeout",
    431: "request_too_large",
    503: "overloaded",
}


class GuardedProtocol(HttpToolsProtocol):
    """Limits are class attributes: uvicorn constructs protocols by itself; see `guarded`."""

    head_bytes_max = 32_768
    head_timeout_s = 10.0
    connections_max = 8192

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        certificate = transport.get_extra_info("peercert")
        self._client_identity = identity_of(certificate)
        self._client_until_s = valid_until_s(certificate)
        if len(self.connections) > self.connections_max:
            self._turn_away(503, "This gateway has too many connections. Try again in a moment.")
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._arm()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.head_bytes_max:
            self._turn_away(431, f"The request head is larger than {self.head_bytes_max} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._arm()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._disarm()
        head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if head_bytes > self.head_bytes_max:
            self._turn_away(431, f"The request head is larger than {self.head_bytes_max} bytes.")
            return
        if self._client_identity and time.time() < self._client_until_s:
            tls: dict[object, object] = {"client_identity": self._client_identity}
            self.scope["extensions"] = {"tls": tls}
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        self._turn_away(400, "These bytes are not a valid HTTP request.")

    def _arm(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._turn_away(408, "The request head did not arrive in time.")
        elif self.cycle is None:
            self.transport.close()

    def _turn_away(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn's annotation forgets None
        if cycle is not None and not cycle.response_complete:
            # An answer is under way on this connection: nothing may be written into it.
            self.transport.close()
            return
        error: dict[str, Any] = {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": _CODES[status],
        }
        body = orjson.dumps({"error": error})
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\n"
            "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def guarded(
    head_bytes_max: int, head_timeout_s: float, connections_max: int
) -> type[GuardedProtocol]:
    """A protocol class with these limits, for uvicorn's `http` setting."""
    return type(
        "LimitedProtocol",
        (GuardedProtocol,),
        {
            "head_bytes_max": head_bytes_max,
            "head_timeout_s": head_timeout_s,
            "connections_max": connections_max,
        },
    )

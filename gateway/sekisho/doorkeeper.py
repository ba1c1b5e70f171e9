"""Answers for the gateway while no worker can: 503 at once, instead of a connection that hangs.

Runs in the supervisor, on the socket the workers share, only while none of them is ready. It reads
no more than a request's beginning, parses nothing and lets nothing through.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from sekisho.errors import Unavailable
from sekisho.web.problems import problem

READ_BYTES_MAX = 65_536
READ_S = 0.5  # a client that is still sending is answered all the same
HANDSHAKE_S = 5.0  # with TLS of our own: whoever says nothing is let go
LINGER_S = 0.5  # for the answer to arrive before the connection is reset under it


class Doorkeeper:
    """`open` while there is no worker, `close` when there is one; both may be called twice, also at
    once, as when two workers die together.
    """

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._listener = listener
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._turning = asyncio.Lock()  # a second server beside the first would never be closed

    async def open(self) -> None:
        """Start answering."""
        async with self._turning:
            if self._server is None:
                self._server = await asyncio.start_server(
                    self._answer,
                    sock=self._listener.dup(),
                    ssl=self._tls,
                    ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_S,
                )

    async def close(self) -> None:
        """Stop accepting; answers under way are finished by themselves."""
        async with self._turning:
            if self._server is not None:
                self._server.close()
                self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(READ_S):
                await reader.read(READ_BYTES_MAX)
        with suppress(OSError):
            writer.write(_refusal())
            if writer.can_write_eof():  # not with TLS, where closing says the same
                writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    while await reader.read(READ_BYTES_MAX):
                        pass
        writer.close()


def _refusal() -> bytes:
    error = Unavailable(
        "The gateway is starting or being replaced. Nothing was sent; try again in a moment.",
        code="gateway_starting",
    )
    _, headers, body = problem(error)
    lines = [b"HTTP/1.1 503 Service Unavailable", b"connection: close"]
    lines += [name + b": " + value for name, value in headers]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

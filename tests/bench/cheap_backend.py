"""A loopback backend that costs almost nothing: fixed answers over raw sockets.

    python cheap_backend.py PORT CHUNKS PAUSE_MS

A request whose body has `"stream":true` gets CHUNKS server-sent events PAUSE_MS apart, any other a
whole answer at once. The model `idle` gets one event and then silence; `GET /idle` tells how many
such streams are open.
"""

from __future__ import annotations

import asyncio
import sys

import httptools
import uvloop

WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"A short and ordinary answer to the question."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}'
)
CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
DONE = b"data: [DONE]\n\n"


class CheapBackend(asyncio.Protocol):
    """One connection. `idle` is shared by all: the connections with a silent stream."""

    def __init__(self, chunks: int, pause_s: float, idle: set[CheapBackend]) -> None:
        self._idle = idle
        self._chunks = chunks
        self._pause_s = pause_s
        self._body = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.discard(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if not body:
            self._whole(b"%d" % len(self._idle))
        elif b'"stream":true' in body:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            if b'"idle"' in body:
                self._idle.add(self)
                self._transport.write(b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK))
            else:
                self._next(self._chunks)
        else:
            self._whole(WHOLE)

    def _whole(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % len(body)
            + body
        )

    def _next(self, left: int) -> None:
        if self._transport.is_closing():
            return
        piece = CHUNK if left else DONE
        self._transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if left:
            asyncio.get_running_loop().call_later(self._pause_s, self._next, left - 1)
        else:
            self._transport.write(b"0\r\n\r\n")


async def main(port: int, chunks: int, pause_s: float) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    idle: set[CheapBackend] = set()
    server = await loop.create_server(
        lambda: CheapBackend(chunks, pause_s, idle), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))

"""One answer on its way to one client: begun at most once, in pieces, given up if nobody reads.

A large body is written piece by piece, so that a client that does not read keeps the writer waiting
instead of filling memory. Meanwhile the client is watched: when it hangs up, the handler's task is
cancelled with the cause `client_gone`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from sekisho.releasing.outcome import CLIENT_GONE, SHUTDOWN
from sekisho.releasing.relay import Stream
from sekisho.web.problems import Headers
from sekisho.web.waiting import Reply

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

PIECE_BYTES = 65_536  # what the server buffers for a connection before it makes writers wait


class Answering:
    """`started` and `gone` tell what may still be said. Used by one handler's task."""

    def __init__(self, send: Send, receive: Receive) -> None:
        self._send = send
        self.receive = receive
        self.started = False
        self.gone = False
        self.stalled_since_s = float("inf")
        self._clock = asyncio.get_running_loop().time
        self._handler = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A complete answer."""
        length = (b"content-length", str(len(body)).encode())
        await self._say(
            {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        )
        for start in range(0, len(body), PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            more = start + PIECE_BYTES < len(body)
            await self._say({"type": "http.response.body", "body": piece, "more_body": more})
        if not body:
            await self._say({"type": "http.response.body", "body": b""})

    async def reply(self, reply: Reply) -> None:
        """A complete answer about a hold."""
        await self.whole(reply.status, reply.headers, reply.body)

    async def stream(self, stream: Stream) -> None:
        """Relay `stream` to its end; wherever it ends, it is closed and its outcome given."""
        headers = [*as_headers(stream.headers), (b"cache-control", b"no-cache")]
        start = {"type": "http.response.start", "status": stream.status, "headers": headers}
        try:
            await self._say(start)
            async for piece in stream.pieces:
                await self._say({"type": "http.response.body", "body": piece, "more_body": True})
        except asyncio.CancelledError:
            stream.cause = CLIENT_GONE if self.gone else SHUTDOWN
            raise
        finally:
            await stream.close()
        await self._say({"type": "http.response.body", "body": b"", "more_body": False})

    def watch(self) -> None:
        """From now on a hang-up cancels the handler; its request must have been read whole."""
        self._watcher = asyncio.create_task(self._watch())

    def stop_watching(self) -> None:
        """The handler is done: what happens to the connection is not its business any more."""
        if self._watcher is not None:
            self._watcher.cancel()

    def cut(self) -> None:
        """Give up on a client that is there but does not read."""
        self.gone = True
        if self._handler is not None:
            self._handler.cancel(CLIENT_GONE)

    async def _watch(self) -> None:
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.cut()
                return

    async def _say(self, message: Message) -> None:
        self.started = True
        self.stalled_since_s = self._clock()
        await self._send(message)
        self.stalled_since_s = float("inf")


def as_headers(headers: Mapping[str, str]) -> Headers:
    """Header names and values as ASGI wants them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

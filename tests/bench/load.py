"""A load generator that costs little: raw HTTP over asyncio streams, bounded in count.

    python load.py PORT SHAPE CALLERS REQUESTS KEYS_FILE

SHAPE is plain or stream. Every request has its own prompt; keys are taken in turn. Prints one JSON
object: wall seconds, latencies in ms, chunks, failures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import httptools
import uvloop

PROMPT = (
    "Please read the following paragraph and tell me in two sentences what it is about, number "
    "{number}. The quick brown fox jumps over the lazy dog near the old railway bridge. "
) * 4


class Caller(asyncio.Protocol):
    """One kept-alive connection; `ask` sends a request and waits for its whole answer."""

    def __init__(self) -> None:
        self.lost = False
        self.done: asyncio.Future[int] | None = None
        self.chunks = 0
        self._new()

    def _new(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.done is not None and not self.done.done():
            self.done.set_result(0)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.chunks += body.count(b"\n\n")

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._new()
        if self.done is not None and not self.done.done():
            self.done.set_result(status)

    async def ask(self, request: bytes) -> int:
        self.done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self.done


def request(key: str, number: int, stream: bool) -> bytes:
    """The bytes of one request, with its own prompt."""
    body = json.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": PROMPT.format(number=number)}],
            "stream": stream,
        },
        separators=(",", ":"),
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def main(port: int, shape: str, callers: int, requests: int, keys: list[str]) -> None:
    """Run and print."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(requests))
    latencies_ms: list[float] = []
    failures = 0
    chunks = 0

    async def one() -> None:
        nonlocal failures, chunks
        _, caller = await loop.create_connection(Caller, "127.0.0.1", port)
        for number in numbers:
            began = time.perf_counter()
            status = await caller.ask(request(keys[number % len(keys)], number, shape == "stream"))
            latencies_ms.append((time.perf_counter() - began) * 1000)
            if status != 200:
                failures += 1
            if caller.lost:
                chunks += caller.chunks
                _, caller = await loop.create_connection(Caller, "127.0.0.1", port)
        chunks += caller.chunks

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(callers)))
    wall_s = time.perf_counter() - began
    latencies_ms.sort()
    print(
        json.dumps(
            {
                "wall_s": wall_s,
                "p50_ms": latencies_ms[len(latencies_ms) // 2],
                "p99_ms": latencies_ms[int(len(latencies_ms) * 0.99)],
                "requests": requests,
                "failures": failures,
                "chunks": chunks,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(
        main(
            int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]),
            Path(sys.argv[5]).read_text().split(),
        )
    )  # fmt: skip

"""auditd's socket as tests speak to it: a server in this process, and raw messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sekisho_audit.ledger import Ledger
from sekisho_audit.server import Server
from sekisho_audit.wire import Splitter, encode
from sekisho_audit.writer import Writer, WriterLimits

LIMIT_S = 20.0
Answer = tuple[dict[str, Any], list[bytes]]


@contextlib.asynccontextmanager
async def serving(ledger: Ledger, socket: Path, **limits: int) -> AsyncIterator[str]:
    """A server in this process, so that its bounds can be lowered."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[str | None] = loop.create_future()
    server = Server(ledger, session_grace_s=0.1)
    writer = Writer(
        ledger,
        WriterLimits(disk_free_min_bytes=0, **limits),
        round_over=server.round_over,
        ended=lambda why: loop.call_soon_threadsafe(over.set_result, why),  # type: ignore[arg-type]
    )
    server.start(writer)
    writer.start()
    listening = await loop.create_unix_server(server.connect, str(socket))
    yield str(socket)
    writer.stop()
    assert await asyncio.wait_for(over, LIMIT_S) is None
    listening.close()
    server.close()
    await asyncio.wait_for(server.empty.wait(), LIMIT_S)


async def ask(socket: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask on a connection of its own; answers in the order of the questions."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"".join(encode({**item, "req": place}) for place, item in enumerate(messages)))
    splitter = Splitter()
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(LIMIT_S):
        while len(found) < len(messages):
            data = await reader.read(65_536)
            if not data:
                break
            found += [message for message, _ in splitter.feed(data)]
    writer.close()
    return sorted(found, key=lambda message: message["req"])


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._splitter = Splitter()
        self._found: list[Answer] = []

    async def ask(self, message: dict[str, Any], blobs: list[bytes] | None = None) -> Answer | None:
        """The next answer, or None when the other end hung up."""
        self._writer.write(encode({"req": 1, **message}, blobs or ()))
        async with asyncio.timeout(LIMIT_S):
            while not self._found:
                data = b""
                with contextlib.suppress(ConnectionError):
                    data = await self._reader.read(65_536)
                if not data:
                    return None
                self._found += self._splitter.feed(data)
        return self._found.pop(0)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

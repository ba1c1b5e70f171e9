"""A relay before auditd's socket that loses what it is told to lose."""

from __future__ import annotations

import asyncio


class Relay:
    """Stands between worker and auditd, and loses what it is told to lose."""

    def __init__(self, target: str, path: str) -> None:
        self._target = target
        self.path = path
        self.drop_requests = False
        self.drop_replies = False
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, target = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        self._writers += [writer, target]
        for pump in (self._up(reader, target), self._back(upstream, writer)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)

    async def _up(self, reader: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.requests += 1
            if not self.drop_requests:
                target.write(data)
        target.close()

    async def _back(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await upstream.read(65_536):
            if not self.drop_replies:
                writer.write(data)
        writer.close()

    def cut(self) -> None:
        """Break every connection now."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

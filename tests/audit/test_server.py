"""The socket's own bounds: connections, unfinished messages, sessions."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho_audit import server as module
from sekisho_audit.wire import Splitter, encode
from support.ledgers import HeldExchange, open_ledger
from support.sockets import LIMIT_S, ask, serving


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[str]:
    """A served ledger with a few holds."""
    ledger = open_ledger(tmp_path)
    for _ in range(4):
        ledger.append_batch(HeldExchange(body=b"x" * 1_000).filing())
    async with serving(ledger, tmp_path / "s.sock") as socket:
        yield socket


async def test_connections_are_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is turned away; when one leaves there is room again."""
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 2)
    held = [await asyncio.open_unix_connection(path) for _ in range(2)]
    reader, writer = await asyncio.open_unix_connection(path)
    async with asyncio.timeout(LIMIT_S):
        assert await reader.read() == b""
    writer.close()
    for _, other in held:
        other.close()
        await other.wait_closed()
    await asyncio.sleep(0.05)
    [answer] = await ask(path, {"op": "status"})
    assert answer["status"]["poisoned"] is None


async def test_unfinished_messages_are_bounded_together(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many connections that never finish cannot fill the memory; what they held is given back."""
    monkeypatch.setattr(module, "BUFFERED_BYTES_MAX", 3_000)
    opened = []
    for _ in range(3):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(struct.pack(">II", 1_000_000, 2) + bytes(1_400))
        opened.append((reader, writer))
        await asyncio.sleep(0.05)
    async with asyncio.timeout(LIMIT_S):
        [(message, _)] = Splitter().feed(await opened[-1][0].read())
    assert message["error"] == "malformed"
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert len(await ask(path, {"op": "status"})) == 1


async def test_two_connections_of_one_session_keep_it(path: str) -> None:
    """A session ends with its last connection, not with its first."""
    first, second = [await asyncio.open_unix_connection(path) for _ in range(2)]
    for _, writer in (first, second):
        writer.write(encode({"op": "hello", "req": 1, "session": "s-1", "pid": 7}))
    for reader, _ in (first, second):
        async with asyncio.timeout(LIMIT_S):
            await reader.read(65_536)
    first[1].close()
    await asyncio.sleep(0.3)
    [answer] = await ask(path, {"op": "status"})
    assert answer["status"]["sessions"] == 1
    second[1].close()
    await asyncio.sleep(0.3)
    [answer] = await ask(path, {"op": "status"})
    assert answer["status"]["sessions"] == 0

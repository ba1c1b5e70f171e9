"""The socket's own bounds: connections, unfinished messages, sessions."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import server as module
from sekisho_audit.wire import Splitter, encode, pack_events
from support.ledgers import HeldExchange, open_ledger, received
from support.sockets import LIMIT_S, Client, ask, serving

if TYPE_CHECKING:
    from sekisho_audit.connection import Connection


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


async def test_a_flood_of_calls_holds_up_no_append(tmp_path: Path) -> None:
    """Too many of one connection are refused in words; others append, and it may ask again."""
    limits = {"calls_each_max": 40, "calls_round_max": 8}
    async with serving(open_ledger(tmp_path), tmp_path / "s.sock", **limits) as path:
        for _ in range(3):
            events, blobs = pack_events([received(uuid7())])
            other = Client(*await asyncio.open_unix_connection(path))
            flood = asyncio.create_task(ask(path, *[{"op": "status"}] * 200))
            appended = await other.ask({"op": "append", "events": events}, blobs)
            assert appended is not None
            assert "error" not in appended[0]
            answers = await flood
            refused = [answer for answer in answers if "error" in answer]
            assert len(refused) == 160
            assert {answer["error"] for answer in refused} == {"busy"}
            assert "40 calls of this connection wait" in refused[0]["message"]
            await other.close()


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


class _Client:
    """Stands where a connection would: what it was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, frames: bytes) -> None:
        """Keep them."""
        self.sent.append(frames)


async def test_a_round_is_over_when_its_answers_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer begins the next round after that, so that the answered ask while it is built."""
    monkeypatch.setattr(module, "_SENT_S", LIMIT_S)
    server, client = module.Server(open_ledger(tmp_path), session_grace_s=1), _Client()

    def rounds() -> list[int]:
        seen = []
        for number in range(20):
            server.answer(cast("Connection", client), {"req": number})
            server.round_over()
            seen.append(len(client.sent))
        return seen

    assert await asyncio.to_thread(rounds) == list(range(1, 21))


async def test_a_busy_loop_holds_up_no_writer(tmp_path: Path) -> None:
    """What the loop cannot send soon it sends later, in order and once."""
    server, client = module.Server(open_ledger(tmp_path), session_grace_s=1), _Client()
    answers = [encode({"req": number}) for number in range(3)]

    def rounds() -> None:
        for number in range(3):
            server.answer(cast("Connection", client), {"req": number})
            server.round_over()

    writer = threading.Thread(target=rounds)
    writer.start()
    writer.join()  # the loop does nothing else meanwhile
    assert client.sent == []
    await asyncio.sleep(0)
    assert client.sent == answers

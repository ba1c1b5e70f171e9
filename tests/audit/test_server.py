"""The socket's own bounds: connections, unfinished messages, pages of holds."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import connection
from sekisho_audit import server as module
from sekisho_audit.ledger import Ledger
from sekisho_audit.server import Server
from sekisho_audit.wire import BLOBS_MAX, Splitter, encode
from sekisho_audit.writer import Writer, WriterLimits
from support.ledgers import HeldExchange, open_ledger

LIMIT_S = 10.0


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[str]:
    """A server in this process, so that its bounds can be lowered."""
    loop = asyncio.get_running_loop()
    ledger = open_ledger(tmp_path)
    for _ in range(4):
        ledger.append_batch(HeldExchange(body=b"x" * 1_000).filing())
    over: asyncio.Future[str | None] = loop.create_future()
    server = Server(ledger, session_grace_s=0.1)
    writer = Writer(
        ledger,
        WriterLimits(disk_free_min_bytes=0),
        round_over=server.round_over,
        ended=lambda why: loop.call_soon_threadsafe(over.set_result, why),  # type: ignore[arg-type]
    )
    server.start(writer)
    writer.start()
    socket = str(tmp_path / "s.sock")
    listening = await loop.create_unix_server(server.connect, socket)
    yield socket
    writer.stop()
    assert await asyncio.wait_for(over, LIMIT_S) is None
    listening.close()
    server.close()
    await asyncio.wait_for(server.empty.wait(), LIMIT_S)


async def ask(socket: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask on a connection of its own; answers in the order of the questions."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"".join(encode({**item, "req": place}) for place, item in enumerate(messages)))
    splitter, found = Splitter(), []
    async with asyncio.timeout(LIMIT_S):
        while len(found) < len(messages):
            data = await reader.read(65_536)
            if not data:
                break
            found += [message for message, _ in splitter.feed(data)]
    writer.close()
    return sorted(found, key=lambda message: message["req"])


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


async def test_pages_of_holds_are_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends before it gets too large and says that there is more; no hold is left out."""
    monkeypatch.setattr(connection, "HOLDS_PAGE_BYTES", 2_500)
    after, seen, pages = "", [], 0
    while True:
        [answer] = await ask(path, {"op": "open_holds", "after": after})
        pages += 1
        seen += [item["hold"] for item in answer["holds"]]
        if not answer["more"]:
            break
        after = seen[-1]
    assert (pages, len(seen), len(set(seen))) == (2, 4, 4)


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


async def test_hello_comes_once(path: str) -> None:
    """A connection cannot change whose it is."""
    hello = {"op": "hello", "session": "s-1", "pid": 7}
    answers = await ask(path, {"op": "status"}, hello, {**hello, "session": "s-2"})
    assert any(answer.get("error") == "malformed" for answer in answers)


async def test_refused_keys_are_an_answer(path: str) -> None:
    """A wrong question about keys is refused on its own, the connection goes on."""
    answers = await ask(
        path,
        {"op": "exchange_keys", "principal": "p", "exchange": "not-a-uuid"},
        {"op": "status"},
    )
    assert answers[0]["error"] == "bad_request"
    assert "status" in answers[1]


def test_a_page_has_no_more_holds_than_a_message_has_blobs(tmp_path: Path) -> None:
    """The reader refuses a longer message, so that a restart with many holds would never end."""
    ledger: Ledger = open_ledger(tmp_path)
    count = 2 * BLOBS_MAX + 1
    for _ in range(count):
        ledger.append_batch(HeldExchange().filing())
    sizes, after, more = [], "", True
    while more:
        page, more = connection._page(ledger, after)
        sizes.append(len(page))
        after = page[-1].hold
    assert sizes == [BLOBS_MAX, BLOBS_MAX, 1]
    ledger.close()


def test_page_always_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold larger than a page still comes, alone."""
    monkeypatch.setattr(connection, "HOLDS_PAGE_BYTES", 10)
    ledger: Ledger = open_ledger(tmp_path)
    for _ in range(2):
        ledger.append_batch(HeldExchange().filing())
    page, more = connection._page(ledger, "")
    assert (len(page), more) == (1, True)
    ledger.close()


async def test_sums_are_asked_for_in_one_message(path: str) -> None:
    """Known names and unknown ones, with the number of events that are in the sums."""
    asked = [["principal", "nobody", "d2026-11-24"], ["backend", "local", "M2026-11"]]
    answers = await ask(path, {"op": "used", "asked": asked}, {"op": "status"})
    assert answers[0]["sums"] == [[0, 0, 0], [0, 0, 0]]
    assert answers[0]["size"] == answers[1]["status"]["size"]


@pytest.mark.parametrize(
    "asked",
    [
        [["person", "p", "d2026-11-24"]],
        [["principal", "p", "yesterday"]],
        [["principal", "p", "d2026-11-24"]] * 513,
    ],
)
async def test_refused_sums_are_an_answer(path: str, asked: list[Any]) -> None:
    """A question that has no answer is refused on its own, the connection goes on."""
    answers = await ask(path, {"op": "used", "asked": asked}, {"op": "status"})
    assert answers[0]["error"] == "bad_request"
    assert "status" in answers[1]


@pytest.mark.parametrize("asked", [None, "x", {}, [["principal", "p"]], [["principal", "p", 7]]])
async def test_malformed_sums_end_the_connection(path: str, asked: Any) -> None:
    """What is not a list of questions is no message of ours."""
    answers = await ask(path, {"op": "used", "asked": asked})
    assert answers[0]["error"] == "malformed"


@pytest.mark.parametrize(
    "message",
    [
        {"op": "exchanges", "principal": "p"},
        {"op": "exchanges", "principal": "p", "limit": True},
        {"op": "exchanges", "principal": 7, "limit": 1},
        {"op": "exchanges", "principal": "p", "limit": 1, "before": 7},
        {"op": "exchange", "principal": "p"},
        {"op": "exchange", "principal": None, "exchange": "x"},
    ],
)
async def test_malformed_questions_about_history(path: str, message: dict[str, Any]) -> None:
    """Nothing of another type than it must be gets as far as the index."""
    answers = await ask(path, message)
    assert answers[0]["error"] == "malformed"


@pytest.mark.parametrize(
    ("before", "limit"), [("", 0), ("", 101), ("", -1), ("-1", 5), ("1e3", 5), ("9" * 17, 5)]
)
async def test_strange_pages_are_refused(path: str, before: str, limit: int) -> None:
    """A cursor is a number we gave, a page has a hundred at most."""
    message = {"op": "exchanges", "principal": "p", "before": before, "limit": limit}
    answers = await ask(path, message, {"op": "status"})
    assert answers[0]["error"] == "bad_request"
    assert "status" in answers[1]


async def test_without_an_index_there_is_no_history(path: str) -> None:
    """Said at once; everything else works."""
    answers = await ask(
        path, {"op": "exchange", "principal": "p", "exchange": "x"}, {"op": "status"}
    )
    assert answers[0]["error"] == "busy"
    assert "status" in answers[1]

"""Sessions, appends, keys, holds and sums as a worker asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import worker_operations
from sekisho_audit.checkpoint import VerifierKey, open_note
from sekisho_audit.ledger import Ledger
from sekisho_audit.wire import BLOBS_MAX, pack_events
from support.ledgers import Auditd, HeldExchange, decision, intent, open_ledger, received
from support.sockets import Client, ask, serving


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[str]:
    """A served ledger with a few holds."""
    ledger = open_ledger(tmp_path)
    for _ in range(4):
        ledger.append_batch(HeldExchange(body=b"x" * 1_000).filing())
    async with serving(ledger, tmp_path / "s.sock") as socket:
        yield socket


async def test_pages_of_holds_are_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends before it gets too large and says that there is more; no hold is left out."""
    monkeypatch.setattr(worker_operations, "HOLDS_PAGE_BYTES", 2_500)
    after, seen, pages = "", [], 0
    while True:
        [answer] = await ask(path, {"op": "open_holds", "after": after})
        pages += 1
        seen += [item["hold"] for item in answer["holds"]]
        if not answer["more"]:
            break
        after = seen[-1]
    assert (pages, len(seen), len(set(seen))) == (2, 4, 4)


async def test_hello_comes_once(path: str) -> None:
    """A connection cannot change whose it is."""
    hello = {"op": "hello", "session": "s-1", "pid": 7}
    answers = await ask(path, {"op": "status"}, hello, {**hello, "session": "s-2"})
    assert any(answer.get("error") == "malformed" for answer in answers)


async def test_a_checkpoint_is_told_without_reading_the_published_one(
    path: str, tmp_path: Path
) -> None:
    """Each reading cost the appends of all others, and a file that was gone ended the writer."""
    [first] = await ask(path, {"op": "checkpoint"})
    [published] = tmp_path.rglob("checkpoint")
    assert first["note"].encode() == published.read_bytes()
    published.unlink()
    [again] = await ask(path, {"op": "checkpoint"})
    assert again["note"] == first["note"]


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
        page, more = worker_operations._page(ledger, after)
        sizes.append(len(page))
        after = page[-1].hold
    assert sizes == [BLOBS_MAX, BLOBS_MAX, 1]
    ledger.close()


def test_page_always_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold larger than a page still comes, alone."""
    monkeypatch.setattr(worker_operations, "HOLDS_PAGE_BYTES", 10)
    ledger: Ledger = open_ledger(tmp_path)
    for _ in range(2):
        ledger.append_batch(HeldExchange().filing())
    page, more = worker_operations._page(ledger, "")
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


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def connect(auditd: Auditd) -> AsyncIterator[Connect]:
    """Opens connections that are closed in the end."""
    opened: list[Client] = []

    async def made() -> Client:
        opened.append(Client(*await asyncio.open_unix_connection(auditd.socket)))
        return opened[-1]

    yield made
    for client in opened:
        await client.close()


async def test_an_intent_is_answered_with_a_note_that_covers_it(
    auditd: Auditd, connect: Connect
) -> None:
    """And only an intent: a signature costs as much as the rest of an append."""
    key = VerifierKey.parse((auditd.ledger / "vkey").read_text().strip())
    client = await connect()
    session, exchange = uuid7(), uuid7()
    assert await client.ask({"op": "hello", "session": session, "pid": 1})
    packed, blobs = pack_events([received(exchange), decision(exchange)])
    plain = await client.ask({"op": "append", "events": packed}, blobs)
    packed, blobs = pack_events([intent(exchange, session)])
    sent = await client.ask({"op": "append", "events": packed}, blobs)
    assert plain is not None
    assert sent is not None
    assert "note" not in plain[0]
    [place] = sent[0]["places"]
    assert open_note(sent[0]["note"].encode(), key).size > place[0]

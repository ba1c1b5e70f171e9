"""The ledger's ports over the socket of a real auditd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model import evidence
from sekisho.model.ids import uuid7
from sekisho.ports import ExchangePage
from sekisho_audit.canon import decode
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.wire import BLOBS_MAX
from support.ledgers import (
    CANARY,
    ORIGIN,
    REVIEWER,
    STAFF,
    Auditd,
    HeldExchange,
    decision,
    intent,
    outcome,
    received,
)
from support.relay import Relay

LIMIT_S = 20.0


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    running = Auditd(tmp_path)
    await running.start()
    yield running
    await running.end()


@pytest.fixture
async def client(auditd: Auditd) -> AsyncIterator[AuditdLedger]:
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    yield ledger
    await ledger.close()


def types_of(ledger: Path) -> list[str]:
    return [
        decode(frame.body)["type"]
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


@pytest.fixture
async def relay(auditd: Auditd, tmp_path: Path) -> AsyncIterator[Relay]:
    made = Relay(auditd.socket, str(tmp_path / "r.sock"))
    await made.start()
    yield made
    await made.stop()


async def through(relay: Relay, **limits: float) -> AuditdLedger:
    ledger = AuditdLedger(relay.path, limits=LedgerLimits(**limits))  # type: ignore[arg-type]
    await ledger.start()
    return ledger


async def test_places_and_origin(client: AuditdLedger) -> None:
    """Indices are dense and the origin is auditd's."""
    exchange = uuid7()
    places = await client.append([received(exchange), decision(exchange)])
    assert [place.index for place in places] == [2, 3]
    assert (client.origin, client.connected) == (ORIGIN, True)


async def test_repeated_append_is_marked(client: AuditdLedger) -> None:
    """A second call with the same event is told that it is a duplicate."""
    event = received(uuid7())
    [first] = await client.append([event])
    [second] = await client.append([event])
    assert (first.duplicate, second.duplicate) == (False, True)
    assert (first.index, first.leaf, first.commits) == (second.index, second.leaf, second.commits)


async def test_keys_of_an_exchange_stay_the_same(auditd: Auditd, client: AuditdLedger) -> None:
    """Also for another worker, and after auditd started again."""
    exchange = uuid7()
    keys = await client.exchange_keys(STAFF, exchange)
    assert await client.exchange_keys(STAFF, exchange) is keys
    assert await client.exchange_keys(STAFF, uuid7()) != keys
    await auditd.end(kill=True)
    await auditd.start()
    other = AuditdLedger(auditd.socket)
    await other.start()
    assert await other.exchange_keys(STAFF, exchange) == keys
    await other.close()


async def test_keys_that_each_exchange_needs_come_with_its_intent(
    auditd: Auditd, client: AuditdLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No question more for each; they are those that are told to who asks. Who does not want them
    is not told, and a batch without an intent, or one that is refused, tells none.
    """
    session = "s-ahead"
    ahead = AuditdLedger(auditd.socket, session=session, keys_ahead=True)
    await ahead.start()
    asked: list[str] = []
    ask = ahead._ask

    async def noted(question: dict[str, Any], *more: Any) -> Any:
        asked.append(question["op"])
        return await ask(question, *more)

    monkeypatch.setattr(ahead, "_ask", noted)
    exchange, refused = uuid7(), uuid7()
    sent = intent(exchange, session)
    await ahead.append([received(exchange), decision(exchange), sent])
    with pytest.raises(LedgerRefused):
        await ahead.append([intent(refused, session)])
    keys = await ahead.exchange_keys(STAFF, exchange)
    assert asked == ["append", "append"]
    await ahead.append([outcome(sent)])
    assert keys == await client.exchange_keys(STAFF, exchange)
    await ahead.exchange_keys(STAFF, refused)
    assert asked == ["append", "append", "append", "exchange_keys"]
    await ahead.close()


async def test_open_holds_come_over_several_pages(client: AuditdLedger) -> None:
    """Holds with large bodies arrive whole, with reviewer and reason."""
    made = [HeldExchange(body=bytes([number]) * 6_000_000) for number in range(4)]
    for held in made:
        await client.append(held.filing())
    review = made[0].review()
    await client.append([review, made[0].settled([review])])
    found = {item.hold: item for item in await client.open_holds()}
    assert found.keys() == {held.hold for held in made}
    for held in made:
        assert found[held.hold].record == b"record:" + held.body
    reviewed = found[made[0].hold]
    assert reviewed.settled is not None
    assert reviewed.settled["state"] == "approved"
    assert (reviewed.reviews[0]["reviewer"], reviewed.reviews[0]["reason"]) == (
        REVIEWER,
        "reason: " + CANARY.decode(),
    )


async def test_many_small_holds_arrive_all(client: AuditdLedger) -> None:
    """More than one message can carry: without paging by number the store would stay closed."""
    made = [HeldExchange() for _ in range(BLOBS_MAX + 10)]
    for held in made:
        await client.append(held.filing())

    assert {held.hold for held in made} == {item.hold for item in await client.open_holds()}


async def test_status_and_checkpoint(client: AuditdLedger) -> None:
    """Operators see size and health, and get a fresh signature."""
    status = await client.status()
    assert (status["size"], status["poisoned"], status["sessions"]) == (2, None, 1)
    assert (await client.checkpoint()).startswith(f"{ORIGIN}\n2\n")


async def test_event_too_large_for_a_message_is_the_callers_fault(client: AuditdLedger) -> None:
    """What cannot be sent fails in the caller and leaves the connection alone."""
    with pytest.raises(LedgerUnavailable):
        await client.append([received(uuid7(), bytes(50 * 1024 * 1024))])
    assert await client.append([received(uuid7())])


async def test_outcome_of_another_worker_is_taken(auditd: Auditd, client: AuditdLedger) -> None:
    """The worker that resumes a held exchange may record the outcome of another's intent."""
    other = AuditdLedger(auditd.socket)
    await other.start()
    exchange = uuid7()
    sent = intent(exchange, client.session)
    await client.append([received(exchange), decision(exchange), sent])
    await other.append([outcome(sent)])
    await other.close()
    assert types_of(auditd.ledger).count("backend.outcome") == 1


ASIDE = {"tokens": 500, "spend_micros": 90, "prices": "sha256:1", "groups": ["employees"]}


async def charged_exchange(ledger: AuditdLedger, tokens: int = 40) -> str:
    """A whole exchange that cost so much; returns its id."""
    exchange = uuid7()
    sent = intent(exchange, ledger.session, charged=ASIDE)
    await ledger.append([received(exchange), decision(exchange), sent])
    done = outcome(sent)
    used = {"tokens": tokens, "spend_micros": 7}
    await ledger.append([replace(done, data={**done.data, "charged": used})])
    return exchange


def windows() -> tuple[str, str]:
    """Today and this month, in UTC."""
    now = datetime.now(UTC)
    return f"d{now:%Y-%m-%d}", f"M{now:%Y-%m}"


async def known(ledger: AuditdLedger, principal: str = STAFF, count: int = 1) -> ExchangePage:
    """The first page once it is complete and has so many."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            with suppress(LedgerUnavailable):
                page = await ledger.exchanges(principal, "", 100)
                if page.indexed == page.size and len(page.data) >= count:
                    return page
            await asyncio.sleep(0.02)


async def test_sums_are_told_in_the_order_asked(auditd: Auditd, client: AuditdLedger) -> None:
    """By principal id and by name, over the events that the answer counts; also after a restart."""
    for _ in range(3):
        await charged_exchange(client)
    day, month = windows()
    asked = [
        ("principal", STAFF, day),
        ("group", "employees", month),
        ("backend", "local", month),
        ("model", "none", day),
        ("principal", "nobody", month),
    ]
    used = await client.used(asked)
    assert list(used.sums) == [(3, 120, 21)] * 3 + [(0, 0, 0)] * 2
    assert used.size == (await client.status())["size"]
    await auditd.end()
    await auditd.start()
    async with asyncio.timeout(LIMIT_S):
        while not client.connected:
            await asyncio.sleep(0.02)
    again = await client.used(asked)
    assert list(again.sums) == list(used.sums)
    assert again.size > used.size


async def test_question_about_sums_that_has_no_answer_is_refused(client: AuditdLedger) -> None:
    """It is our mistake and no reason to think that auditd is away."""
    with pytest.raises(LedgerRefused):
        await client.used([("person", "p", windows()[0])])
    assert (await client.used([])).sums == []


async def test_own_exchanges_are_told_in_pages(client: AuditdLedger) -> None:
    """Newest first, with how far the index is complete; nobody else's."""
    made = [await charged_exchange(client) for _ in range(5)]
    whole = await known(client, count=5)
    assert [item["id"] for item in whole.data] == made[::-1]
    assert (whole.after, whole.indexed) == ("", whole.size)
    seen: list[str] = []
    after = ""
    while True:
        page = await client.exchanges(STAFF, after, 2)
        seen += [item["id"] for item in page.data]
        after = page.after
        if not after:
            break
    assert seen == made[::-1]
    assert (await client.exchanges(REVIEWER, "", 10)).data == []


async def test_one_exchange_is_its_own_principals(client: AuditdLedger) -> None:
    """With receipts of intent and outcome; to anyone else it is not there."""
    exchange = await charged_exchange(client)
    await known(client)
    found = await client.exchange(STAFF, exchange)
    assert found is not None
    assert found["indexed"] == found["size"]
    [send] = found["sends"]
    assert send["receipt"]["origin"] == send["outcome"]["receipt"]["origin"] == ORIGIN
    assert send["outcome"]["charged"] == {"requests": 1, "tokens": 40, "spend_micros": 7}
    assert await client.exchange(REVIEWER, exchange) is None
    assert await client.exchange(STAFF, uuid7()) is None


async def test_a_reason_is_opened_only_for_a_reading_on_record(client: AuditdLedger) -> None:
    """Auditd looks for itself; another event of the exchange will not do."""
    exchange = await charged_exchange(client)
    assert await client.appealed(exchange) is None
    appeal = evidence.appealed(exchange, STAFF, STAFF, "Not so.", b"k" * 32)
    [place] = await client.append([appeal])
    await known(client)
    found = await client.appealed(exchange)
    assert found is not None
    assert (found["principal"], [line["id"] for line in found["appeals"]]) == (STAFF, [appeal.id])
    with pytest.raises(LedgerRefused) as caught:
        await client.appeal_reasons(exchange, place.index)
    assert caught.value.code == "unread"
    noted = evidence.read(exchange, STAFF, REVIEWER, purpose="audit", part="appeal")
    [place] = await client.append([noted])
    assert await client.appeal_reasons(exchange, place.index) == {appeal.id: "Not so."}


QUESTIONS: dict[str, Callable[[AuditdLedger], Awaitable[object]]] = {
    "used": lambda ours: ours.used([("principal", STAFF, windows()[0])]),
    "exchanges": lambda ours: ours.exchanges(STAFF, "", 10),
    "exchange": lambda ours: ours.exchange(STAFF, uuid7()),
    "appealed": lambda ours: ours.appealed(uuid7()),
    "appeal_reasons": lambda ours: ours.appeal_reasons(uuid7(), 0),
}


@pytest.mark.parametrize("lost", ["drop_requests", "drop_replies"])
@pytest.mark.parametrize("question", QUESTIONS)
async def test_lost_question_is_asked_again(relay: Relay, lost: str, question: str) -> None:
    """Lost on the way there or back, with the connection: asked again, and answered."""
    ours = await through(relay)
    await charged_exchange(ours)
    await known(ours)
    setattr(relay, lost, True)
    call = asyncio.ensure_future(QUESTIONS[question](ours))
    await asyncio.sleep(0.05)
    setattr(relay, lost, False)
    relay.cut()
    await asyncio.wait_for(call, LIMIT_S)
    await ours.close()


@pytest.mark.parametrize("lost", ["drop_requests", "drop_replies"])
@pytest.mark.parametrize("question", QUESTIONS)
async def test_unanswered_question_fails_within_its_deadline(
    relay: Relay, lost: str, question: str
) -> None:
    """Silence is LedgerUnavailable, never zero or nothing."""
    ours = await through(relay, append_deadline_s=0.2)
    setattr(relay, lost, True)
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(LedgerUnavailable):
            await QUESTIONS[question](ours)
    setattr(relay, lost, False)
    await ours.close()

"""The ledger port over the socket: real auditd, lost replies in both forms, deadlines, bounds."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop

from sekisho.adapters.auditd_ledger import AuditdLedger, LedgerLimits
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model import evidence
from sekisho.model.ids import uuid7
from sekisho.ports import ExchangePage
from sekisho_audit.canon import decode
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.wire import BLOBS_MAX, Malformed
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


# -- the ordinary way


async def test_places_and_origin(client: AuditdLedger) -> None:
    """Indices are dense and the origin is auditd's."""
    exchange = uuid7()
    places = await client.append([received(exchange), decision(exchange)])
    assert [place.index for place in places] == [2, 3]
    assert (client.origin, client.connected) == (ORIGIN, True)


def test_it_works_on_uvloop(tmp_path: Path) -> None:
    """The loop that the gateway runs on is another one than the tests'."""

    async def run() -> int:
        auditd = Auditd(tmp_path)
        await auditd.start()
        client = AuditdLedger(auditd.socket)
        await client.start()
        [place] = await client.append([received(uuid7())])
        await client.close()
        await auditd.end()
        return place.index

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == 2


async def test_calls_of_one_turn_go_out_in_one_write(client: AuditdLedger, relay: Relay) -> None:
    """Many callers cost one system call."""
    ours = await through(relay)
    before = relay.requests
    small = [received(uuid7(), b"x") for _ in range(20)]
    await asyncio.gather(*(ours.append([event]) for event in small))
    assert relay.requests == before + 1
    await ours.close()


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


async def test_closing_ends_the_session_at_once(auditd: Auditd) -> None:
    """A worker that says goodbye leaves nothing to wait for."""
    client = AuditdLedger(auditd.socket)
    await client.start()
    exchange = uuid7()
    await client.append([received(exchange), decision(exchange), intent(exchange, client.session)])
    await client.close()
    assert types_of(auditd.ledger)[-2:] == ["backend.outcome", "session.closed"]


# -- when something is lost


async def test_request_lost_with_the_connection_is_sent_again(auditd: Auditd, relay: Relay) -> None:
    """Failed before it took effect: after the reconnect the same call succeeds."""
    ours = await through(relay)
    relay.drop_requests = True
    event = received(uuid7())
    call = asyncio.create_task(ours.append([event]))
    await asyncio.sleep(0.05)
    relay.drop_requests = False
    relay.cut()
    [place] = await asyncio.wait_for(call, LIMIT_S)
    assert not place.duplicate
    assert types_of(auditd.ledger).count("request.received") == 1
    await ours.close()


async def test_reply_lost_with_the_connection_is_asked_again(auditd: Auditd, relay: Relay) -> None:
    """Took effect but the reply was lost: written once, and not called a duplicate."""
    ours = await through(relay)
    relay.drop_replies = True
    event = received(uuid7())
    call = asyncio.create_task(ours.append([event]))
    while "request.received" not in types_of(auditd.ledger):
        await asyncio.sleep(0.01)
    relay.drop_replies = False
    relay.cut()
    [place] = await asyncio.wait_for(call, LIMIT_S)
    assert not place.duplicate
    assert types_of(auditd.ledger).count("request.received") == 1
    await ours.close()


@pytest.mark.parametrize("lost", ["drop_requests", "drop_replies"])
async def test_silence_fails_within_the_deadline(relay: Relay, lost: str) -> None:
    """No answer is LedgerUnavailable, in both forms, and a late answer harms nobody."""
    ours = await through(relay, append_deadline_s=0.2)
    setattr(relay, lost, True)
    calls = [ours.append([received(uuid7())]) for _ in range(5)]
    async with asyncio.timeout(LIMIT_S):
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(item, LedgerUnavailable) for item in results)
    setattr(relay, lost, False)
    assert await ours.append([received(uuid7())])
    await ours.close()


async def test_absent_auditd_fails_at_once_after_a_while_and_recovers(auditd: Auditd) -> None:
    """Gone longer than its limit: no call waits any more; back again: calls pass."""
    ours = AuditdLedger(auditd.socket, limits=LedgerLimits(append_deadline_s=60, down_max_s=0.1))
    await ours.start()
    await auditd.end(kill=True)
    async with asyncio.timeout(LIMIT_S):
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                await ours.append([received(uuid7())])
        await auditd.start()
        while not ours.connected:
            await asyncio.sleep(0.02)
        assert await ours.append([received(uuid7())])
    await ours.close()


async def test_start_without_auditd_fails(tmp_path: Path) -> None:
    """A worker does not begin without a ledger."""
    ours = AuditdLedger(str(tmp_path / "none.sock"))
    with pytest.raises(LedgerUnavailable):
        await ours.start(wait_s=0.1)
    with pytest.raises(LedgerUnavailable):
        _ = ours.origin
    await ours.close()


async def test_calls_in_flight_are_bounded(relay: Relay) -> None:
    """A stuck auditd does not fill the worker's memory: beyond the bound calls fail at once."""
    ours = await through(relay, in_flight_max=3, append_deadline_s=60)
    relay.drop_requests = True
    waiting = [asyncio.create_task(ours.append([received(uuid7())])) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(LedgerUnavailable):
        await ours.append([received(uuid7())])
    await ours.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(item, LedgerUnavailable) for item in results)


async def test_bytes_in_flight_are_bounded(relay: Relay) -> None:
    """Large bodies count by their size."""
    ours = await through(relay, in_flight_bytes_max=10_000)
    with pytest.raises(LedgerUnavailable):
        await ours.append([received(uuid7(), bytes(10_000))])
    assert await ours.append([received(uuid7(), bytes(1_000))])
    await ours.close()


async def test_cancelled_call_does_not_disturb_others(client: AuditdLedger) -> None:
    """A caller that goes away leaves the connection as it was."""
    gone = asyncio.create_task(client.append([received(uuid7())]))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await client.append([received(uuid7())])


async def test_refusal_is_told_from_absence(client: AuditdLedger) -> None:
    """Auditd's reason is an error of its own with its code; the next call is fine."""
    exchange = uuid7()
    with pytest.raises(LedgerRefused) as caught:
        await client.append([decision(exchange, "deny"), intent(exchange, client.session)])
    assert caught.value.code == "denied_intent"
    assert await client.append([received(exchange)])


async def test_event_too_large_for_a_message_is_the_callers_fault(client: AuditdLedger) -> None:
    """What cannot be sent fails in the caller and leaves the connection alone."""
    with pytest.raises(LedgerUnavailable):
        await client.append([received(uuid7(), bytes(50 * 1024 * 1024))])
    assert await client.append([received(uuid7())])


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(struct.pack(">II", 2**32 - 1, 0))
    await reader.read()
    writer.close()


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("answer", [_garbage, _hang_up])
async def test_stranger_on_the_socket_is_no_ledger(
    tmp_path: Path, answer: Callable[..., Awaitable[None]]
) -> None:
    """Whoever answers nonsense or hangs up is not connected to, and not called without a pause."""
    path = str(tmp_path / "x.sock")
    calls = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await answer(reader, writer)

    server = await asyncio.start_unix_server(counted, path)
    ours = AuditdLedger(path)
    with pytest.raises(LedgerUnavailable):
        await ours.start(wait_s=0.2)
    await ours.close()
    server.close()
    assert 1 <= calls < 10


def test_long_socket_path_is_refused() -> None:
    """The kernel would cut it."""
    with pytest.raises(Malformed, match="shorter"):
        AuditdLedger("/" + "x" * 200)


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


# -- sums and history

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

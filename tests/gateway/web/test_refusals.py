"""Failures are evidence, floods are figures, and neither costs anybody with a good key a thing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from sekisho.adapters.api_keys import key_id, mint
from sekisho.errors import LedgerRefused, NotAuthenticated, SekishoError, TooManyFailures
from sekisho.model.principal import Shown
from sekisho.web import refusals as module
from sekisho.web.refusals import (
    ALL_SHARE,
    LATER_MAX,
    MANY,
    SOURCES_MAX,
    SUMS_MAX,
    Refusals,
    source_of,
)
from sekisho_audit.events import Appended, Event
from sekisho_audit.wire import EVENTS_MAX
from support.memory_ledger import MemoryLedger

PER_MIN = 5


@dataclass
class Desk:
    """What a test works with; `time_s` is moved by hand."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    later: list[Event] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    time_s: float = 100.0

    def __post_init__(self) -> None:
        self.refusals = Refusals(
            self.ledger,
            PER_MIN,
            self.later.append,
            key_id=key_id,
            counted=self.counted.append,
            monotonic_s=lambda: self.time_s,
        )

    async def fail(
        self,
        ip: str = "203.0.113.5",
        cause: str = "unknown",
        secret: str = "",
        credential: str = "",
    ) -> SekishoError:
        error = NotAuthenticated("no", cause=cause, credential=credential)
        return await self.refusals.refused(Shown(secret=secret, ip=ip), error, "chat")

    def sources(self) -> list[tuple[str, int]]:
        return [(e.payloads[0].exact.decode(), e.data["count"]) for e in self.ledger.events]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_refusal_is_durable_before_it_is_told(desk: Desk) -> None:
    """Cause, place and source are recorded, the last as content."""
    answer = await desk.fail(cause="expired")
    (event,) = desk.ledger.events

    assert isinstance(answer, NotAuthenticated)
    assert {"cause": "expired", "count": 1, "where": "chat"} == event.data
    assert b"203.0.113.5" == event.payloads[0].stored == event.payloads[0].exact
    assert event.principal is None
    assert ["expired"] == desk.counted


async def test_the_record_names_the_key_by_its_public_id_only(desk: Desk) -> None:
    """The rest of what was shown is nowhere, whether or not the id exists."""
    key = mint()
    await desk.fail(secret=key.plaintext)
    await desk.fail(secret="a password typed into the wrong field")
    named, unnamed = desk.ledger.events

    assert key.id == named.data["credential"]
    assert "credential" not in unnamed.data
    assert key.plaintext[20:] not in repr(desk.ledger.events)
    assert "password" not in repr(desk.ledger.events)


async def test_an_issuer_may_be_named_but_nothing_else(desk: Desk) -> None:
    """Only what has the form of a public name is taken from the error."""
    await desk.fail(credential="oidc:corp")
    await desk.fail(credential="eyJhbGciOiJub25lIn0.e30.")

    assert [{"oidc:corp"}, set()] == [
        {e.data["credential"]} if "credential" in e.data else set() for e in desk.ledger.events
    ]


async def test_beyond_the_limit_failures_are_counted_and_told_to_wait(desk: Desk) -> None:
    """429 with the time, and one record with the count when the minute ends."""
    answers = [await desk.fail() for _ in range(PER_MIN + 3)]

    assert [NotAuthenticated] * PER_MIN + [TooManyFailures] * 3 == [type(a) for a in answers]
    assert PER_MIN == len(desk.ledger.events)
    last = answers[-1]
    assert isinstance(last, TooManyFailures)
    assert 12 == last.retry_after_s

    await desk.refusals.flush()
    assert ("203.0.113.5", 3) == desk.sources()[-1]
    assert "too_many_failures" == desk.ledger.events[-1].data["cause"]
    await desk.refusals.flush()
    assert PER_MIN + 1 == len(desk.ledger.events)


async def test_who_waits_may_fail_again(desk: Desk) -> None:
    """The limit is per minute, not for ever."""
    for _ in range(PER_MIN + 1):
        await desk.fail()
    desk.time_s += 12

    assert isinstance(await desk.fail(), NotAuthenticated)
    assert isinstance(await desk.fail(), TooManyFailures)


async def test_a_clock_that_goes_back_gives_nothing(desk: Desk) -> None:
    """And it takes nothing away."""
    for _ in range(PER_MIN):
        await desk.fail()
    desk.time_s -= 50

    assert isinstance(await desk.fail(), TooManyFailures)
    desk.time_s += 12
    assert isinstance(await desk.fail(), NotAuthenticated)


async def test_one_ipv6_customer_is_one_source(desk: Desk) -> None:
    """Whoever has a /64 has more addresses than there are failures."""
    answers = [await desk.fail(f"2001:db8:1:2::{n:x}") for n in range(PER_MIN + 1)]

    assert isinstance(answers[-1], TooManyFailures)
    assert isinstance(await desk.fail("2001:db8:1:3::1"), NotAuthenticated)
    assert b"2001:db8:1:2::1" == desk.ledger.events[1].payloads[0].exact


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
        ("", "unknown"),
    ],
)
def test_what_failures_are_counted_by(ip: str, expected: str) -> None:
    """An address, or one customer's network."""
    assert expected == source_of(ip)


async def test_a_flood_from_many_addresses_is_bounded_everywhere(desk: Desk) -> None:
    """Ten thousand sources: memory, ledger and queue stay small, and nothing is uncounted."""
    for number in range(10_000):
        await desk.fail(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    recorded = len(desk.ledger.events)
    await desk.refusals.flush()

    assert PER_MIN * ALL_SHARE == recorded
    assert recorded + 1 == len(desk.ledger.events)
    assert (MANY, 10_000 - recorded) == desk.sources()[-1]
    assert SOURCES_MAX == len(desk.refusals._sources)
    assert not desk.later


async def test_many_who_go_on_are_summed_when_there_are_too_many_to_tell_apart(
    desk: Desk,
) -> None:
    """Counts have room for few sources; what is beyond is one figure."""
    for number in range(SUMS_MAX * 2):
        for _ in range(PER_MIN + 1):
            await desk.fail(f"10.0.0.{number}")
    before = len(desk.ledger.events)
    await desk.refusals.flush()
    summed = desk.sources()[before:]

    assert len(summed) <= SUMS_MAX + 2
    assert SUMS_MAX * 2 * (PER_MIN + 1) == before + sum(count for _, count in summed)


async def test_kinds_of_failures_are_bounded_whatever_they_are(desk: Desk) -> None:
    """Even if a cause or place came to be made of what is shown; and batches fit the ledger."""
    sizes: list[int] = []
    append = desk.ledger.append

    async def measured(events: Sequence[Event]) -> Sequence[Appended]:
        sizes.append(len(events))
        return await append(events)

    desk.ledger.append = measured  # type: ignore[method-assign]
    for number in range(500):
        desk.refusals.noticed(Shown(ip="203.0.113.5"), f"x-{number}")
    await desk.refusals.flush()

    assert 500 == sum(count for _, count in desk.sources())
    assert len(desk.ledger.events) == SUMS_MAX * 2 + 1
    assert max(sizes) <= EVENTS_MAX


async def test_an_ignored_header_is_counted_with_its_source(desk: Desk) -> None:
    """Also beside a good key, and without making the request wait for the ledger."""
    desk.ledger.down = True
    for _ in range(3):
        desk.refusals.noticed(Shown(ip="203.0.113.5", secret="good"), "x-user")
    desk.ledger.down = False
    await desk.refusals.flush()
    (event,) = desk.ledger.events

    assert {"cause": "untrusted_header", "count": 3, "where": "x-user"} == event.data


async def test_a_dead_ledger_refuses_all_the_same(desk: Desk) -> None:
    """The refusal is told; its event waits with the outcomes, which it must not crowd out."""
    desk.ledger.down = True
    answers = [await desk.fail(f"10.0.{n % 20}.{n}") for n in range(PER_MIN * ALL_SHARE)]

    assert {NotAuthenticated} == {type(answer) for answer in answers}
    assert PER_MIN * ALL_SHARE == len(desk.later)


async def test_the_queue_of_outcomes_is_not_filled_by_strangers(desk: Desk) -> None:
    """Beyond a few they are only counted; otherwise a flood would stop the gate."""
    desk.ledger.down = True
    for _ in range(4):
        for number in range(PER_MIN * ALL_SHARE):
            await desk.fail(f"10.0.0.{number}")
        desk.time_s += 60

    assert LATER_MAX == len(desk.later)
    desk.ledger.down = False
    await desk.refusals.flush()
    assert [(MANY, 4 * PER_MIN * ALL_SHARE - LATER_MAX)] == desk.sources()


async def test_a_ledger_that_is_back_may_go_away_again(desk: Desk) -> None:
    """What was left with the queue of outcomes is taken as written when the next one was."""
    desk.ledger.down = True
    for number in range(4):
        for _ in range(PER_MIN * ALL_SHARE):
            await desk.fail(f"10.0.{number}.{_}")
        desk.time_s += 60
    desk.ledger.down = False
    await desk.fail()
    desk.ledger.down = True
    await desk.fail()

    assert LATER_MAX + 1 == len(desk.later)


async def test_a_ledger_that_stays_away_costs_no_memory(desk: Desk) -> None:
    """Counts go on in what is there; nothing is queued minute by minute."""
    desk.ledger.down = True
    for minute in range(50):
        for number in range(SUMS_MAX):
            desk.refusals.noticed(Shown(ip=f"10.0.{minute}.{number}"), "x-user")
        await desk.refusals.flush()
    assert len(desk.refusals._unwritten) <= SUMS_MAX + 1
    assert len(desk.refusals._sums) <= SUMS_MAX + 1

    desk.ledger.down = False
    await desk.refusals.flush()
    await desk.refusals.flush()
    assert 50 * SUMS_MAX == sum(count for _, count in desk.sources())


async def test_a_lost_reply_records_the_same_failure_once(desk: Desk) -> None:
    """It took effect, and comes again under the same id."""
    desk.ledger.lose_after = 1
    await desk.fail()
    await desk.ledger.append(desk.later)

    assert 1 == len(desk.ledger.events)


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_counts_survive_a_ledger_that_is_away(desk: Desk, fault: str) -> None:
    """Whether or not it took effect, the minute is recorded once."""
    desk.refusals.noticed(Shown(ip="203.0.113.5"), "x-user")
    setattr(desk.ledger, fault, 1)
    await desk.refusals.flush()
    desk.refusals.noticed(Shown(ip="203.0.113.5"), "x-user")
    await desk.refusals.flush()
    await desk.refusals.flush()

    assert [("203.0.113.5", 1), ("203.0.113.5", 1)] == desk.sources()


async def test_a_ledger_that_refuses_does_not_let_in(desk: Desk) -> None:
    """Our own mistake is an operator's matter; the stranger stays out."""

    class Refusing(MemoryLedger):
        async def append(self, events):  # type: ignore[no-untyped-def]
            raise LedgerRefused("malformed")

    desk.ledger = Refusing()
    desk.__post_init__()

    assert isinstance(await desk.fail(), NotAuthenticated)
    desk.refusals.noticed(Shown(ip="203.0.113.5"), "x-user")
    await desk.refusals.flush()
    assert not desk.refusals._unwritten


async def test_operators_see_source_and_cause_and_no_secret(desk: Desk) -> None:
    """A line for each that is recorded; a flood does not fill the log either."""
    key = mint()
    with capture_logs() as lines:
        for _ in range(PER_MIN * 3):
            await desk.fail(secret=key.plaintext)

    assert PER_MIN == len(lines)
    assert ("203.0.113.5", "unknown") == (lines[0]["source"], lines[0]["cause"])
    assert key.plaintext not in repr(lines)


@pytest.fixture
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MINUTE_S", 0.01)


async def test_the_minute_ends_by_itself(desk: Desk, short_minutes: None) -> None:
    """A task of the worker writes the counts."""
    desk.refusals.noticed(Shown(ip="203.0.113.5"), "x-user")
    task = asyncio.create_task(desk.refusals.run())
    async with asyncio.timeout(5):
        while not desk.ledger.events:
            await asyncio.sleep(0.01)
    task.cancel()

    assert [("203.0.113.5", 1)] == desk.sources()

"""Break-glass at work, on a real auditd: recorded before anything goes on, for one person only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.holding.break_glass import TRIES_MAX, BreakGlass
from sekisho.model.grants import Asking
from sekisho.model.ids import uuid7
from sekisho_audit.events import Event, Payload
from support.break_glass import (
    CHIEF,
    CHIEF_2,
    FOR_CHIEF,
    OTHER_RULE,
    RULE,
    Gauges,
    Holders,
    Plant,
    needed,
    open_plant,
    opening,
)
from support.holds import SystemClock
from support.memory_ledger import MemoryLedger
from support.switch import Switch, halt
from support.switchboards import running_auditd


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("d")
    with running_auditd(home) as socket:
        yield socket


@pytest.fixture
async def plant(auditd: str) -> AsyncIterator[Plant]:
    """A worker at a ledger in which nothing is open."""
    one = await open_plant(auditd)
    yield one
    one.holders.away, one.switch.standing = False, Switch().standing
    await one.tidy()
    await one.ledger.close()


@pytest.fixture
def memory() -> MemoryLedger:
    return MemoryLedger()


def at(memory: MemoryLedger, holders: Holders | None = None) -> BreakGlass:
    """A worker at a ledger that can break."""
    return BreakGlass(
        memory,
        memory.openings,
        Switch(),
        SystemClock(),
        holds_role=holders or Holders(),
        gauges=Gauges(),
    )


async def test_what_is_held_goes_on_by_a_use(plant: Plant) -> None:
    """The ledger has the use, with its number, before anybody knows that it may."""
    opened = await plant.opened()

    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == opened.id
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed(), needed()]) == opened.id

    await plant.glass.consult()
    [told] = plant.glass.standing
    assert told.used == 3
    assert (plant.gauges.used, plant.gauges.open) == (3, 1)


@pytest.mark.parametrize(
    "asking",
    [
        Asking("staff-7", "staff-7", ("sales",)),
        Asking("chief-2", "chief-2", ("sales",)),
        Asking("robot-1", "chief-1", ("sales",)),
        Asking("chief-1", "staff-7", ("sales",)),
    ],
    ids=["another", "another chief", "a service account", "somebody in their name"],
)
async def test_it_is_for_nobody_else(plant: Plant, asking: Asking) -> None:
    """Whoever stands behind a service account: it is nobody in an emergency."""
    await plant.opened()

    assert await plant.glass.answer(asking, "demo", [needed(who=asking.principal)]) == ""
    assert plant.gauges.used == 0


async def test_rules_that_were_not_named_hold_as_ever(plant: Plant) -> None:
    """One of them is enough, and then nothing is used for the others."""
    await plant.opened()
    both = [needed(), needed("", "chief-1", OTHER_RULE)]

    assert await plant.glass.answer(FOR_CHIEF, "demo", both) == ""
    assert plant.glass.standing[0].used == 0


async def test_three_workers_use_it_at_once(auditd: str, plant: Plant) -> None:
    """Each use has a number of its own, or waits for people; none is counted twice."""
    opened = await plant.opened()
    others = [await open_plant(auditd) for _ in range(2)]
    workers = [plant, *others]
    for one in workers:
        await one.glass.consult()

    asked = [one.glass.answer(FOR_CHIEF, "demo", [needed()]) for one in workers for _ in range(5)]
    answered = await asyncio.gather(*asked)

    await plant.glass.consult()
    assert set(answered) <= {opened.id, ""}
    assert plant.glass.standing[0].used == sum(1 for one in answered if one) > 0
    for one in others:
        await one.ledger.close()


async def test_a_copy_that_is_behind_decides_nothing(auditd: str, plant: Plant) -> None:
    """Another worker ended it; this one still thinks that it is open, and is refused."""
    opened = await plant.opened()
    late = await open_plant(auditd)
    await late.glass.consult()
    await plant.desk.end(CHIEF, opened.id)
    assert late.glass.open_now()

    assert await late.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    assert not late.glass.open_now()
    await late.ledger.close()


async def test_another_worker_knows_at_once(auditd: str, plant: Plant) -> None:
    """It asks the ledger before it lets somebody who holds the role wait."""
    late = await open_plant(auditd)
    opened = await plant.opened()
    assert late.glass.standing == ()

    assert await late.glass.answer(FOR_CHIEF, "demo", [needed()]) == opened.id
    await late.ledger.close()


async def test_nobody_else_makes_a_worker_ask(memory: MemoryLedger) -> None:
    """Held requests of everybody would be questions to the ledger."""
    memory.down = True

    asking = Asking("staff-7", "staff-7", ())
    assert await at(memory).answer(asking, "demo", [needed(who="staff-7")]) == ""


async def test_whoever_lost_the_role_goes_on_with_nothing(plant: Plant) -> None:
    """At once, and within a round of any worker the opening has ended for good."""
    await plant.opened()
    plant.holders.names.discard("chief-1")

    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    await plant.glass.once()
    plant.holders.names.add("chief-1")

    assert [one.ended for one in plant.glass.standing] == ["person_gone"]
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""


async def test_nobody_goes_on_while_the_directory_is_away(plant: Plant) -> None:
    """Not to know is no yes; nor does it end what is open."""
    await plant.opened()
    plant.holders.away = True

    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    plant.holders.away = False
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()])


async def test_a_switch_of_this_ledger_ends_it(plant: Plant) -> None:
    """Whatever it stops, also before any worker has heard of it."""
    await plant.opened()
    why = (Payload("reason", b"A leak.", b"A leak."),)
    data = {"scope": "tool", "name": "kb.write"}
    await plant.ledger.append([Event(uuid7(), "halt.set", None, None, data, "operator-1", why)])

    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    assert [one.ended for one in plant.glass.standing] == ["halted"]


async def test_a_switch_of_another_ledger_ends_it(plant: Plant) -> None:
    """One that was set since it was opened; one of before is known to whoever opened it."""
    opened = await plant.opened()
    since = replace(halt("model", "gpt-x"), set_us=opened.opened_us + 1)
    plant.switch.set(halt("model", "gpt-x"))
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()])

    plant.switch.set(since)
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    await plant.glass.once()
    assert [one.ended for one in plant.glass.standing] == ["halted"]


async def test_a_clock_that_is_ahead_uses_nothing_and_one_behind_is_refused(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two clocks that of the ledger counts; this worker's can only be stricter."""
    opened = await plant.opened()
    monkeypatch.setattr(SystemClock, "now_us", lambda _: opened.until_us + 1)
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""

    monkeypatch.setattr(SystemClock, "now_us", lambda _: opened.opened_us)
    await plant.desk.end(CHIEF, opened.id)
    plant.glass.standing = (opened,)
    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == ""


async def test_before_comes_with_the_uses_or_not_at_all(plant: Plant) -> None:
    """One batch: what was received, the use, the decision."""
    opened = await plant.opened()
    one = needed()
    before = Event(uuid7(), "exchange.checked", one.event.exchange, "chief-1", {"effect": "hold"})

    assert await plant.glass.answer(FOR_CHIEF, "demo", [one], [before]) == opened.id


async def test_a_lost_reply_lets_nothing_go_on(memory: MemoryLedger) -> None:
    """Whether the use took effect or not, whoever asked gets an error and no answer."""
    memory.opened = [opening()]
    glass = at(memory)
    await glass.consult()
    for fault in ("lose_before", "lose_after"):
        setattr(memory, fault, 1)
        with pytest.raises(LedgerUnavailable):
            await glass.answer(FOR_CHIEF, "demo", [needed()])
    assert memory.types().count("break_glass.used") == 1


async def test_a_lost_ledger_opens_nothing_new(memory: MemoryLedger) -> None:
    """What cannot be asked is not taken as open by a worker that starts, and ends no round."""
    memory.opened, memory.down = [opening()], True
    glass = at(memory)
    with pytest.raises(LedgerUnavailable):
        await glass.once()

    with pytest.raises(LedgerUnavailable):
        await glass.answer(FOR_CHIEF, "demo", [needed()])
    task = asyncio.create_task(glass.run())
    await glass.stop()
    async with asyncio.timeout(5):
        await task


@pytest.mark.parametrize("code", ["unopened", "stale_use"])
async def test_what_the_ledger_refuses_waits_for_people(memory: MemoryLedger, code: str) -> None:
    """At once, or after so many lost races."""
    memory.opened = [opening()]
    glass = at(memory)
    await glass.consult()
    tries = 0

    async def refuse(_: Any) -> Any:
        nonlocal tries
        tries += 1
        raise LedgerRefused("no", code=code)

    memory.append = refuse  # type: ignore[method-assign]
    assert await glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    assert tries == (TRIES_MAX if code == "stale_use" else 1)


async def test_a_worker_proposes_only_what_is_ones_own(memory: MemoryLedger) -> None:
    """Also where the ledger would refuse it: nothing is appended in vain."""
    memory.opened = [opening(person="chief-2")]
    glass = at(memory)
    await glass.consult()

    assert await glass.answer(FOR_CHIEF, "demo", [needed()]) == ""
    assert memory.types() == []


async def test_what_nobody_holds_is_recorded_without_a_use(memory: MemoryLedger) -> None:
    """It stands in its place among what is held, and is no use of anything."""
    memory.opened = [opening()]
    glass = at(memory)
    free = [replace(needed(), rules=frozenset()) for _ in range(2)]

    assert await glass.answer(FOR_CHIEF, "demo", [free[0], needed(), free[1]])
    assert memory.types() == [
        "policy.decision", "break_glass.used", "policy.decision", "policy.decision",
    ]  # fmt: skip


async def test_two_people_have_their_own(plant: Plant) -> None:
    """Each for themselves, and each with other rules."""
    mine = await plant.opened()
    theirs = await plant.opened(CHIEF_2, OTHER_RULE)
    both = Asking("chief-2", "chief-2", ())

    assert await plant.glass.answer(FOR_CHIEF, "demo", [needed()]) == mine.id
    assert await plant.glass.answer(both, "demo", [needed("", "chief-2", OTHER_RULE)]) == theirs.id
    assert await plant.glass.answer(both, "demo", [needed("", "chief-2", RULE)]) == ""

"""Grants at work, on a real auditd: recorded before anything goes on, and never once too often."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.holding.granting import GONE_ROUNDS, Granting
from sekisho.model.grants import Wanted
from sekisho.model.ids import uuid7
from sekisho_audit.events import Event, Payload
from support.grants import (
    CALLS,
    FOR_STAFF,
    ONE,
    REQUESTS,
    RULE,
    TERMS,
    TWO,
    Office,
    grant,
    open_office,
    wanted,
)
from support.memory_ledger import MemoryLedger
from support.switch import Switch, halt
from support.switchboards import running_auditd

STOP = Event(uuid7(), "halt.set", None, None, {"scope": "tool", "name": "kb.read"}, "operator-1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d")


@pytest.fixture(scope="module")
def auditd(home: Path) -> Iterator[str]:
    with running_auditd(home) as socket:
        yield socket


@pytest.fixture
async def office(auditd: str) -> AsyncIterator[Office]:
    """A worker at a ledger in which nothing is granted."""
    one = await open_office(auditd)
    yield one
    await one.granting.consult()
    for left in one.granting.standing:
        end = Event(uuid7(), "grant.ended", None, None, {"grant": left.id, "cause": "rule_gone"})
        await one.ledger.append([end])
    await one.close()


def request(exchange: str) -> Wanted:
    """A request that waits for people."""
    terms = replace(TERMS, stage="request")
    return wanted(exchange, terms=terms, stage="request", tool=None)


async def test_a_use_is_on_record_with_what_it_answers(office: Office) -> None:
    """Who, of which grant, how many are left; the copy here knows it too."""
    made = await office.granted()
    one = wanted()

    assert await office.granting.answer(FOR_STAFF, [one])

    assert [each.remaining for each in office.granting.standing] == [1]
    await office.granting.consult()
    [now] = office.granting.standing
    assert (now.id, now.used) == (made.id, 1)
    [place] = await office.ledger.append([one.event])
    assert place.duplicate


async def test_nothing_is_recorded_of_what_waits(office: Office) -> None:
    """A second call that no grant is for takes the first one with it."""
    await office.granted()
    calls = [wanted(), wanted(arguments={"path": "/etc/passwd"})]

    assert not await office.granting.answer(FOR_STAFF, calls)

    await office.granting.consult()
    assert [each.used for each in office.granting.standing] == [0]


async def test_two_calls_are_two_uses(office: Office) -> None:
    await office.granted()
    exchange = uuid7()

    assert await office.granting.answer(FOR_STAFF, [wanted(exchange), wanted(exchange)])
    assert not await office.granting.answer(FOR_STAFF, [wanted()])


async def test_workers_at_once_never_use_it_too_often(office: Office, auditd: str) -> None:
    """Three workers, ten uses agreed, thirty calls at the same moment: ten, and no more."""
    await office.granted(replace(CALLS, count=10))
    workers = [office, await open_office(auditd), await open_office(auditd)]
    for one in workers:
        await one.granting.consult()

    async def ask(one: Office) -> bool:
        return await one.granting.answer(FOR_STAFF, [wanted()])

    answered = await asyncio.gather(*(ask(one) for one in workers * 10))
    while await ask(office):  # who lost a race too often waits for people; none may be left over
        answered.append(True)

    assert sum(answered) == 10
    await office.granting.consult()
    assert [each.remaining for each in office.granting.standing] == [0]
    for one in workers[1:]:
        await one.close()


async def test_a_worker_that_does_not_know_better_is_refused(office: Office, auditd: str) -> None:
    """It was revoked a moment ago by another worker."""
    made = await office.granted()
    other = await open_office(auditd)
    await other.granting.consult()
    await office.desk.revoke(ONE, made.id, "Enough.")

    assert not await other.granting.answer(FOR_STAFF, [wanted()])
    assert not other.granting.standing
    await other.close()


async def test_a_worker_that_lies_is_refused(office: Office) -> None:
    """Whatever its copy says: more uses, another person, no second one."""
    made = await office.granted(replace(CALLS, count=1))
    assert await office.granting.answer(FOR_STAFF, [wanted()])
    office.granting.standing = (replace(made, count=100, used=1),)
    assert not await office.granting.answer(FOR_STAFF, [wanted()])

    proposed = await office.desk.propose(ONE, CALLS)
    office.granting.standing = (
        replace(proposed, confirmed_by="x", confirmed_counts_for=("reviewer",)),
    )
    assert not await office.granting.answer(FOR_STAFF, [wanted()])

    office.granting.standing = (replace(made, used=1, principal="staff-8"),)
    other = replace(FOR_STAFF, principal="staff-8", person="staff-8")
    assert not await office.granting.answer(other, [wanted()])


async def test_the_kill_switch_ends_it_and_says_so(office: Office) -> None:
    """Set in the ledger, it is over at once and for good; the end is an event, told once."""
    made = await office.granted()
    office.switch.set(halt("tool", "kb.read"))
    reason = Payload("reason", b"a leak", b"a leak")
    stop = replace(STOP, id=uuid7(), payloads=(reason,))
    await office.ledger.append([stop])
    assert not await office.granting.answer(FOR_STAFF, [wanted()])

    await office.granting.once()
    await office.granting.once()
    proposed = Event(
        uuid7(), "halt.lift_proposed", None, None, {"halt": stop.id}, "operator-1", (reason,)
    )
    lifted = {"halt": stop.id, "proposed": proposed.id}
    await office.ledger.append(
        [proposed, Event(uuid7(), "halt.lifted", None, None, lifted, "operator-2")]
    )
    office.switch.set()
    await office.granting.once()

    assert not office.granting.standing
    assert not await office.granting.answer(FOR_STAFF, [wanted()])
    with pytest.raises(LedgerRefused) as caught:
        await office.ledger.append(
            [Event(uuid7(), "grant.ended", None, None, {"grant": made.id, "cause": "halted"})]
        )
    assert caught.value.code == "unknown_grant"


async def test_a_switch_of_another_ledger_ends_it_too(office: Office) -> None:
    """This ledger has no such switch: the worker heard of it."""
    await office.granted()
    office.switch.set(halt("backend", "demo"))

    await office.granting.once()
    office.switch.set()
    await office.granting.once()

    assert not office.granting.standing


async def test_a_rule_that_is_gone_ends_it(office: Office) -> None:
    """Not at once: this worker may have old rules. One that comes back in between was there."""
    await office.granted()
    office.known.discard(RULE)
    for _ in range(GONE_ROUNDS - 1):
        await office.granting.once()
    assert office.granting.standing
    office.known.add(RULE)
    await office.granting.once()
    office.known.discard(RULE)
    for _ in range(GONE_ROUNDS - 1):
        await office.granting.once()
    assert office.granting.standing

    await office.granting.once()
    office.known.add(RULE)
    await office.granting.once()

    assert not office.granting.standing


async def test_a_granted_request_is_let_go(office: Office) -> None:
    """What was received stands before the use, in the same batch."""
    await office.granted(REQUESTS)
    one = request(uuid7())
    one = replace(one, arguments=None, event=_without_tool(one.event))
    received = {"endpoint": "chat.completions", "model": "m", "stream": False}
    before = Event(
        uuid7(),
        "request.received",
        one.event.exchange,
        "staff-7",
        {**received, "credential": "k-1", "bytes": 2},
        payloads=(Payload("prompt", b"{}"),),
    )

    assert await office.granting.answer(FOR_STAFF, [one], [before])

    [place, decided] = await office.ledger.append([before, one.event])
    assert place.duplicate
    assert decided.index == place.index + 2


def _without_tool(event: Event) -> Event:
    data = {name: value for name, value in event.data.items() if name != "tool"}
    return replace(event, data=data)


async def test_the_verifier_accepts_what_was_granted(office: Office, home: Path) -> None:
    """The whole ledger of this file, with every use in it."""
    await office.granted()
    assert await office.granting.answer(FOR_STAFF, [wanted()])
    await office.ledger.checkpoint()

    command = [
        *(sys.executable, "-m", "sekisho_audit.cli", "verify"),
        str(home / "data" / "ledger"),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)

    assert b"tampered" not in done.stdout.lower()
    assert done.returncode != 1, done.stdout + done.stderr


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_a_lost_reply_lets_nothing_go(fault: str) -> None:
    """Whether the use took effect or not: nobody may go on that does not know it is on record."""
    ledger = MemoryLedger()
    ledger.granted = [grant()]
    granting = Granting(ledger, Switch(), lambda: None, risk_below=60)
    await granting.consult()
    setattr(ledger, fault, 1)

    with pytest.raises(LedgerUnavailable):
        await granting.answer(FOR_STAFF, [wanted()])

    assert ledger.types().count("grant.used") == (fault == "lose_after")


async def test_without_grants_nothing_is_asked() -> None:
    """Most of the time there is none."""
    ledger = MemoryLedger()
    ledger.down = True
    granting = Granting(ledger, Switch(), lambda: None, risk_below=60)

    assert not await granting.answer(FOR_STAFF, [wanted()])


async def test_the_loop_lives_through_an_outage() -> None:
    """What it knew stays until the ledger answers; that decides nothing."""
    ledger = MemoryLedger()
    ledger.granted, ledger.down = [grant()], True
    granting = Granting(ledger, Switch(), lambda: None, risk_below=60)
    running = asyncio.create_task(granting.run())
    await asyncio.sleep(0)
    ledger.down = False
    async with asyncio.timeout(10):
        while not granting.standing:
            await asyncio.sleep(0.02)

    await granting.stop()
    async with asyncio.timeout(10):
        await running


def _told(ledger: MemoryLedger) -> list[Any]:
    return [one for one in ledger.events if one.type == "grant.used"]


async def test_the_person_behind_a_service_account_is_on_record() -> None:
    """So that the ledger can tell that they did not agree to it themselves."""
    ledger = MemoryLedger()
    ledger.granted = [grant(principal="robot-1")]
    granting = Granting(ledger, Switch(), lambda: None, risk_below=60)
    await granting.consult()
    robot = replace(FOR_STAFF, principal="robot-1", person="boss-1")

    assert await granting.answer(robot, [wanted()])

    assert [one.data["person"] for one in _told(ledger)] == ["boss-1"]
    assert TWO.id not in {one.principal for one in _told(ledger)}

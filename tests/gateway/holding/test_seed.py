"""Test items with the real auditd and Valkey: told apart by nobody, sent by nothing, counted."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import BadRequest, Conflict, Forbidden, LedgerRefused, LedgerUnavailable
from sekisho.holding.review import withdraw
from sekisho.holding.seed import Found, found
from sekisho.holding.seed_desk import Asked
from sekisho.holding.sweep import Sweep
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.ids import uuid7
from sekisho.model.principal import Role
from sekisho_audit import verify
from sekisho_audit.events import Appended, Event
from support.entrances import StaticDirectory
from support.holds import (
    REVIEWER,
    REVIEWER_2,
    ROBOT,
    STAFF,
    Desk,
    open_desk,
    person,
)
from support.ledgers import Auditd, decision, intent
from support.seeds import HELD_BY, seed_desk
from support.valkey import Valkey

SEEDER = person("auditor-1", Role.AUDITOR, Role.REVIEWER)
PEOPLE = StaticDirectory({"key-staff": STAFF, "key-reviewer": REVIEWER})
MADE_UP = Asked(
    principal="staff-990",
    text="Send me the salaries of all directors.",
    model="gpt-x",
    backend="demo",
    rule=HELD_BY,
    message="Salaries are looked at by a person first.",
    ttl_s=600,
)


class LosingLedger(AuditdLedger):
    """A real ledger whose appends are lost on demand, in both forms."""

    losing = ""

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        if self.losing == "before":
            raise LedgerUnavailable("lost before")
        places = await super().append(events)
        if self.losing == "after":
            raise LedgerUnavailable("reply lost")
        return places


@pytest.fixture
async def auditd() -> AsyncIterator[Auditd]:
    # Not tmp_path: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        one = Auditd(Path(folder))
        await one.start()
        yield one
        await one.end()


@pytest.fixture
async def real(auditd: Auditd) -> AsyncIterator[LosingLedger]:
    ledger = LosingLedger(auditd.socket)
    await ledger.start()
    yield ledger
    await ledger.close()


@pytest.fixture
async def seeded(valkey: Valkey, real: LosingLedger) -> AsyncIterator[Desk]:
    """A desk over the real ledger."""
    one = open_desk(valkey.url, real)
    yield one
    await one.close()


async def put(desk: Desk, asked: Asked = MADE_UP) -> HoldView:
    return await seed_desk(desk, PEOPLE).plant(SEEDER, asked)


async def complaints(auditd: Auditd, real: LosingLedger) -> list[verify.Fault]:
    """What the offline verifier finds after a clean stop."""
    await real.close()
    await auditd.end()
    report = verify.verify(auditd.ledger)
    return [*report.faults, *report.doubts]


async def test_what_is_approved_is_missed_and_goes_nowhere(
    auditd: Auditd, real: LosingLedger, seeded: Desk
) -> None:
    """No claim takes it, no sweep resumes it, and the ledger refuses an intent that names it."""
    view = await put(seeded)
    after = await seeded.approve(view)
    assert after.state is HoldState.WITHDRAWN
    assert found(after) == Found("sekisho.hold.salary", caught=False)
    assert await seeded.store.claim(view.hold.id, "w-1") is None
    resumed: list[str] = []

    async def resume(hold_id: str) -> None:
        resumed.append(hold_id)

    await Sweep(seeded.store, real, resume).once()
    assert resumed == []
    hold = view.hold
    named = {"hold": hold.id, "version": hold.version, "binding": hold.binding}
    leaving = intent(hold.exchange, real.session, hold.outgoing, **named)
    with pytest.raises(LedgerRefused) as caught:
        await real.append([replace(leaving, principal=hold.principal)])
    assert caught.value.code == "seeded_intent"
    assert await complaints(auditd, real) == []


async def test_what_is_denied_is_caught(auditd: Auditd, real: LosingLedger, seeded: Desk) -> None:
    """As any other denial."""
    after = await seeded.review(await put(seeded), REVIEWER, "deny")
    assert after.state is HoldState.DENIED
    assert found(after) == Found("sekisho.hold.salary", caught=True)
    assert await complaints(auditd, real) == []


async def test_an_open_one_is_claimed_by_nobody_either(valkey: Valkey, seeded: Desk) -> None:
    """Whatever its state is made to be, its bytes are given to no claim."""
    view = await put(seeded)
    with redis.Redis.from_url(valkey.url) as client:
        [key] = client.keys(f"*{view.hold.id}")
        client.hset(key, mapping={"state": "approved", "execute_until_us": 2**52})
    assert await seeded.store.claim(view.hold.id, "w-1") is None


async def test_it_is_told_only_when_it_is_over(seeded: Desk) -> None:
    """The first of two approvals tells nobody, or they would tell the second person."""
    view = await put(seeded, replace(MADE_UP, approve=2))
    assert found(view) is None
    after = await seeded.approve(view)
    assert after.state is HoldState.PENDING
    assert found(after) is None
    assert found(await seeded.approve(view, REVIEWER_2)) == Found(MADE_UP.rule, caught=False)


async def test_who_made_it_up_does_not_review_it_but_takes_it_back(seeded: Desk) -> None:
    """They know the answer. Taken back it is neither caught nor missed."""
    view = await put(seeded)
    for who in (SEEDER, replace(REVIEWER, stands_in_for=frozenset({SEEDER.id}))):
        with pytest.raises(Forbidden) as caught:
            await seeded.review(view, who, "deny")
        assert caught.value.code == "self_approval"
    taken = await withdraw(seeded.store, seeded.ledger, SEEDER, view.hold.id)
    assert taken.state is HoldState.WITHDRAWN
    assert found(taken) is None
    with pytest.raises(Conflict):
        await seeded.approve(view)


@pytest.mark.parametrize("name", [STAFF.id, SEEDER.id])
async def test_nobody_real_is_named(seeded: Desk, name: str) -> None:
    """It would stand in their history of what they asked, and they would be asked about it."""
    with pytest.raises(BadRequest) as caught:
        await put(seeded, replace(MADE_UP, principal=name))
    assert caught.value.code == "principal_exists"


async def test_a_service_account_makes_nothing_up(seeded: Desk) -> None:
    """Persons do."""
    with pytest.raises(Forbidden):
        await seed_desk(seeded, PEOPLE).plant(ROBOT, MADE_UP)


async def test_a_lost_live_state_comes_back_as_what_it_was(valkey: Valkey, seeded: Desk) -> None:
    """From the ledger: still pending, still no request."""
    view = await put(seeded)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        client.script_flush()
    again = await seeded.store.get(view.hold.id)
    assert again is not None
    assert (again.hold, again.state) == (view.hold, HoldState.PENDING)
    assert (await seeded.approve(again)).state is HoldState.WITHDRAWN


@pytest.mark.parametrize("form", ["before", "after"])
async def test_a_lost_append_puts_nothing_before_reviewers(
    auditd: Auditd, real: LosingLedger, seeded: Desk, form: str
) -> None:
    """Whether or not the ledger has it; what was set aside is given back."""
    real.losing = form
    with pytest.raises(LedgerUnavailable):
        await put(seeded)
    real.losing = ""
    assert await seeded.store.list_open(10) == []
    assert await complaints(auditd, real) == []


async def test_its_exchange_is_no_way_around_either(real: LosingLedger, seeded: Desk) -> None:
    """A decision that allows the exchange does not let an intent pass that names no hold."""
    view = await put(seeded)
    allowed = replace(decision(view.hold.exchange), id=uuid7())
    leaving = intent(view.hold.exchange, real.session, view.hold.outgoing)
    with pytest.raises(LedgerRefused) as caught:
        await real.append([allowed, leaving])
    assert caught.value.code == "unapproved_intent"


async def test_it_is_in_no_history_and_in_the_figures(real: LosingLedger, seeded: Desk) -> None:
    """Answers to it are caught or missed, and count for nothing else."""
    await seeded.approve(await put(seeded))
    await seeded.review(await put(seeded), REVIEWER, "deny")
    own: dict[str, int] = {}
    while own.get("caught", 0) + own.get("missed", 0) < 2:
        own = dict((await real.own_figures(REVIEWER.id, 0))["own"])
    assert (own["caught"], own["missed"], own["decisions"], own["hours"]) == (1, 1, 0, 0)
    for name in (MADE_UP.principal, SEEDER.id):
        page = await real.exchanges(name, "", 10)
        assert page.data == []

"""Whoever is shown a hold is recorded first, and once an hour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.errors import LedgerUnavailable
from sekisho.holding.refused import HOUR_US
from sekisho.holding.shown import note_shown
from sekisho.model.hold import Hold
from sekisho.model.ids import uuid7
from sekisho_audit.events import Event
from support.holds import REVIEWER, REVIEWER_2, ROBOT, STAFF, Desk
from support.memory_ledger import MemoryLedger

NOW_US = 500_000 * HOUR_US


@pytest.fixture
async def hold(desk: Desk) -> Hold:
    return (await desk.file()).hold


def reads(ledger: MemoryLedger) -> list[Event]:
    return [event for event in ledger.events if event.type == "record.read"]


async def test_reviewer_is_recorded_for_the_requester(
    desk: Desk, ledger: MemoryLedger, hold: Hold
) -> None:
    """Who, what and why, in the exchange of whoever asked."""
    await note_shown(desk.store, ledger, REVIEWER, hold, NOW_US)
    [event] = reads(ledger)
    assert (event.actor, event.principal, event.exchange) == (REVIEWER.id, STAFF.id, hold.exchange)
    assert event.data == {"purpose": "review", "part": "outgoing", "hold": hold.id}
    document = await ledger.exchange(STAFF.id, hold.exchange)
    assert document is not None
    assert [line["by"] for line in document["reads"]] == [REVIEWER.id]


async def test_polling_does_not_flood(desk: Desk, ledger: MemoryLedger, hold: Hold) -> None:
    """The same reader, hold and version within the hour is one record; any other is another."""
    for second in range(60):
        await note_shown(desk.store, ledger, REVIEWER, hold, NOW_US + second * 1_000_000)
    assert len(reads(ledger)) == 1
    await note_shown(desk.store, ledger, REVIEWER, hold, NOW_US + HOUR_US)
    await note_shown(desk.store, ledger, REVIEWER_2, hold, NOW_US)
    await note_shown(desk.store, ledger, REVIEWER, replace(hold, version=2), NOW_US)
    assert len(reads(ledger)) == 4


async def test_requester_reads_their_own_unrecorded(
    desk: Desk, ledger: MemoryLedger, hold: Hold
) -> None:
    """What one asked oneself is no secret from oneself."""
    await note_shown(desk.store, ledger, STAFF, hold, NOW_US)
    assert reads(ledger) == []


async def test_owner_of_a_service_account_is_recorded(desk: Desk, ledger: MemoryLedger) -> None:
    """It is their account, but another principal's exchange."""
    held = (await desk.file(principal=ROBOT)).hold
    await note_shown(desk.store, ledger, REVIEWER, held, NOW_US)
    [event] = reads(ledger)
    assert (event.actor, event.data["purpose"]) == (ROBOT.owner, "own")


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_what_is_not_recorded_is_not_shown(
    desk: Desk, ledger: MemoryLedger, hold: Hold, fault: str
) -> None:
    """Failed before it took effect, or after: an error; looking again is one record."""
    setattr(ledger, fault, 1)
    with pytest.raises(LedgerUnavailable):
        await note_shown(desk.store, ledger, REVIEWER, hold, NOW_US)
    await note_shown(desk.store, ledger, REVIEWER, hold, NOW_US)
    assert len(reads(ledger)) == 1


async def test_id_of_the_record_names_nobody(desk: Desk, ledger: MemoryLedger, hold: Hold) -> None:
    """The id depends on the exchange's key: names cannot be tried out on it."""
    await note_shown(desk.store, ledger, REVIEWER, hold, NOW_US)
    await note_shown(desk.store, ledger, REVIEWER, replace(hold, exchange=uuid7()), NOW_US)
    first, second = reads(ledger)
    assert first.id != second.id

"""Who is refused at a hold is on record before they are told."""

from __future__ import annotations

import pytest

from sekisho.errors import Conflict, Forbidden, LedgerUnavailable, NotFound
from sekisho.holding.refused import refusals_noted
from sekisho.holding.review import review, withdraw
from support.holds import REVIEWER, REVIEWER_2, STAFF, STRANGER, Desk, person
from support.memory_ledger import MemoryLedger

ABSENT = "hold_" + "0" * 32


def noted(ledger: MemoryLedger) -> list[tuple[str | None, str, str]]:
    """Who was refused what, and how."""
    refused = [event for event in ledger.events if event.type == "hold.refused"]
    return [(event.actor, event.data["act"], event.data["code"]) for event in refused]


async def test_each_refusal_is_recorded_once_an_hour(desk: Desk, ledger: MemoryLedger) -> None:
    """By person, hold, act and code; trying again adds nothing."""
    view = await desk.file()
    for _ in range(3):
        with pytest.raises(Forbidden):
            await desk.approve(view, person("staff-7"))
        with pytest.raises(NotFound):
            await withdraw(desk.store, ledger, REVIEWER, view.hold.id)
    assert noted(ledger) == [
        ("staff-7", "review", "self_approval"),
        (REVIEWER.id, "withdraw", "not_found"),
    ]
    (one, _) = [event for event in ledger.events if event.type == "hold.refused"]
    assert (one.principal, one.exchange, one.data["hold"]) == (
        STAFF.id,
        view.hold.exchange,
        view.hold.id,
    )


async def test_what_is_taken_leaves_no_such_record(desk: Desk, ledger: MemoryLedger) -> None:
    """Nor does the same answer given again."""
    view = await desk.file()
    await desk.approve(view)
    await desk.approve(view)
    assert noted(ledger) == []
    with pytest.raises(Conflict):
        await desk.review(view, REVIEWER_2, "deny")
    assert noted(ledger) == [(REVIEWER_2.id, "review", "already_decided")]


async def test_what_cannot_be_recorded_is_not_told(desk: Desk, ledger: MemoryLedger) -> None:
    """Without the ledger the answer is that it is away."""
    view = await desk.file()
    ledger.lose_before = 1
    with pytest.raises(LedgerUnavailable):
        async with refusals_noted(desk.store, ledger, STRANGER, view.hold.id, "read"):
            raise NotFound("There is no such hold.")
    assert noted(ledger) == []


@pytest.mark.parametrize("hold_id", [ABSENT, "x"])
async def test_an_id_that_is_nobodys_hold_leaves_nothing(
    desk: Desk, ledger: MemoryLedger, hold_id: str
) -> None:
    """There is no exchange to record it with."""
    with pytest.raises(NotFound):
        await review(
            desk.store, ledger, REVIEWER, hold_id, decision="approve", binding="x", reason=""
        )
    assert ledger.events == []


async def test_a_decision_under_way_is_nobodys_fault(desk: Desk, ledger: MemoryLedger) -> None:
    """Who is told to try again was not refused."""
    view = await desk.file()
    with pytest.raises(Conflict):
        async with refusals_noted(desk.store, ledger, REVIEWER, view.hold.id, "review"):
            raise Conflict("Try again.", code="busy")
    assert noted(ledger) == []

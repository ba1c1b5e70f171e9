from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sekisho.clearance import Clearance
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.decision import HoldTerms
from sekisho.model.outgoing import Approval
from sekisho.stages.record import record
from sekisho_audit.events import Appended, Event
from support.holds import ONE_REVIEW, STAFF, exchange, outgoing
from support.memory_ledger import MemoryLedger

SET_ASIDE = {"tokens": 7, "spend_micros": 0}


def _clearance(approval: Approval | None = None) -> Clearance:
    leaving = outgoing(exchange(), STAFF, HoldTerms("request", ONE_REVIEW, 600, 10))
    return Clearance(leaving, approval)


async def test_all_of_an_exchange_is_one_batch() -> None:
    """Received, decision and intent become durable together, and the proof names the intent."""
    ledger = MemoryLedger()
    recorded = await record(
        _clearance(), ledger, session="s1", later=lambda _: None, charged=SET_ASIDE
    )

    assert ["request.received", "policy.decision", "backend.intent"] == ledger.types()
    assert (ledger.events[2].id, 2) == (recorded.intent, recorded.index)
    assert ("s1", SET_ASIDE) == tuple(
        ledger.events[2].data[name] for name in ("session", "charged")
    )


async def test_another_attempt_writes_its_intent_only() -> None:
    """What was received and decided is not said twice."""
    ledger = MemoryLedger()
    await record(
        _clearance(), ledger, session="s1", later=lambda _: None, charged=SET_ASIDE, attempt=2
    )

    assert ["backend.intent"] == ledger.types()


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_an_intent_that_may_stand_there_gets_its_outcome_later(fault: str) -> None:
    """Whether it took effect or not: no proof is returned and the outcome is given for later."""
    ledger = MemoryLedger()
    setattr(ledger, fault, 1)
    later: list[Event] = []

    with pytest.raises(LedgerUnavailable):
        await record(_clearance(), ledger, session="s1", later=later.append, charged=SET_ASIDE)

    (event,) = later
    assert ("failed", "never_sent") == (event.data["status"], event.data["cause"])
    standing = [e.id for e in ledger.events if e.type == "backend.intent"]
    assert standing in ([], [event.data["intent"]])


async def test_an_intent_the_ledger_refuses_has_no_outcome() -> None:
    """It was not written, so nothing is open."""
    approval = Approval("hold_nobody_filed", 1, "b")
    later: list[Event] = []

    with pytest.raises(LedgerRefused):
        await record(
            _clearance(approval),
            MemoryLedger(),
            session="s1",
            later=later.append,
            charged=SET_ASIDE,
        )

    assert not later


class _Stuck(MemoryLedger):
    """Never answers."""

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        await super().append(events)
        await asyncio.Event().wait()
        return []


async def test_a_client_that_leaves_while_it_is_written_leaves_no_intent_open() -> None:
    """The outcome is given for later; auditd matches it to the intent if that stands there."""
    ledger, later = _Stuck(), list[Event]()
    task = asyncio.create_task(
        record(_clearance(), ledger, session="s1", later=later.append, charged=SET_ASIDE)
    )
    while not ledger.events:
        await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [ledger.events[2].id] == [event.data["intent"] for event in later]

"""One outcome, with what stands before and after it; what cannot be written is told bare, later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from sekisho.clearance import Clearance, Recorded
from sekisho.errors import LedgerRefused, LedgerUnavailable, SekishoError
from sekisho.model import evidence
from sekisho.model.decision import Decision, Effect
from sekisho.model.facts import Facts
from sekisho.model.limits import Estimate, Spender
from sekisho.model.outgoing import Outgoing
from sekisho.ports import Ledger
from sekisho.releasing.outcome import CLIENT_GONE, SHUTDOWN, Outcome, cause_of
from sekisho_audit.events import Appended, Event, Payload
from support.unlimited import BookedCharge

SPENDER = Spender("staff-7", frozenset(), "m", "b")
ANSWER = Payload("answer", b"secret", b"secret")


@dataclass
class Book:
    """A ledger that takes or refuses a batch, when its gate is open."""

    fails: SekishoError | None = None
    batches: list[list[Event]] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        self.batches.append(list(events))
        return [Appended(n, "", {}) for n, _ in enumerate(events)]


class Case:
    """An intent whose outcome is due."""

    def __init__(self, fails: SekishoError | None = None) -> None:
        decision = Decision(Effect.ALLOW, (), "sha256:0")
        facts = Facts({}, "b", ())
        outgoing = Outgoing(
            "x1", "staff-7", "b", "m", "chat.completions", "/p", b"{}", False, facts, decision, ()
        )
        self.book = Book(fails)
        self.later: list[Event] = []
        self.charge = BookedCharge(SPENDER, Estimate(1, 1), forced=False)
        recorded = Recorded(Clearance(outgoing, None), "i1", 0)
        ledger = cast("Ledger", self.book)
        self.outcome = Outcome(recorded, ledger, self.later.append, self.charge)


def other(code: str) -> Event:
    """Some other event."""
    return evidence.refused("x1", "staff-7", code, 403, "release")


async def test_what_belongs_together_is_one_batch_and_the_charge_names_the_outcome() -> None:
    """Wherever in the batch the outcome stands."""
    case = Case()
    before = [other("a"), other("b")]

    await case.outcome.settle("held", {}, ANSWER, before=before, after=[other("c")])

    (batch,) = case.book.batches
    assert ["a", "b", None, "c"] == [event.data.get("code") for event in batch]
    assert [2] == [index for _, index in case.charge.settled]


async def test_a_second_outcome_does_nothing() -> None:
    """Neither written nor told."""
    case = Case()
    await case.outcome.settle("held", {})

    await case.outcome.settle("failed", {})
    case.outcome.abandon("x")

    assert 1 == len(case.book.batches)
    assert not case.later


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (LedgerUnavailable("down"), "released", "released"),
        (LedgerUnavailable("down"), "held", "failed"),
        (LedgerRefused("no", code="undecided_hold"), "held", "failed"),
        (LedgerRefused("no", code="undecided_hold"), "released", "failed"),
    ],
)
async def test_what_cannot_be_written_is_told_bare(
    error: SekishoError, status: str, told: str
) -> None:
    """Without content and, for what nobody got, as failed."""
    case = Case(error)

    with pytest.raises(type(error)):
        await case.outcome.settle(status, {}, ANSWER)

    (event,) = case.later
    assert (told, ()) == (event.data["status"], event.payloads)


async def test_a_caller_that_leaves_does_not_stop_the_writing() -> None:
    """And if that is lost, it is told later."""
    case = Case(LedgerRefused("no", code="undecided_hold"))
    case.book.gate = asyncio.Event()
    task = asyncio.create_task(case.outcome.settle("held", {}, ANSWER))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    case.book.gate.set()
    async with asyncio.timeout(5):
        while not case.later:
            await asyncio.sleep(0)

    said = case.later[0].data
    assert ("failed", "undecided_hold") == (said["status"], said["cause"])


def test_why_a_handler_was_cancelled() -> None:
    """A hang-up says so; all else is this worker stopping."""
    assert CLIENT_GONE == cause_of(asyncio.CancelledError(CLIENT_GONE))
    assert SHUTDOWN == cause_of(asyncio.CancelledError())

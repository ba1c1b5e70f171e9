"""Outcomes that could not be written are written when the ledger is back, once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sekisho import unsettled
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.unsettled import Unsettled
from sekisho_audit.events import Appended, Event


class Moody:
    """A ledger whose next answers are given; None takes the events."""

    def __init__(self, *moods: Exception | None) -> None:
        self.moods = list(moods)
        self.taken: list[str] = []

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        mood = self.moods.pop(0) if self.moods else None
        if mood is not None:
            raise mood
        self.taken += [event.id for event in events]
        return []


def _event(name: str) -> Event:
    return Event(id=name, type="backend.outcome", exchange="x", principal="p", data={})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsettled, "PAUSE_S", 0.0)


async def test_it_keeps_trying_in_order() -> None:
    """Two failures, then both events are there, the older first."""
    ledger = Moody(LedgerUnavailable("down"), LedgerUnavailable("down"))
    queue = Unsettled(ledger)  # type: ignore[arg-type]
    queue.add(_event("a"))
    queue.add(_event("b"))

    await queue.flush()

    assert ["a", "b"] == ledger.taken
    assert 0 == len(queue)


async def test_what_the_ledger_refuses_is_dropped() -> None:
    """The intent never got there, so neither must its outcome; the next one is not blocked."""
    ledger = Moody(LedgerRefused("unknown", code="unknown_intent"))
    queue = Unsettled(ledger)  # type: ignore[arg-type]
    queue.add(_event("a"))
    queue.add(_event("b"))

    await queue.flush()

    assert ["b"] == ledger.taken


async def test_the_task_wakes_up_for_each_event() -> None:
    """Nothing has to be flushed by hand while the worker runs."""
    ledger = Moody()
    queue = Unsettled(ledger)  # type: ignore[arg-type]
    running = asyncio.create_task(queue.run())

    for name in ("a", "b"):
        queue.add(_event(name))
        while name not in ledger.taken:
            await asyncio.sleep(0)
    running.cancel()

    assert ["a", "b"] == ledger.taken


async def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue takes no more: auditd will close what is left as unknown."""
    monkeypatch.setattr(unsettled, "EVENTS_MAX", 2)
    queue = Unsettled(Moody())  # type: ignore[arg-type]

    for name in "abc":
        queue.add(_event(name))

    assert queue.full
    assert 2 == len(queue)

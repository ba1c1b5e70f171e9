"""Ending content whose time is over, step by step, so that a crash leaves a duty and not a doubt.

1. `begin`: record `retention.begun` with the ceilings and how far each class is over. From here on
   it will be finished, by the next start if need be.
2. `destroy`: the keys of shelves that are over go from the file of keys, but for what a legal hold
   keeps at that moment. From here on nobody can open what they sealed.
3. The search index forgets the texts (`retention_desk.py`).
4. `finish`: record `retention.applied`.

A shelf is over when the first instant of its epoch is as many days ago as its class may be kept, so
nothing is kept longer, and what began late in a month ends up to a month early. What a run has
ended is ended: a longer ceiling does not bring it back, nor do old keys, unless a legal hold kept
it back then. All of it runs in the writer's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho_audit.custody import Custody
from sekisho_audit.events import Event
from sekisho_audit.form import epochs_of
from sekisho_audit.ids import uuid7
from sekisho_audit.keyring import Keyring
from sekisho_audit.ledger import Ledger
from sekisho_audit.retention import (
    CLASSES,
    CONTENT,
    KEEP,
    Retention,
    class_on,
    day_of,
    day_text,
    first_day,
)
from sekisho_audit.shelves import LegalHold

RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Due:
    """Keys (principal, shelf) that are over, and how many are kept back in each class."""

    keys: tuple[tuple[str, str], ...]
    held: Mapping[str, int]
    there: Mapping[str, int]  # keys of each class, over or not

    def rows(self, days: Mapping[str, int | None], over: Mapping[str, int]) -> list[dict[str, Any]]:
        """As events and reports tell it."""
        keys = Counter(class_on(shelf) for _, shelf in self.keys)
        rows = []
        for which in CLASSES:
            ceiling = days[which]
            row: dict[str, Any] = {
                "class": which,
                "days": KEEP if ceiling is None else ceiling,
                "keys": keys[which],
                "held": self.held.get(which, 0),
            }
            if which in over:
                row["up_to"] = day_text(over[which])
            rows.append(row)
        return rows


@dataclass(frozen=True, slots=True)
class Run:
    """One that has begun: its event, how far each class is over, and why a start does it, if so."""

    begun: str
    over: Mapping[str, int]
    cause: str = ""


def over_at(retention: Retention, now_us: int) -> dict[str, int]:
    """For each class with a ceiling the last first day that is over at a time."""
    today = day_of(now_us)
    days = {which: retention.days[which] for which in CLASSES}
    return {which: today - ceiling for which, ceiling in days.items() if ceiling is not None}


def due(ledger: Ledger, over: Mapping[str, int]) -> Due:
    """What is over now. Raises Poisoned."""
    custody = ledger.custody
    return ledger.with_keys(lambda ring: _due(ring, custody, over))


def _due(ring: Keyring, custody: Custody, over: Mapping[str, int]) -> Due:
    held, spared = _Holds(custody.holds.values()), _Holds(custody.shelves.spared)
    keys, kept, there = [], Counter[str](), Counter[str]()
    known: dict[str, tuple[str, int | None]] = {}  # many people have the same shelves
    for principal, shelf in ring.shelves():
        if shelf not in known:
            known[shelf] = class_on(shelf), first_day(shelf)
        which, first = known[shelf]
        there[which] += 1
        if first is None:
            continue
        person = ring.known(principal)
        ended = custody.shelves.ended.get(which, first - 1)
        if spared.keep(person, shelf):
            ended = first - 1
        if first > max(over.get(which, first - 1), ended):
            continue
        if held.keep(person, shelf):
            kept[which] += 1
        else:
            keys.append((principal, shelf))
    return Due(tuple(keys), kept, there)


class _Holds:
    """What some legal holds keep: everything of a person, or one epoch of theirs."""

    def __init__(self, holds: Iterable[LegalHold]) -> None:
        every = list(holds)
        self._people = {hold.person for hold in every if hold.exchange is None}
        self._epochs = {
            (hold.person, epoch)
            for hold in every
            if hold.exchange is not None
            for epoch in epochs_of(hold.exchange)
        }

    def keep(self, person: str | None, shelf: str) -> bool:
        """Whether a key of somebody must stay."""
        return person in self._people or (person, shelf.partition("/")[0]) in self._epochs


def begin(
    ledger: Ledger, retention: Retention, now_us: int, officers: Sequence[str] = ()
) -> Run | None:
    """Record what is over; None if nothing is, and no ceiling changed. Raises Refused, Poisoned."""
    over = over_at(retention, now_us)
    found = due(ledger, over)
    if not found.keys and dict(retention.days) == ledger.custody.shelves.days:
        return None
    data: dict[str, Any] = {"classes": found.rows(retention.days, over)}
    if officers[1:]:
        data["second"] = officers[1]
    actor = officers[0] if officers else None
    begun = Event(uuid7(), "retention.begun", None, None, data, actor)
    ledger.record_all([begun])
    return Run(begun.id, over)


def unfinished(ledger: Ledger) -> Iterator[Run]:
    """What a start finds: a run that was cut off."""
    begun = ledger.custody.shelves.begun
    if begun is not None:
        yield Run(begun.event, begun.over, RESTART)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run destroyed, and whose keys of class content are among it."""

    due: Due
    people: tuple[str, ...]


def destroy(ledger: Ledger, run: Run) -> Ended:
    """Destroy the keys; nothing is left to do if it was done before. Raises Poisoned."""
    found = due(ledger, run.over)
    if found.keys:
        ledger.with_keys(lambda ring: ring.destroy(found.keys))
    people = {name for name, shelf in found.keys if class_on(shelf) == CONTENT}
    return Ended(found, tuple(sorted(people)))


def finish(ledger: Ledger, run: Run, ended: Ended, *, texts: int) -> int:
    """Record that it is done; returns the index. Raises Refused, Poisoned."""
    rows = ended.due.rows(ledger.custody.shelves.days, run.over)
    data: dict[str, Any] = {"begun": run.begun, "classes": rows, "texts": texts}
    if run.cause:
        data["cause"] = run.cause
    [place] = ledger.record_all([Event(uuid7(), "retention.applied", None, None, data)])
    return place.index

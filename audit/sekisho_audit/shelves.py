"""Which shelf a key stands on, and which shelves are over: as the ledger's own events say it.

A new ceiling counts from the event `retention.begun` that records it. So an exchange that began
before keeps its shelf, whatever the settings say after a restart, and its commitments go on to be
comparable. What a run has once ended stays ended: a longer ceiling later, or old keys that come
back, do not open it again. Kept by the writer, from leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sekisho_audit.retention import (
    CONTENT,
    DAILY_BELOW_DAYS,
    KEEP,
    TABLE,
    Retention,
    class_on,
    day_from,
    day_of,
    first_day,
    shelf,
)

Leaf = Mapping[str, Any]
_SHELVES_CACHED = 4_096  # exchanges under way began within the same few seconds
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class LegalHold:
    """What must be kept: everything of a person, or (`exchange`) one exchange of theirs."""

    person: str
    exchange: str | None


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run that is on record and not yet over: its event's id, and for each class the last first
    day that is over (days since 1970).
    """

    event: str
    over: Mapping[str, int]


@dataclass(slots=True)
class Shelves:
    """The state after some prefix of the ledger."""

    days: dict[str, int | None] = field(default_factory=lambda: dict(Retention().days))
    begun: BegunRun | None = None
    ended: dict[str, int] = field(default_factory=dict)  # class -> last first day any run ended
    spared: set[LegalHold] = field(default_factory=set)  # what kept something back in a run
    # Which classes had daily keys since when: (seconds since 1970, is daily), in order.
    turns: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)
    _known: dict[tuple[str, str, int], str] = field(default_factory=dict, repr=False, compare=False)

    def of(self, kind: str, name: str, seconds: int) -> str:
        """The shelf of a payload of an exchange (or an event) that began at a time."""
        known = self._known.get((kind, name, seconds))
        return self._find(kind, name, seconds) if known is None else known

    def _find(self, kind: str, name: str, seconds: int) -> str:
        if len(self._known) >= _SHELVES_CACHED:
            self._known.clear()
        which = TABLE.get((kind, name), CONTENT)
        found = shelf(which, seconds, daily=self._daily(which, seconds))
        self._known[kind, name, seconds] = found
        return found

    def _daily(self, which: str, seconds: int) -> bool:
        daily = False
        for since, then in self.turns.get(which, ()):
            if seconds >= since:
                daily = then
        return daily

    def is_over(self, where: str, now_us: int) -> bool:
        """Whether nothing may be sealed under a key of this shelf any more, unless it is there."""
        first, days = first_day(where), self.days.get(class_on(where))
        if first is None:
            return False
        ended = self.ended.get(class_on(where))
        over = ended is not None and first <= ended
        return over or (days is not None and first + days <= day_of(now_us))

    # -- what the ledger says

    def begin(self, leaf: Leaf, holds: Iterable[LegalHold]) -> None:
        """A run began; `holds` are the legal holds of that moment."""
        classes: Sequence[Leaf] = leaf["data"]["classes"]
        over = {}
        for row in classes:
            which, days = row["class"], None if row["days"] == KEEP else row["days"]
            self._turn(which, days, leaf["ts"])
            last = day_from(row.get("up_to", ""))
            if last is not None:
                over[which] = last
                self.ended[which] = max(last, self.ended.get(which, last))
        self.begun = BegunRun(leaf["id"], over)
        self.spared.update(holds)

    def _turn(self, which: str, days: int | None, ts: int) -> None:
        self.days[which] = days
        daily = days is not None and days < DAILY_BELOW_DAYS
        turns = self.turns.setdefault(which, [])
        if daily != (turns[-1][1] if turns else False):
            # From the next second on: within one, all of a class is on one shelf.
            turns.append((ts // _US + 1, daily))
            self._known.clear()

    def finish(self, leaf: Leaf) -> None:
        """A run is over."""
        if self.begun is not None and self.begun.event == leaf["data"]["begun"]:
            self.begun = None

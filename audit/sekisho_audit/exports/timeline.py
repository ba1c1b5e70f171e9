"""What a selection of events says, sorted for people: counts, and exchanges as lists of events.

Everything is counted; only so many exchanges and events are kept as can be read. One pass, bounded
memory, whatever the ledger holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sekisho_audit.marks import owner_of

Leaf = Mapping[str, Any]

EXCHANGES_SHOWN_MAX = 500  # a report of a few thousand lines; beyond, nobody reads
EVENTS_SHOWN_MAX = 200  # of one exchange
SINGLES_SHOWN_MAX = 500

_COUNTED = {
    "policy.decision": ("effects", "effect"),
    "hold.settled": ("states", "state"),
    "backend.outcome": ("statuses", "status"),
}


@dataclass(slots=True)
class Trail:
    """One exchange of one owner, with the events that are shown and how many are not."""

    exchange: str
    owner: str | None
    leaves: list[Leaf] = field(default_factory=list)
    unshown: int = 0


@dataclass(slots=True)
class Timeline:
    """All of a selection."""

    events: int = 0
    types: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    trails: dict[tuple[str, str | None], Trail | None] = field(default_factory=dict)
    singles: list[Leaf] = field(default_factory=list)
    singles_count: int = 0

    def take(self, leaf: Leaf) -> None:
        """Add the next event."""
        kind, data = leaf["type"], leaf["data"]
        self.events += 1
        self.types[kind] += 1
        if kind in _COUNTED:
            counter, member = _COUNTED[kind]
            getattr(self, counter)[data[member]] += 1
        if leaf["exchange"] is None:
            self.singles_count += 1
            if len(self.singles) < SINGLES_SHOWN_MAX:
                self.singles.append(leaf)
            return
        self._place(leaf)

    def _place(self, leaf: Leaf) -> None:
        key = leaf["exchange"], owner_of(leaf)
        if key not in self.trails:
            shown = len(self.trails) < EXCHANGES_SHOWN_MAX
            self.trails[key] = Trail(*key) if shown else None
        trail = self.trails[key]
        if trail is None:
            return
        if len(trail.leaves) < EVENTS_SHOWN_MAX:
            trail.leaves.append(leaf)
        else:
            trail.unshown += 1

    @property
    def shown(self) -> list[Trail]:
        """The exchanges that are shown, in the order of the ledger."""
        return [trail for trail in self.trails.values() if trail is not None]

    @property
    def found(self) -> int:
        """How many a search tells: exchanges (of each owner), and events that belong to none."""
        return len(self.trails) + self.singles_count

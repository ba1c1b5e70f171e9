"""What the ledger's own events say about the keeping of content: officers, legal holds, erasures,
ceilings, prunings.

Kept by the writer as it reads and writes leaves, so it is as true after a restart as before, and
nobody changes it but by an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sekisho_audit.shelves import LegalHold, Shelves

Leaf = Mapping[str, Any]
UNSEEN_US = 31 * 86_400 * 1_000_000  # so long nothing may happen in a ledger that is used


@dataclass(frozen=True, slots=True)
class Office:
    """An officer as recorded last."""

    credential: str
    duties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pruning:
    """Leaves below `size` are to be removed; `state` the hash (hex) of what they leave."""

    size: int
    state: str


@dataclass(slots=True)
class Custody:
    """The state after some prefix of the ledger; people are pseudonyms."""

    officers: dict[str, Office] = field(default_factory=dict)
    two: tuple[str, ...] = ()
    holds: dict[str, LegalHold] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)  # event of an erasure -> whose
    erased: dict[str, str] = field(default_factory=dict)  # whose -> event of the erasure
    erased_us: int = 0  # when the last erasure began
    shelves: Shelves = field(default_factory=Shelves)
    seen_us: int = 0  # when the last event was written
    leap_us: int = 0  # an event whose clock stood that far ahead of the one before it
    pruning: Pruning | None = None  # the last one on record

    def held(self, person: str) -> list[str]:
        """Ids of the legal holds that keep something of a person."""
        return [name for name, hold in self.holds.items() if hold.person == person]

    def leapt(self, now_us: int) -> bool:
        """Whether a clock stands so far ahead of the ledger that it may be wrong: then nothing is
        destroyed by it until an officer has asked for it.
        """
        return now_us - self.seen_us > UNSEEN_US or now_us >= self.leap_us > 0

    def apply(self, leaf: Leaf) -> None:
        """Take the next leaf, which the rules have let pass."""
        ts = leaf["ts"]
        if ts > self.seen_us + UNSEEN_US and self.seen_us:
            self.leap_us = ts
        self.seen_us = ts
        rule = _RULES.get(leaf["type"])
        if rule is not None:
            rule(self, leaf)

    def _officer(self, leaf: Leaf) -> None:
        data, pseudonym = leaf["data"], leaf["principal"]
        if data["removed"]:
            self.officers.pop(pseudonym, None)
        else:
            self.officers[pseudonym] = Office(data["credential"], tuple(data["duties"]))

    def _paired(self, leaf: Leaf) -> None:
        self.two = tuple(leaf["data"]["duties"])

    def _hold(self, leaf: Leaf) -> None:
        self.holds[leaf["id"]] = LegalHold(leaf["data"]["person"], leaf["exchange"])

    def _release(self, leaf: Leaf) -> None:
        self.holds.pop(leaf["data"]["hold"], None)

    def _begin(self, leaf: Leaf) -> None:
        self.begun[leaf["id"]] = leaf["data"]["person"]
        self.erased[leaf["data"]["person"]] = leaf["id"]
        self.erased_us = max(self.erased_us, leaf["ts"])

    def _done(self, leaf: Leaf) -> None:
        self.begun.pop(leaf["data"]["begun"], None)

    def _begin_retention(self, leaf: Leaf) -> None:
        self.shelves.begin(leaf, self.holds.values())
        if leaf["actor"] is not None:
            self.leap_us = 0

    def _finish_retention(self, leaf: Leaf) -> None:
        self.shelves.finish(leaf)

    def _prune(self, leaf: Leaf) -> None:
        self.pruning = Pruning(leaf["data"]["size"], leaf["data"]["state"])


_RULES = {
    "officer.changed": Custody._officer,  # noqa: SLF001 - the table belongs to the class
    "officer.paired": Custody._paired,  # noqa: SLF001
    "legal_hold.set": Custody._hold,  # noqa: SLF001
    "legal_hold.released": Custody._release,  # noqa: SLF001
    "erasure.begun": Custody._begin,  # noqa: SLF001
    "erasure.done": Custody._done,  # noqa: SLF001
    "retention.begun": Custody._begin_retention,  # noqa: SLF001
    "retention.applied": Custody._finish_retention,  # noqa: SLF001
    "audit.pruned": Custody._prune,  # noqa: SLF001
}

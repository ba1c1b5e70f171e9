"""What the ledger's own events say about the keeping of content: who the officers are.

Kept by the writer as it reads and writes leaves, so it is as true after a restart as before, and
nobody changes it but by an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Leaf = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Office:
    """An officer as recorded last."""

    credential: str
    duties: tuple[str, ...]


@dataclass(slots=True)
class Custody:
    """The state after some prefix of the ledger; people are pseudonyms."""

    officers: dict[str, Office] = field(default_factory=dict)
    two: tuple[str, ...] = ()

    def apply(self, leaf: Leaf) -> None:
        """Take the next leaf, which the rules have let pass."""
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


_RULES = {
    "officer.changed": Custody._officer,  # noqa: SLF001 - the table belongs to the class
    "officer.paired": Custody._paired,  # noqa: SLF001
}

"""What the book of rules remembers: what was decided, what was sent, which holds were filed.

Values only; `rules.py` says when they change, `hold_rules.py` what a hold must be to change so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Leaf = Mapping[str, Any]
# Obligations are any document. Reviews that do not read were asked for all the same: as no hold
# can have these, none will do.
_UNREADABLE: Sequence[Leaf] = ({},)


class RuleBroken(ValueError):
    """An event that may not stand where it stands; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Decided:
    """What policy last said about an exchange at one stage, and whether it ever asked for people
    there: a later word of policy does not take that back.

    `thresholds` are the reviews that it asked for last, None if the record does not tell them.
    `must_justify`: whether it ever wanted a reason of whoever asked; this, too, stays.
    """

    effect: str
    must_hold: bool
    revision: str | None = None
    thresholds: Sequence[Leaf] | None = None
    must_justify: bool = False

    @classmethod
    def after(cls, before: Decided | None, data: Leaf, *, held: bool) -> Decided:
        """The standing after the decision `data`; `held` tells whether it wants people here."""
        asked = hold_asked(data).get("thresholds") if held else None
        if asked is not None and not isinstance(asked, (list, tuple)):
            asked = _UNREADABLE
        # Whatever stands there but `false` was asked for: no reading of it lets more through.
        justify = data["obligations"].get("justify", False) is not False
        if before is not None:
            held = held or before.must_hold
            asked = before.thresholds if asked is None else asked
            justify = justify or before.must_justify
        return cls(data["effect"], held, data.get("revision"), asked, justify)


def hold_asked(data: Leaf) -> Leaf:
    """The terms of the hold that a decision asks for, empty if it tells none."""
    asked = data["obligations"].get("hold")
    return asked if isinstance(asked, dict) else {}


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent without an outcome."""

    session: str
    exchange: str
    hold: str | None
    principal: str | None
    index: int


@dataclass(frozen=True, slots=True)
class Filed:
    """A hold in its latest version, with everything that happened to it."""

    hold: str
    leaf: Leaf
    reviews: tuple[Leaf, ...] = ()
    settled: Leaf | None = None
    intent: str | None = None
    outcome: str | None = None
    justified: Leaf | None = None

    @property
    def data(self) -> Leaf:
        """The data of the filing event."""
        return self.leaf["data"]  # type: ignore[no-any-return]

    @property
    def thresholds(self) -> Sequence[Leaf]:
        """Who must approve it; nobody where only a reason is asked for."""
        return self.data.get("thresholds", ())  # type: ignore[no-any-return]

    @property
    def must_justify(self) -> bool:
        """Whether it waits for a reason of whoever asked."""
        return bool(self.data.get("justify", False))

    @property
    def approved(self) -> bool:
        """Whether people have let it pass."""
        return self.settled is not None and self.settled["data"]["state"] == "approved"

    def touched_us(self) -> int:
        """When its time ends or last something happened, whichever is later."""
        settled = self.settled["ts"] if self.settled else 0
        return max(int(self.data["expires_us"]), int(settled))


def commit_of(leaf: Leaf, name: str) -> str | None:
    """The commitment to payload `name` of a leaf."""
    for entry in leaf["pl"]:
        if entry["name"] == name:
            return str(entry["commit"])
    return None


def requesters(leaf: Leaf) -> frozenset[str]:
    """The pseudonyms that stand for whoever asked: principal, and the person behind it."""
    return frozenset(filter(None, (leaf["principal"], leaf["data"].get("person"))))


def reviewer(leaf: Leaf) -> str:
    """The pseudonym of the person who reviewed."""
    return str(leaf["data"].get("person") or leaf["actor"])

"""Break-glass as the ledger knows it: who opened, how long, which use may stand, who reviewed it.

A person who may opens it for rules that they name; each use is an event that stands before the
decision that it answers, as with grants. It is for that very person, within its time, and lifts a
hold only: never a denial or a reason that is asked for. Any switch ends every opening. It stays
known until another person reviewed it; who leaves that too long, or has too many unreviewed, opens
none.

Roles are not recorded here: there the gateway alone is the judge. `rules.py` shows the leaves in
order and keeps the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sekisho_audit import thresholds
from sekisho_audit.officer_rules import Put
from sekisho_audit.standing import (
    Answer,
    Leaf,
    RuleBroken,
    hold_asked,
    holds_asked,
    stage_of,
)

STANDING_MAX = 256  # as switches and grants
UNREVIEWED_MAX = 4  # of one person: longer than four openings is no emergency
RULES_MAX = 20
MINUTES_MAX = 60
REVIEW_HOURS_MAX = 168  # a week
MINUTE_US = 60 * 1_000_000
HOUR_US = 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Opening:
    """What somebody opened, and what became of it. `ended` is the end before its time."""

    leaf: Leaf
    used: int = 0
    ended: Leaf | None = None
    halted_us: int | None = None

    @property
    def person(self) -> str:
        """The pseudonym of whoever opened it."""
        return str(self.leaf["actor"])

    @property
    def stopped(self) -> bool:
        """Whether it ended before its time."""
        return self.ended is not None or self.halted_us is not None

    @property
    def until_us(self) -> int:
        """When it ended, or ends by itself."""
        ends = [int(self.leaf["ts"]) + int(self.leaf["data"]["minutes"]) * MINUTE_US]
        ends += [int(self.ended["ts"])] if self.ended is not None else []
        ends += [self.halted_us] if self.halted_us is not None else []
        return min(ends)

    @property
    def review_by_us(self) -> int:
        """Until when another person has to have reviewed it."""
        return self.until_us + int(self.leaf["data"]["review_hours"]) * HOUR_US

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "leaf": self.leaf,
            "used": self.used,
            "ended": self.ended,
            "halted_us": self.halted_us,
        }

    def open_at(self, now_us: int) -> bool:
        """Whether it answers anything."""
        return not self.stopped and now_us <= self.until_us


@dataclass(frozen=True, slots=True)
class Breach:
    """A use whose decision has not come yet, with the opening as it stood then."""

    leaf: Leaf
    opening: Opening


class BreakGlassRules:
    """The openings that nobody reviewed, after some prefix of the ledger, by their names.

    `named` has uses by the decision that they answer, until that comes; `cleared` the requests that
    one let go: by which opening, to which backend; None once they left.
    """

    def __init__(self, put: Put, drop: Callable[[dict[str, Any], str], None]) -> None:
        self._put, self._drop = put, drop
        self.standing: dict[str, Opening] = {}
        self.named: dict[str, Breach] = {}
        self.cleared: dict[str, tuple[str, str] | None] = {}

    def take(self, leaf: Leaf) -> None:
        """The next event of a type in `BREAK_GLASS_EVENTS`. Raises RuleBroken."""
        _RULES[leaf["type"]](self, leaf)

    def stop(self, leaf: Leaf) -> None:
        """A switch was set: whoever still needs it opens anew, knowing of the switch."""
        for key, one in list(self.standing.items()):
            if one.open_at(leaf["ts"]):
                self._put(self.standing, key, replace(one, halted_us=leaf["ts"]))

    def told(self) -> dict[str, Any]:
        """All of it as JSON, nothing where there is nothing: `carried.py` reads it back."""
        if not (self.standing or self.named or self.cleared):
            return {}
        return {
            "standing": [one.told() for one in self.standing.values()],
            "named": [
                {"use": one.leaf, "opening": one.opening.told()} for one in self.named.values()
            ],
            "cleared": [
                [exchange, None if let is None else list(let)]
                for exchange, let in self.cleared.items()
            ],
        }

    def opened_for(self, leaf: Leaf) -> bool:
        """Whether something is open for whoever asks, so that what is foreseen may be answered."""
        return any(
            one.person == leaf["principal"] and one.open_at(leaf["ts"])
            for one in self.standing.values()
        )

    def answers(self, leaf: Leaf, answer: Answer | None) -> bool:
        """Whether a use stands for this decision, and may. Raises RuleBroken."""
        breach = self.named.get(leaf["id"])
        if breach is None:
            return False
        _check_decision(leaf, breach, answer or Answer())
        self._drop(self.named, leaf["id"])
        if stage_of(leaf["data"]) == "request":
            data = breach.leaf["data"]
            self._put(self.cleared, leaf["exchange"], (data["opening"], data["backend"]))
        return True

    def check_intent(self, leaf: Leaf) -> None:
        """What an opening let go leaves once, to that backend, and not after a stop. Raises
        RuleBroken.
        """
        exchange = leaf["exchange"]
        if exchange not in self.cleared:
            return
        let = self.cleared[exchange]
        if let is None or let[1] != leaf["data"]["backend"]:
            raise RuleBroken("unopened_intent", "the opening let it go once, to another backend")
        opening = self.standing.get(let[0])
        if opening is None or opening.stopped:
            raise RuleBroken("break_glass_over", "the opening ended before it was sent")
        self._put(self.cleared, exchange, None)

    def _opened(self, leaf: Leaf) -> None:
        data, now_us = leaf["data"], leaf["ts"]
        within = (
            0 < len(data["rules"]) <= RULES_MAX
            and 0 < data["minutes"] <= MINUTES_MAX
            and 0 < data["review_hours"] <= REVIEW_HOURS_MAX
        )
        if not within or leaf["actor"] is None or leaf["principal"] is not None:
            raise RuleBroken(
                "bad_opening", "rules, minutes or the time of review are out of bounds"
            )
        mine = [one for one in self.standing.values() if one.person == leaf["actor"]]
        if any(one.open_at(now_us) for one in mine):
            raise RuleBroken("break_glass_open", "this person has one open already")
        if len(mine) >= UNREVIEWED_MAX or any(now_us > one.review_by_us for one in mine):
            raise RuleBroken("break_glass_unreviewed", "earlier openings of this person wait")
        if len(self.standing) >= STANDING_MAX:
            raise RuleBroken("break_glass_unreviewed", f"{STANDING_MAX} openings wait for review")
        self._put(self.standing, leaf["id"], Opening(leaf))

    def _known(self, leaf: Leaf) -> Opening:
        found = self.standing.get(leaf["data"]["opening"])
        if found is None:
            raise RuleBroken("unknown_opening", "no such opening stands")
        return found

    def _used(self, leaf: Leaf) -> None:
        opening, data = self._known(leaf), leaf["data"]
        if not opening.open_at(leaf["ts"]):
            raise RuleBroken("break_glass_over", "the opening has ended")
        if leaf["principal"] is None or leaf["principal"] != opening.person:
            raise RuleBroken("foreign_opening", "it is open for somebody else")
        if data["number"] != opening.used + 1:
            raise RuleBroken("stale_use", "the use does not follow the one before")
        if data["decision"] in self.named:
            raise RuleBroken("second_use", "a decision is answered by one opening")
        self._put(self.named, data["decision"], Breach(leaf, opening))
        self._put(self.standing, data["opening"], replace(opening, used=opening.used + 1))

    def _ended(self, leaf: Leaf) -> None:
        opening, cause = self._known(leaf), leaf["data"]["cause"]
        if not opening.open_at(leaf["ts"]):
            raise RuleBroken("break_glass_over", "the opening has ended before")
        by = leaf["actor"]
        fits = {"person": by == opening.person, "operator": by not in {None, opening.person}}
        if not fits.get(cause, by is None):
            raise RuleBroken("bad_ending", "whoever opened it, an operator or nobody ends it")
        self._put(self.standing, leaf["data"]["opening"], replace(opening, ended=leaf))

    def _reviewed(self, leaf: Leaf) -> None:
        opening, data = self._known(leaf), leaf["data"]
        if leaf["actor"] is None or opening.person in {leaf["actor"], data.get("person")}:
            raise RuleBroken("self_review", "nobody reviews what they opened themselves")
        if opening.open_at(leaf["ts"]):
            raise RuleBroken("break_glass_open", "it is reviewed when it is over")
        if data["uses"] != opening.used:
            raise RuleBroken("stale_review", "the review is of another number of uses")
        self._drop(self.standing, data["opening"])


def _check_decision(leaf: Leaf, breach: Breach, answer: Answer) -> None:
    """The decision holds something, and only by rules that the opening names."""
    data, stage = leaf["data"], stage_of(leaf["data"])
    used, named = breach.leaf, breach.opening.leaf["data"]["rules"]
    if leaf["exchange"] != used["exchange"] or leaf["principal"] != used["principal"]:
        raise RuleBroken("foreign_opening", "the use is of another exchange")
    if data["effect"] == "deny":
        raise RuleBroken("unopened", "no opening answers a denial")
    if data["obligations"].get("justify", False) is not False:
        raise RuleBroken("unopened", "a reason is asked for, and no opening gives it")
    rules = _held_now(data, stage)
    asked = answer.asked if stage == "response" else {}
    if stage in answer.foreseen or stage in asked:
        behind = answer.behind.get(stage)
        if behind is None:
            raise RuleBroken("unopened", "which rules hold this is not told, or none is opened")
        rules |= set(behind)
    if not rules or not rules <= set(named):
        raise RuleBroken("unopened", "other rules hold this than the opening names")


def _held_now(data: Mapping[str, Any], stage: str) -> set[str]:
    """The rules that hold what this decision is about at its own stage."""
    if stage in holds_asked({**data, "effect": "allow"}):
        raise RuleBroken("unopened", "what is to hold it later is not of a later stage")
    if data["effect"] != "hold":
        return set()
    terms, rules = hold_asked(data), set(data.get("rules", ()))
    if terms.get("stage") != stage or terms.get("no_break_glass", False) is not False or not rules:
        raise RuleBroken("unopened", "the rules say that no opening answers this")
    asked = terms.get("thresholds")
    reads = isinstance(asked, (list, tuple)) and thresholds.strict(asked, asked)
    if not asked or not reads:
        raise RuleBroken("unopened", "which reviews are asked for cannot be read")
    return rules


_RULES = {
    "break_glass.opened": BreakGlassRules._opened,  # noqa: SLF001 - the table belongs to the class
    "break_glass.used": BreakGlassRules._used,  # noqa: SLF001
    "break_glass.ended": BreakGlassRules._ended,  # noqa: SLF001
    "break_glass.reviewed": BreakGlassRules._reviewed,  # noqa: SLF001
}
BREAK_GLASS_EVENTS = frozenset(_RULES)

"""Break-glass: what somebody opened in an emergency, and whether it answers what is held now.

An opening answers holds of the rules that it names, of requests of whoever opened it, for minutes.
The ledger says what is open and has the last word about each use
(`sekisho_audit.break_glass_rules`); nothing of it is kept anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho_audit.events import Event

Status = Literal["open", "unreviewed", "overdue"]
Ended = Literal["", "time", "person", "operator", "halted", "person_gone"]


@dataclass(frozen=True, slots=True)
class Opening:
    """An opening as the ledger has it until somebody reviewed it. `until_us` is its end, `ended`
    why it came before its time ("": it did not). `reason` is empty where nobody can read it.
    """

    id: str
    person: str
    rules: tuple[str, ...]
    minutes: int
    review_hours: int
    reason: str
    opened_us: int
    until_us: int
    review_by_us: int
    used: int = 0
    ended: Ended = ""

    def open_at(self, now_us: int) -> bool:
        """Whether it answers anything, as far as is known here."""
        return not self.ended and now_us <= self.until_us

    def status_at(self, now_us: int) -> Status:
        """Whether it is open, or waits for its review, too long or not."""
        if self.open_at(now_us):
            return "open"
        return "overdue" if self.overdue_at(now_us) else "unreviewed"

    def ended_at(self, now_us: int) -> Ended:
        """Why it ended; empty while it is open."""
        return "" if self.open_at(now_us) else self.ended or "time"

    def overdue_at(self, now_us: int) -> bool:
        """Whether its time of review is over: then whoever opened it opens nothing more."""
        return now_us > self.review_by_us


@dataclass(frozen=True, slots=True)
class Need:
    """A decision as it will be recorded, and the rules that hold what it is about: none where it
    may go on by itself.
    """

    event: Event
    rules: frozenset[str]


def need(
    event: Event, stage: str, decision: Decision, foreseen: Sequence[HoldTerms], reasons_max: int
) -> Need | None:
    """What an opening has to answer so that this goes on; None if none can.

    `foreseen` are the terms that other decisions set for this stage. A record has room for
    `reasons_max` reasons, and rules that are not told are not opened.
    """
    asked = decision.obligations
    now = [asked.hold] if decision.effect is Effect.HOLD and asked.hold is not None else []
    terms = [*foreseen, *now]
    told = all(one.rules for one in foreseen) and len(decision.reasons) <= reasons_max
    fits = all(one.stage == stage and one.thresholds for one in terms)
    shut = any(one.no_break_glass for one in terms)
    unasked = decision.effect is Effect.HOLD and not now
    if decision.effect is Effect.DENY or asked.justify or unasked or shut or not (told and fits):
        return None
    rules = {rule for one in foreseen for rule in one.rules}
    if now:
        rules |= {reason.rule for reason in decision.reasons}
    return None if terms and not rules else Need(event, frozenset(rules))


def answers(opening: Opening, needs: Sequence[Need]) -> bool:
    """Whether the opening names every rule that holds any of this."""
    wanted = frozenset().union(*(one.rules for one in needs))
    return bool(wanted) and wanted <= set(opening.rules)

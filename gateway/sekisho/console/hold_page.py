"""What the page of one hold shows to whom: a reviewer decides, whoever asked waits.

Pure: a view of the hold and who looks at it become the values of a template. What an answer says is
not among them while it is withheld from who asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sekisho.console.alarms import hidden_in, mixed_in
from sekisho.console.bound import Bound, bound_of
from sekisho.console.difference import Change, differences
from sekisho.holding.break_glass_desk import may_open
from sekisho.holding.review import (
    REASON_CHARS_MAX,
    RISK_NEEDS_REASON,
    is_others_turn,
    is_own,
    is_own_words,
    is_withheld,
    may_review,
)
from sekisho.holding.seed import Found, found
from sekisho.model import steps
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldState, HoldView, Review
from sekisho.model.principal import Principal, Scope

OPEN = frozenset({HoldState.PENDING, HoldState.DECIDING})
_UNANSWERED = frozenset({HoldState.PENDING, HoldState.EXPIRED, HoldState.WITHDRAWN})
AGAIN = OPEN | {HoldState.APPROVED, HoldState.DISPATCHING}
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Seats:
    """How far one threshold is: `given` of `wanted` approvals by `reviewers`."""

    reviewers: str
    given: int
    wanted: int


@dataclass(frozen=True, slots=True)
class StepLine:
    """One of several steps: `standing` is `done`, `now`, `ahead` or `denied`; `reviews` are the
    answers that were given at it.
    """

    number: int
    standing: str
    seats: tuple[Seats, ...]
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Masked:
    """How often a kind of personal data was found, and how often its mask stands in the bytes."""

    kind: str
    found: int
    masked: int


@dataclass(frozen=True, slots=True)
class HoldPage:
    """The values of `hold.html`. Times are seconds since the epoch. `emergency`: nobody answered,
    and the reader may go on by break-glass.
    """

    hold: Hold
    state: str
    own: bool
    bound: Bound | None
    changes: tuple[Change, ...]
    hidden: int
    mixed: int
    seats: tuple[Seats, ...]
    steps: tuple[StepLine, ...]
    open_step: int
    others_turn: bool
    masked: tuple[Masked, ...]
    labels: tuple[str, ...]
    may_decide: bool
    may_approve: bool
    may_edit: bool
    may_withdraw: bool
    emergency: bool
    may_justify: bool
    reason_needed: bool
    answered: str
    unjustified: bool
    waits: bool
    was: Found | None
    now: int
    left_s: int

    @property
    def created(self) -> int:
        """When it was filed."""
        return self.hold.created_us // _MICROS

    @property
    def expires(self) -> int:
        """When it ends by itself."""
        return self.hold.expires_us // _MICROS

    @property
    def masks(self) -> frozenset[str]:
        """Kinds whose masks are struck where they stand."""
        return frozenset(one.kind for one in self.masked if one.masked)

    @property
    def reason_chars_max(self) -> int:
        """How long a reason may be."""
        return REASON_CHARS_MAX

    @property
    def standing(self) -> str:
        """What whoever asked is told: the state, or what a pending one waits for besides people."""
        if self.state != HoldState.PENDING:
            return self.state
        if self.unjustified:
            return "unjustified"
        if self.hold.asked_anew:
            return "anew"
        return "alone" if self.hold.starts_alone else self.state


def hold_page(view: HoldView, reader: Principal, now_us: int) -> HoldPage:
    """The page of `view` for `reader`, who may see it."""
    hold = view.hold
    bound = None if is_withheld(view, reader) else bound_of(hold.outgoing, hold.stage)
    is_open = view.state in OPEN
    answered = next((r.decision for r in steps.of_version(view) if r.reviewer == reader.id), "")
    may_decide = (
        is_open
        and may_review(reader, view)
        and Scope.REVIEW in reader.scopes
        and reader.owner is None
        and not answered
    )
    own = is_own(reader, hold)
    text = bound.text if bound is not None and bound.is_text else ""
    return HoldPage(
        hold=hold,
        state=view.state.value,
        own=own,
        bound=bound,
        changes=differences(hold.before, hold.outgoing) if hold.before and bound else (),
        hidden=hidden_in(text),
        mixed=mixed_in(text),
        seats=_seats(view) if not steps.ordered(hold.thresholds) else (),
        steps=_steps(view) if steps.ordered(hold.thresholds) else (),
        open_step=steps.open_step_of(view),
        others_turn=is_open and not answered and not own and is_others_turn(reader, view),
        masked=_masked(hold),
        labels=_labels(hold),
        may_decide=may_decide,
        may_approve=may_decide and not view.unjustified and not is_own_words(reader, hold),
        may_edit=may_decide and any(c.offered is not None for c in (bound.calls if bound else ())),
        may_withdraw=own and view.state is HoldState.PENDING,
        emergency=(
            hold.principal == reader.id
            and view.state in _UNANSWERED
            and bool(hold.rules)
            and may_open(reader)
        ),
        may_justify=own and is_open and view.unjustified and reader.owner is None,
        reason_needed=hold.risk >= RISK_NEEDS_REASON,
        answered=answered,
        unjustified=view.unjustified,
        waits=view.state in AGAIN,
        was=found(view),
        now=now_us // _MICROS,
        left_s=max(0, (hold.expires_us - now_us) // _MICROS),
    )


def _seats(view: HoldView) -> tuple[Seats, ...]:
    return _filled(view.hold.thresholds, steps.of_version(view))


def _filled(thresholds: Sequence[Threshold], reviews: Sequence[Review]) -> tuple[Seats, ...]:
    approvals = [one for one in reviews if one.decision == steps.APPROVE]
    return tuple(
        Seats(
            wanted.reviewers,
            min(wanted.approve, sum(wanted.reviewers in one.counts_for for one in approvals)),
            wanted.approve,
        )
        for wanted in thresholds
    )


def _steps(view: HoldView) -> tuple[StepLine, ...]:
    all_steps = steps.steps_of(view)
    now = steps.current(all_steps) if view.state in OPEN else None
    return tuple(
        StepLine(
            one.number,
            _standing(one, open_now=one is now),
            _filled(one.thresholds, one.reviews),
            one.reviews,
        )
        for one in all_steps
    )


def _standing(step: steps.Step, *, open_now: bool) -> str:
    if step.denied:
        return "denied"
    if step.full:
        return "done"
    return "now" if open_now else "ahead"


def _masked(hold: Hold) -> tuple[Masked, ...]:
    """What the facts say was found, beside how often a mask of that kind stands in the bytes."""
    text = hold.outgoing.decode(errors="replace")
    entities: dict[str, int] = {}
    for facts in _facts(hold):
        said = facts.get("entities")
        for kind, count in said.items() if isinstance(said, dict) else ():
            if isinstance(count, int):
                entities[str(kind)] = max(count, entities.get(str(kind), 0))
    return tuple(
        Masked(kind, count, text.count(f"[{kind.upper()}]"))
        for kind, count in sorted(entities.items())
    )


def _labels(hold: Hold) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for facts in _facts(hold):
        said = facts.get("labels")
        found |= dict.fromkeys(map(str, said)) if isinstance(said, list) else {}
    return tuple(found)


def _facts(hold: Hold) -> list[Mapping[str, Any]]:
    """What the rules were told of the content: one document for a request, several of an answer."""
    try:
        said = orjson.loads(hold.facts)
    except orjson.JSONDecodeError:
        return []
    documents = said if isinstance(said, list) else [said]
    contents = [one.get("content") for one in documents if isinstance(one, dict)]
    return [one for one in contents if isinstance(one, dict)]

"""Several terms on which one thing is held, as one: each group of reviewers is asked for the most,
at each step at which it is asked.

An answer can be held by what was decided about its request, by the rules about each tool call in it
and by the rules about the answer. It is shown once and decided once, on terms that meet them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from sekisho.model.decision import HoldTerms, Threshold
from sekisho.model.hold import Hold
from sekisho.model.office import Office


def together(terms: Sequence[HoldTerms]) -> HoldTerms | None:
    """The terms that meet all of `terms`; None if there are none.

    For each group at a step the most approvals and the fewest denials, relief by whom all of them
    let relieve it; the shortest time (of office time only if all are), the highest risk.
    The stage is `response` if any is of it, since the answer holds its tool calls.
    """
    if not terms:
        return None
    asked: dict[tuple[int, str], Threshold] = {}
    for one in (threshold for each in terms for threshold in each.thresholds):
        known = asked.get(_place(one), one)
        asked[_place(one)] = Threshold(
            one.reviewers,
            max(known.approve, one.approve),
            min(known.deny, one.deny),
            one.step,
            tuple(group for group in one.relief if group in known.relief),
        )
    stages = {one.stage for one in terms}
    return HoldTerms(
        stage="response" if "response" in stages else terms[0].stage,
        thresholds=tuple(asked[place] for place in sorted(asked)),
        ttl_s=min(one.ttl_s for one in terms),
        risk=max(one.risk for one in terms),
        rules=tuple(sorted({rule for one in terms for rule in one.rules})),
        no_grant=any(one.no_grant for one in terms),
        office_time=all(one.office_time for one in terms),
        no_break_glass=any(one.no_break_glass for one in terms),
    )


class Times(TypedDict):
    """The members of a hold that say how long people have."""

    expires_us: int
    office_s: int
    relief_us: int


def times(terms: HoldTerms, now_us: int, office: Office) -> Times:
    """How long people have from now on, and when others may answer in their place."""
    return {
        "expires_us": ends_us(terms, now_us, office),
        "office_s": terms.ttl_s if terms.office_time else 0,
        "relief_us": relief_us(terms, now_us, office),
    }


def ends_us(terms: HoldTerms, now_us: int, office: Office) -> int:
    """When the time is over that people have from now on."""
    return _after(terms.ttl_s, terms, now_us, office)


def relief_us(terms: HoldTerms, now_us: int, office: Office) -> int:
    """When those may answer too who relieve the reviewers; 0 where nobody does."""
    if not any(one.relief for one in terms.thresholds):
        return 0
    return _after(terms.ttl_s * office.escalation_percent / 100, terms, now_us, office)


def unrelieved(thresholds: Sequence[Threshold]) -> tuple[Threshold, ...]:
    """The same, answered by nobody but those who are asked."""
    return tuple(replace(one, relief=()) for one in thresholds)


def _after(part_s: float, terms: HoldTerms, now_us: int, office: Office) -> int:
    if terms.office_time:
        return office.after(now_us, part_s)
    return now_us + int(part_s * 1_000_000)


def asked_anew(hold: Hold, more: Sequence[HoldTerms]) -> HoldTerms:
    """The terms of the next version of `hold`: all that it asked for, and `more`. People have as
    long as they would for a new one.
    """
    ttl_s = hold.office_s or max(1, (hold.expires_us - hold.created_us) // 1_000_000)
    then = HoldTerms(hold.stage, hold.thresholds, ttl_s, hold.risk, office_time=bool(hold.office_s))
    return together([then, *more]) or then


def satisfied(now: HoldTerms, then: Sequence[Threshold], approvals: int) -> bool:
    """Whether reviews collected under `then` meet what is asked now.

    Every threshold asked now must have been asked then from the same reviewers, at the same step,
    with at least as many approvals; a new group of reviewers was never asked and so cannot be
    satisfied, nor can one that should have looked after others, nor one in whose place others could
    answer who may not any more. A hold that names nobody is no hold that anybody could have
    satisfied.
    """
    asked = {_place(threshold): threshold for threshold in then}
    return bool(now.thresholds) and all(
        (known := asked.get(_place(threshold))) is not None
        and threshold.approve <= known.approve <= approvals
        and set(known.relief) <= set(threshold.relief)
        for threshold in now.thresholds
    )


def _place(threshold: Threshold) -> tuple[int, str]:
    return threshold.step, threshold.reviewers

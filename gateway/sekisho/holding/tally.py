"""Whether the reviews of a hold decide it. Pure; used before an outcome is recorded and when the
live state is rebuilt, so both come to the same answer.

Any threshold whose denials are reached denies. All thresholds must have their approvals to approve,
step by step (model/steps.py), and one person counts for one of them only: two people asked for are
two people.
"""

from __future__ import annotations

from collections.abc import Sequence

from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldState, Review
from sekisho.model.steps import APPROVE, replay


def tally(thresholds: Sequence[Threshold], version: int, reviews: Sequence[Review]) -> HoldState:
    """APPROVED, DENIED, or PENDING while reviews are missing; never APPROVED without thresholds.

    `reviews` are in the order in which they were given.
    """
    by_person = {review.person: review for review in reviews if review.version == version}
    steps = replay(thresholds, list(by_person.values()))
    if any(step.denied for step in steps):
        return HoldState.DENIED
    done = bool(steps) and all(step.full for step in steps)
    return HoldState.APPROVED if done else HoldState.PENDING


def standing(hold: Hold, reviews: Sequence[Review], *, justified: bool) -> HoldState:
    """As `tally`, for a hold: none that waits for a reason is approved without it, and the reason
    alone approves one that asks for nothing else. What nobody has to answer starts by itself. A
    test item is never approved: enough approvals take it back, and nothing goes on.
    """
    if hold.starts_alone:
        return HoldState.APPROVED
    by_reviews = tally(hold.thresholds, hold.version, reviews)
    if hold.seed:
        return HoldState.WITHDRAWN if by_reviews is HoldState.APPROVED else by_reviews
    if not hold.justify:
        return by_reviews
    if by_reviews is HoldState.APPROVED and not justified:
        return HoldState.PENDING
    return HoldState.APPROVED if justified and not hold.thresholds else by_reviews


def approvers(reviews: Sequence[Review]) -> list[str]:
    """The persons who approved."""
    return sorted({one.person for one in reviews if one.decision == APPROVE})

"""Whether the reviews of a hold decide it. Pure; used before an outcome is recorded and when the
live state is rebuilt, so both come to the same answer.

Any threshold whose denials are reached denies. All thresholds must have their approvals to approve,
and one person counts for one of them only: two people asked for are two people.
"""

from __future__ import annotations

from collections.abc import Sequence

from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldState, Review

APPROVE = "approve"
DENY = "deny"


def tally(thresholds: Sequence[Threshold], version: int, reviews: Sequence[Review]) -> HoldState:
    """APPROVED, DENIED, or PENDING while reviews are missing; never APPROVED without thresholds."""
    by_person = {review.person: review for review in reviews if review.version == version}
    counted = list(by_person.values())
    for threshold in thresholds:
        denials = sum(r.decision == DENY and threshold.reviewers in r.counts_for for r in counted)
        if denials >= max(threshold.deny, 1):
            return HoldState.DENIED
    if not thresholds:
        return HoldState.PENDING
    seats = [t.reviewers for t in thresholds for _ in range(max(t.approve, 1))]
    approvals = [r.counts_for for r in counted if r.decision == APPROVE]
    return HoldState.APPROVED if _can_fill(seats, approvals) else HoldState.PENDING


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


def _can_fill(seats: Sequence[str], approvals: Sequence[Sequence[str]]) -> bool:
    """Whether every seat can have a person of its own (augmenting paths; both lists are short)."""
    taken: dict[int, int] = {}

    def seat(person: int, tried: set[int]) -> bool:
        for number, reviewers in enumerate(seats):
            if number in tried or reviewers not in approvals[person]:
                continue
            tried.add(number)
            if number not in taken or seat(taken[number], tried):
                taken[number] = person
                return True
        return False

    return sum(seat(person, set()) for person in range(len(approvals))) >= len(seats)

"""When reviews decide: persons count, and never fewer than were asked for."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.holding.tally import tally
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState, Review
from sekisho.model.steps import APPROVE, DENY


def said(person: str, decision: str, *counts_for: str, version: int = 1) -> Review:
    """A review in short."""
    return Review("r", "h", version, person, person, decision, "", "b", 0, counts_for)


TWO = (Threshold("reviewer", 2, 1),)
BOTH = (Threshold("legal", 1, 1), Threshold("security", 1, 2))


@pytest.mark.parametrize(
    ("thresholds", "reviews", "outcome"),
    [
        ((), [], HoldState.PENDING),
        ((), [said("a", APPROVE, "reviewer")], HoldState.PENDING),
        (TWO, [said("a", APPROVE, "reviewer")], HoldState.PENDING),
        (TWO, [said("a", APPROVE, "reviewer")] * 2, HoldState.PENDING),
        (TWO, [said("a", APPROVE, "reviewer"), said("b", APPROVE, "other")], HoldState.PENDING),
        (TWO, [said(p, APPROVE, "reviewer") for p in "ab"], HoldState.APPROVED),
        (TWO, [said("a", DENY, "reviewer")], HoldState.DENIED),
        (TWO, [said("a", DENY, "other")], HoldState.PENDING),
        (TWO, [said(p, APPROVE, "reviewer", version=2) for p in "ab"], HoldState.PENDING),
        (BOTH, [said("a", APPROVE, "legal", "security")], HoldState.PENDING),
        (BOTH, [said(p, APPROVE, "legal") for p in "ab"], HoldState.PENDING),
        (BOTH, [said("a", DENY, "security")], HoldState.PENDING),
        (BOTH, [said(p, DENY, "security") for p in "ab"], HoldState.DENIED),
        ((Threshold("reviewer", 0, 0),), [], HoldState.PENDING),
    ],
)
def test_the_table(
    thresholds: tuple[Threshold, ...], reviews: list[Review], outcome: HoldState
) -> None:
    """Each line is one way in which reviews do or do not decide."""
    assert tally(thresholds, 1, reviews) is outcome


def test_order_does_not_matter() -> None:
    """Someone who may fill two seats is seated so that all seats can be filled."""
    reviews = [
        said("a", APPROVE, "legal", "security"),
        said("b", APPROVE, "legal"),
    ]
    for order in permutations(reviews):
        assert tally(BOTH, 1, order) is HoldState.APPROVED


@given(
    st.lists(
        st.builds(
            said,
            st.sampled_from("abcd"),
            st.sampled_from([APPROVE, DENY]),
            st.sampled_from(["legal", "security", "none"]),
        ),
        max_size=8,
    )
)
def test_an_approval_has_as_many_persons_as_were_asked_for(reviews: list[Review]) -> None:
    """Whatever was said, approved means two different persons approved, one of each group."""
    if tally(BOTH, 1, reviews) is HoldState.APPROVED:
        last = {one.person: one for one in reviews}.values()
        approving = {one.person for one in last if one.decision == APPROVE}
        assert len(approving) >= 2

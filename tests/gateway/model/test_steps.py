"""At which step a hold stands: that follows from its reviews, in their order."""

from __future__ import annotations

import pytest

from sekisho.model.decision import Threshold
from sekisho.model.hold import Review
from sekisho.model.steps import at, current, numbers, open_step, ordered, replay

LEAD, COMPLIANCE = Threshold("team-lead", 2, 1), Threshold("compliance", 1, 2, 2)
BOTH = (COMPLIANCE, LEAD)


def said(who: str, group: str, step: int = 1, decision: str = "approve") -> Review:
    """A review in short."""
    return Review(who, "h", 1, who, who, decision, "", "b", 0, (group,), step)


FIRST = [said("a", "team-lead"), said("b", "team-lead")]


@pytest.mark.parametrize(
    ("reviews", "step"),
    [
        ([], 1),
        (FIRST[:1], 1),
        (FIRST, 2),
        ([*FIRST, said("c", "compliance", 2)], 2),  # the last stays open: there is no other
        ([FIRST[0], said("b", "team-lead", decision="deny")], 1),
        ([said("a", "compliance"), said("b", "compliance")], 1),
        ([said("c", "compliance", 2), *FIRST], 2),
    ],
)
def test_the_open_step(reviews: list[Review], step: int) -> None:
    """The first that lacks approvals."""
    assert open_step(BOTH, reviews) == step


def test_a_review_counts_at_the_step_it_names() -> None:
    """And at that only, so what was said at one step fills no seat of another."""
    group_twice = (Threshold("team-lead", 1, 1), Threshold("team-lead", 1, 1, 2))
    first, second = replay(group_twice, FIRST)
    assert (first.full, second.full) == (True, False)
    assert (len(first.reviews), second.reviews) == (2, ())


def test_denials_count_at_their_step() -> None:
    """As many as the threshold says, of those who are asked there."""
    one = [*FIRST, said("c", "compliance", 2, "deny")]
    assert not any(step.denied for step in replay(BOTH, one))
    two = [*one, said("d", "compliance", 2, "deny")]
    assert [step.denied for step in replay(BOTH, two)] == [False, True]
    other = [*FIRST, said("c", "team-lead", 2, "deny"), said("d", "team-lead", 2, "deny")]
    assert not any(step.denied for step in replay(BOTH, other))


def test_what_is_ahead_is_empty() -> None:
    """A review that names a step before it opened is at none."""
    _, second = replay(BOTH, [said("c", "compliance", 2)])
    assert second.reviews == ()


def test_steps_need_not_begin_with_the_first() -> None:
    """Rules may leave numbers out; the lowest there is is asked first."""
    late = (Threshold("a", 1, 1, 5), Threshold("b", 1, 1, 3))
    assert (numbers(late), open_step(late, []), ordered(late)) == ([3, 5], 3, True)
    assert at(late, 3) == (late[1],)
    assert not ordered(late[:1])


def test_where_nobody_is_asked_there_is_no_step() -> None:
    """And the first is said to be open."""
    assert (replay((), []), current(()), open_step((), [])) == ((), None, 1)

"""Several terms are one that meets them all."""

from __future__ import annotations

from sekisho.holding.terms import satisfied, together
from sekisho.model.decision import HoldTerms, Threshold


def test_the_strictest_of_each_counts() -> None:
    """The most approvals, the fewest denials, the shortest time, the highest risk; `response`
    covers the calls in it.
    """
    calls = HoldTerms("tool_call", (Threshold("reviewer", 2, 2),), 600, 10)
    answer = HoldTerms("response", (Threshold("reviewer", 1, 1), Threshold("legal", 1, 1)), 60, 80)

    asked = (Threshold("legal", 1, 1), Threshold("reviewer", 2, 1))
    assert HoldTerms("response", asked, 60, 80) == together([calls, answer])
    assert HoldTerms("response", asked, 60, 80) == together([answer, calls])


def test_alone_it_is_what_it_was() -> None:
    """And nothing is nothing."""
    calls = HoldTerms("tool_call", (Threshold("reviewer", 2, 2),), 600, 10)

    assert calls == together([calls])
    assert together([]) is None


def test_satisfied_needs_every_group_that_is_asked_now() -> None:
    """As many approvals from the same groups; a hold that names nobody is never satisfied."""
    now = HoldTerms("response", (Threshold("reviewer", 2, 1),), 60, 1)

    assert satisfied(now, (Threshold("reviewer", 2, 1),), 2)
    assert not satisfied(now, (Threshold("reviewer", 2, 1),), 1)
    assert not satisfied(now, (Threshold("reviewer", 1, 1),), 2)
    assert not satisfied(now, (Threshold("legal", 2, 1),), 2)
    assert not satisfied(HoldTerms("response", (), 60, 1), (Threshold("reviewer", 2, 1),), 2)

"""Several terms are one that meets them all."""

from __future__ import annotations

from sekisho.holding.terms import ends_us, satisfied, together
from sekisho.model.decision import HoldTerms, Threshold
from sekisho.model.office import Office


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


def test_time_is_office_time_only_if_all_terms_say_so() -> None:
    """The clock on the wall is the stricter one."""
    slow = HoldTerms("response", (Threshold("reviewer", 1, 1),), 60, 1, office_time=True)
    fast = HoldTerms("response", (Threshold("reviewer", 1, 1),), 600, 1)

    both, alone = together([slow, fast]), together([slow, slow])
    assert both is not None
    assert alone is not None
    assert (60, False) == (both.ttl_s, both.office_time)
    assert (60, True) == (alone.ttl_s, alone.office_time)


def test_time_ends_by_the_clock_or_by_the_calendar() -> None:
    """From a Friday evening on, an hour ends that evening or on Monday morning."""
    friday_us = 1_764_356_400_000_000  # 2025-11-28 19:00 UTC
    terms = HoldTerms("response", (Threshold("reviewer", 1, 1),), 3600, 1)
    slow = HoldTerms("response", (Threshold("reviewer", 1, 1),), 3600, 1, office_time=True)

    assert friday_us + 3600 * 10**6 == ends_us(terms, friday_us, Office())
    assert friday_us + (61 + 1) * 3600 * 10**6 == ends_us(slow, friday_us, Office())

"""Several terms are one that meets them all."""

from __future__ import annotations

from dataclasses import replace

from sekisho.holding.terms import ends_us, relief_us, satisfied, together
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


def test_relief_is_what_all_want() -> None:
    """It widens who may answer, so everybody who asks has to let it."""
    one = HoldTerms("request", (Threshold("a", 1, 1, relief=("x", "y")),), 600, 10)
    two = HoldTerms("request", (Threshold("a", 2, 1, relief=("y",)),), 600, 10)
    none = HoldTerms("request", (Threshold("a", 1, 1),), 600, 10)
    both = together([one, two])
    assert both is not None
    assert both.thresholds == (Threshold("a", 2, 1, relief=("y",)),)
    assert together([one, none]) == together([none, one]) == none


def test_relief_comes_at_its_part_of_the_time() -> None:
    """Of office time where that is what people have; never, where nobody relieves."""
    terms = HoldTerms("request", (Threshold("a", 1, 1, relief=("x",)),), 4 * 3600, 10)
    friday_us = 1_795_186_800_000_000  # 2026-11-20 15:00 UTC, and the office closes at 19:00
    assert relief_us(terms, friday_us, Office()) - friday_us == 3 * 3600 * 1_000_000
    in_office = replace(terms, ttl_s=8 * 3600, office_time=True)
    monday_us = friday_us + (2 * 86_400 + 9 * 3600 + 8 * 3600 + 2 * 3600) * 1_000_000
    assert relief_us(in_office, friday_us, Office()) == monday_us
    assert relief_us(replace(terms, thresholds=(Threshold("a", 1, 1),)), friday_us, Office()) == 0


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

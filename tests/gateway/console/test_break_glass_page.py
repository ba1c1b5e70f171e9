"""What the pages of break-glass show: states, times, and the most urgent first."""

from __future__ import annotations

from sekisho.console.break_glass_page import opening_page, openings_page
from sekisho.holding.break_glass_desk import OpeningLimits
from support.break_glass import MINUTE_US, opening

NOW_US = 1_000 * MINUTE_US
HOUR_US = 60 * MINUTE_US
OPEN = opening(opened_us=NOW_US - MINUTE_US, until_us=NOW_US + 3 * MINUTE_US, used=2)
LONGER = opening(opened_us=NOW_US, until_us=NOW_US + 9 * MINUTE_US)
OVER = opening(until_us=NOW_US - HOUR_US, review_by_us=NOW_US + HOUR_US)
OVERDUE = opening(until_us=NOW_US - 9 * HOUR_US, review_by_us=NOW_US - 1, ended="halted")


def test_the_most_urgent_comes_first() -> None:
    """What ends soonest, and what has waited longest."""
    given = [LONGER, OVER, OPEN, OVERDUE]
    page = openings_page(given, NOW_US, OpeningLimits(), may_open=False, said=True)

    assert [one.opening for one in page.open] == [OPEN, LONGER]
    assert [one.opening for one in page.waiting] == [OVERDUE, OVER]
    assert (page.may_open, page.said, page.now) == (False, True, 60_000)


def test_an_opening_at_a_moment() -> None:
    """Its state, why it ended, and how long it is still open."""
    at = [opening_page(one, ["end"], NOW_US).view for one in (OPEN, OVER, OVERDUE)]

    assert [one.state for one in at] == ["open", "unreviewed", "overdue"]
    assert [one.ended for one in at] == ["", "time", "halted"]
    assert [one.left_s for one in at] == [180, 0, 0]
    assert (at[0].opened, at[0].until, at[1].review_by) == (59_940, 60_180, 63_600)

"""Settings of break-glass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sekisho.config.break_glass import BreakGlassSettings


def test_it_is_short_unless_somebody_says_otherwise() -> None:
    """A quarter of an hour, an hour at most, reviewed within a day, a sign-in of five minutes."""
    made = BreakGlassSettings()

    assert (made.minutes_default, made.minutes_max) == (15, 60)
    assert (made.review_hours, made.sign_in_s) == (24, 300)


@pytest.mark.parametrize(
    "other",
    [
        {"minutes_max": 61},
        {"minutes_max": 10},
        {"minutes_default": 0},
        {"review_hours": 169},
        {"sign_in_s": 3601},
    ],
)
def test_what_would_make_a_rule_of_it_is_refused(other: dict[str, int]) -> None:
    """The ledger's own bounds, and a default that fits."""
    with pytest.raises(ValidationError):
        BreakGlassSettings(**other)

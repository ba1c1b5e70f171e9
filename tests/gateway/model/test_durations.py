from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.model.durations import in_words

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 s"),
        (120, "120 s"),
        (121, "3 min"),
        (3_600, "1 h"),
        (16_116, "4 h 29 min"),
        (86_400, "24 h"),
        (86_401, "1 d 1 h"),
        (700_000, "8 d 3 h"),
    ],
)
def test_a_time_is_told_as_people_say_it(seconds: int, words: str) -> None:
    """Two units are enough."""
    assert words == in_words(seconds)


@given(st.integers(1, 40 * 86_400))
def test_whoever_comes_back_then_is_not_too_early(seconds: int) -> None:
    """Rounded up, and by less than the smaller unit."""
    words = in_words(seconds).split()
    told = sum(
        int(count) * UNITS[unit] for count, unit in zip(words[::2], words[1::2], strict=True)
    )
    assert seconds <= told < seconds + (3_600 if seconds > 86_400 else 60)

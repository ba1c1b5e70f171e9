from __future__ import annotations

import pytest

from sekisho.model.care import RISK_OF_CARE, Care, words


@pytest.mark.parametrize(
    ("outgoing", "expected"),
    [
        (b"", 0),
        (b"hello " * 50, 50),
        ("工资表".encode() * 10, 15),
        (("word " * 6 + "会議").encode(), 6),
        (b"\xff\xfe" * 6, 2),
    ],
)
def test_words_are_counted_in_any_script(outgoing: bytes, expected: int) -> None:
    """About one for six letters, or two wide ones; what is no text has a length, too."""
    assert words(outgoing) == expected


def test_no_trick_with_spaces_makes_a_text_short() -> None:
    """A long text without spaces takes as long as one with them."""
    assert words(b"x" * 6000) >= words(b"xxxxx " * 1000)


def test_a_hold_of_some_risk_takes_the_time_to_read_it() -> None:
    """Three seconds and one more for fifty words, at most the ceiling; below the risk, none."""
    care = Care()

    assert care.dwell_us(RISK_OF_CARE - 1, b"x" * 10**6) == 0
    assert care.dwell_us(RISK_OF_CARE, b"") == 3_000_000
    assert care.dwell_us(RISK_OF_CARE, b"hello " * 100) == 5_000_000
    assert care.dwell_us(100, b"x" * 10**6) == 120_000_000
    assert Care(dwell_s=30, dwell_s_max=1).dwell_us(100, b"") == 30_000_000


def test_the_time_can_be_switched_off() -> None:
    """Then none is asked for, however long the text."""
    assert Care(dwell_s=0).dwell_us(100, b"x" * 10**6) == 0

"""What is hidden in a text is counted, however JSON spells it."""

from __future__ import annotations

import pytest

from sekisho.console.alarms import hidden_in, mixed_in


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("plain", 0),
        ("a\u202eb", 1),
        ('{"a": "\\u202e", "b": ["\\u202e", 1]}', 2),
        ('{"\\u202e": 1}', 1),
        ("{not json \u202e", 1),
    ],
)
def test_hidden_characters_are_counted(text: str, count: int) -> None:
    """As they stand, in values, in names, and where nothing can be taken apart."""
    assert hidden_in(text) == count


def test_words_of_two_alphabets_are_counted() -> None:
    assert mixed_in('{"a": "p\u0430ypal"}') == 1
    assert mixed_in("paypal") == 0

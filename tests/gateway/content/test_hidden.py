from __future__ import annotations

import pytest

from sekisho.content.hidden import alarming, code_point, is_hidden, mixed_words

HIDDEN = (
    "\u202e\u2066\u200b\u2060\ufeff\x00\x1b\r\u00ad\ue000\U000e0041\u3164\u2800\ufe0f\u2028"
    "\ud800\u180e\t\u00a0\u180b\u17b4\u034f"
)


@pytest.mark.parametrize("char", HIDDEN)
def test_what_nobody_sees_is_hidden(char: str) -> None:
    """Bidirectional, zero-width, controls, tags, fillers, selectors, odd spaces, surrogates."""
    assert is_hidden(char)


@pytest.mark.parametrize("char", [*"aZ9 \n.-", "é", "関", "あ", "한", "ع", "😀"])
def test_what_is_drawn_where_it_stands_is_not(char: str) -> None:
    """Letters of every script, space and line feed."""
    assert not is_hidden(char)


def test_nobody_is_warned_of_ordinary_writing() -> None:
    """Tabs, spaces of typography and of Japanese, a colourful heart; a zero-width space counts."""
    assert 0 == alarming("a\tb\u00a0c\u3000d \u2764\ufe0f")
    assert 2 == alarming("pay\u200b\u202eyap")


def test_a_character_is_named_by_its_number() -> None:
    """At least four digits, as Unicode writes it."""
    assert ("U+202E", "U+E0041", "U+0009") == tuple(map(code_point, "\u202e\U000e0041\t"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pay p\u0430ypal now", ["p\u0430ypal"]),
        ("\u0440aypal", ["\u0440aypal"]),
        ("привет world", []),
        ("\u03b1-helix", []),
        ("payp\u0430l_2 and ok", ["payp\u0430l_2"]),
    ],
)
def test_a_word_of_two_scripts_is_found(text: str, words: list[str]) -> None:
    """Not two words of one script each."""
    assert words == [text[start:end] for start, end in mixed_words(text)]


def test_a_long_word_is_searched_in_one_pass() -> None:
    """Content is the sender's choice: going back over it again and again would never end."""
    assert [] == mixed_words("a" * 200_000 + " " + "\u0430" * 200_000)

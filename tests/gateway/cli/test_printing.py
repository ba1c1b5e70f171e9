from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.cli.printing import names, table, visible, when


@pytest.mark.parametrize(
    "hidden",
    [
        *("\x1b", "\x00", "\x7f", "\x9b", "\r", "\t", "\x08", "\u200b", "\u200d", "\u202e"),
        *("\u2066", "\ufeff", "\u00ad", "\u3164", "\u115f", "\u2028", "\u00a0", "\u3000"),
        *("\U000e0041", "\ufe0f", "\U000e0100", "\ue000", "\u2800", "\ud800", "\u034f"),
    ],
)
def test_a_character_that_could_hide_something_is_spelled_out(hidden: str) -> None:
    """A reviewer sees terminal codes, direction marks, blanks and smuggled tags as such."""
    assert visible(f"a{hidden}b") == f"a<U+{ord(hidden):04X}>b"


def test_what_people_write_stays_as_it_is() -> None:
    """Letters of any script, punctuation, spaces and line ends are not touched."""
    text = 'Grüße, 关所 (せきしょ)\n{"a": 1} – € 𠮷 é'
    assert visible(text) == text


@given(st.text(st.characters()))
def test_nothing_hidden_is_left(text: str) -> None:
    """Whatever a client sent, only line feeds and drawn characters reach the terminal."""
    kinds = {unicodedata.category(char) for char in visible(text) if char not in " \n"}
    assert not kinds & {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}


def test_a_table_is_aligned_and_inert() -> None:
    """Cells cannot move the cursor; empty ones show a dash; lists and booleans are words."""
    text = table(
        [{"id": "a\x1b[2J", "on": True, "roles": ["x", "y"]}, {"id": "b", "roles": []}],
        ("id", "on", "roles"),
    )
    assert text.splitlines() == [
        "id            on   roles",
        "a<U+001B>[2J  yes  x,y",
        "b             -    -",
    ]


def test_times_are_utc_to_the_second() -> None:
    """Commands and logs can be compared."""
    assert when(1_700_000_000_999_999) == "2023-11-14T22:13:20Z"
    assert when(None) is None


def test_lists_on_the_command_line() -> None:
    """Commas separate, spaces around them do not count, nothing is an empty list."""
    assert names("a, b,,c") == ["a", "b", "c"]
    assert names("") == []

"""Words and brackets of other languages of search are refused where they would mislead."""

from __future__ import annotations

import pytest

from sekisho_audit.bad_query import JOINING, BadQuery, check_plain


@pytest.mark.parametrize("word", JOINING)
def test_words_that_join_are_refused_standing_alone(word: str) -> None:
    """Each with what to write instead; as values of fields and in small letters they are words."""
    with pytest.raises(BadQuery, match=f"at character 8: {word} joins nothing here") as told:
        check_plain(word, 7, named=False)
    assert told.value.hint.endswith("; to find the word, quote it")
    for other in (word.lower(), f"{word}S"):
        check_plain(other, 7, named=False)
    check_plain(word, 7, named=True)


@pytest.mark.parametrize(
    ("value", "named", "place"),
    [("a)", False, 8), ("a)", True, 8), ("f(x", False, 8), ("f(x))", True, 11), ("a）", False, 8)],
)
def test_a_bracket_without_its_other_is_refused(value: str, named: bool, place: int) -> None:
    """It belongs to a group that holds more than this item."""
    with pytest.raises(BadQuery, match="brackets group nothing") as told:
        check_plain(value, 7, named=named)
    assert told.value.position == place


def test_brackets_within_an_item_are_part_of_it() -> None:
    """A pattern may hold one that is not closed: it cannot be quoted."""
    for value in ("f(x)", "f(x)(y)", "f（x）"):
        check_plain(value, 0, named=False)
    check_plain("f(*", 0, named=True)

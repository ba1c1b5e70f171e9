"""Words that give labels."""

from __future__ import annotations

from sekisho.content.words import WordList, fold


def test_no_words() -> None:
    """Without words nothing is labelled."""
    assert frozenset() == WordList({}).labels("anything")
    assert frozenset() == WordList({"a": ["", " ", "*"]}).labels("anything")


def test_one_word_two_labels() -> None:
    """Every label that claims a word is given."""
    words = WordList({"a": ["plan"], "b": ["PLAN"], "c": ["other"]})

    assert {"a", "b"} == words.labels("the plan.")


def test_boundaries() -> None:
    """A Latin word stands alone; digits and letters beside it make another word."""
    words = WordList({"a": ["plan"], "b": ["plan*"]})

    assert {"b"} == words.labels("planned")
    assert {"b"} == words.labels("plan9")
    assert frozenset() == words.labels("explan")
    assert {"a", "b"} == words.labels("计划plan计划")


def test_overlapping_words() -> None:
    """A word inside another one is found as well."""
    words = WordList({"a": ["top secret"], "b": ["secret"]})

    assert {"a", "b"} == words.labels("top secret")


def test_fold() -> None:
    """Lower case, single blanks."""
    assert "a b c" == fold(" A\t\n b  C ")

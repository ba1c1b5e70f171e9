"""What is no query: an error with its place and advice, and the slips of other languages.

Elsewhere items are joined by OR, AND and NOT and grouped by brackets. Here they would be words to
look for, and find something else in silence; so whoever writes them, and not in quotes, is told.
"""

from __future__ import annotations

# What other languages of search join items by.
JOINING = {
    "OR": "the same field again means any of the values; search for each text by itself",
    "AND": "leave it out: all items must hold",
    "NOT": "write `-` before what must not be there",
}
OPENING, _CLOSING = ("(", "（"), (")", "）")


class BadQuery(ValueError):
    """A query that cannot be understood: where (characters from 0), what, and what to do."""

    def __init__(self, position: int, message: str, hint: str) -> None:
        super().__init__(f"at character {position + 1}: {message}; {hint}")
        self.position = position
        self.message = message
        self.hint = hint


def check_plain(value: str, at: int, *, named: bool) -> None:
    """Raise BadQuery for words and brackets by which other languages of search join items.

    `value` stands at `at`, without quotes; `named`: behind a field, where the words are values.
    """
    if not named and value in JOINING:
        hint = f"{JOINING[value]}; to find the word, quote it"
        raise BadQuery(at, f"{value} joins nothing here", hint)
    open_at: list[int] = []
    for place, char in enumerate(value, at):
        if char in OPENING:
            open_at.append(place)
        elif char in _CLOSING:
            if not open_at:
                raise grouped(place)
            open_at.pop()
    if open_at and not named:
        raise grouped(open_at[-1])


def grouped(at: int) -> BadQuery:
    """The error for a bracket at `at`."""
    return BadQuery(at, "brackets group nothing here", "leave them out, or quote the text")

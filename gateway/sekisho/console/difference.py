"""How one version of what is held differs from the one before, value by value.

Values are compared at their places, tool calls by their ids, and within a long text word by word.
What cannot be taken apart is compared as one text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from sekisho.console.bound import Row, parsed, rows_of

CHANGES_MAX = 500  # of more, all of both versions is shown
WORDS_MAX = 2_000  # in all: comparing takes time with the square, and the rest is shown whole
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one value: pieces as (kind, text), `same`, `gone` or `new`."""

    place: str
    pieces: tuple[tuple[str, str], ...]


def differences(before: bytes, after: bytes) -> tuple[Change, ...]:
    """Every place where they differ; none if the bytes say the same."""
    old, new = _rows(before), _rows(after)
    places = [*old, *(place for place in new if place not in old)]
    changes: list[Change] = []
    words = 0
    for place in places:
        one, other = old.get(place), new.get(place)
        if one == other:
            continue
        words += _words(one) + _words(other)
        pieces = _pieces(one, other) if words <= WORDS_MAX else _whole(one, other)
        changes.append(Change(place, tuple(pieces)))
        if len(changes) > CHANGES_MAX:
            texts = (text.decode(errors="replace") for text in (before, after))
            return (Change("", tuple(zip(("gone", "new"), texts, strict=True))),)
    return tuple(changes)


def _words(row: Row | None) -> int:
    return 0 if row is None else len(_WORD.findall(row.value))


def _rows(content: bytes) -> dict[str, Row]:
    """Every value by its place; a place that stands twice is told apart."""
    text = content.decode(errors="replace")
    document = parsed(text)
    if document is None:
        return {"": Row("", text)}
    found: dict[str, Row] = {}
    for row in rows_of(document):
        for one in _deeper(row):
            place, number = one.place, 1
            while place in found:
                number += 1
                place = f"{one.place} ({number})"
            found[place] = Row(place, one.value, one.kind)
    return found


def _deeper(row: Row) -> Iterator[Row]:
    """The arguments of a call are a document in a text: compared by what they say."""
    document = parsed(row.value) if row.place.endswith(".arguments") else None
    if isinstance(document, dict):
        yield from rows_of(document, row.place)
    else:
        yield row


def _pieces(old: Row | None, new: Row | None) -> Iterator[tuple[str, str]]:
    if old is None or new is None or old.kind != new.kind:
        yield from _whole(old, new)
        return
    before, after = _WORD.findall(old.value), _WORD.findall(new.value)
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "same", "".join(before[a:b])
            continue
        if a < b:
            yield "gone", "".join(before[a:b])
        if c < d:
            yield "new", "".join(after[c:d])


def _whole(old: Row | None, new: Row | None) -> Iterator[tuple[str, str]]:
    if old is not None:
        yield "gone", _told(old)
    if new is not None:
        yield "new", _told(new)


def _told(row: Row) -> str:
    """A value whose kind is part of what changed: the text 5 is not the number 5."""
    return row.value if row.kind != "string" else f"“{row.value}”"

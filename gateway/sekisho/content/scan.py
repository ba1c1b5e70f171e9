"""Look through a parsed body for entities and labels. Pure: no I/O, no clock, no state.

What cannot be looked through whole is refused, never passed half seen: every limit here raises.
The result tells kinds, counts and places, never a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ahocorasick

from sekisho.content.entities import COMPILED, DIGIT_GATE, Compiled
from sekisho.content.normalise import View, hidden_chars, normalise, unescape
from sekisho.content.walk import Strings
from sekisho.content.words import WordList, fold
from sekisho.errors import BadRequest
from sekisho.model.facts import Found

FOUND_MAX = 10_000  # 2 MB of nothing but addresses; such a list is not a question to a model
SIZES = ((2_000, "small"), (20_000, "medium"), (200_000, "large"))
ASCII_CHARS_PER_TOKEN = 4  # English prose; code and other scripts have fewer


@dataclass(frozen=True, slots=True)
class Scan:
    """What stands in one body. `estimated_tokens` errs on the high side for most texts."""

    found: tuple[Found, ...]
    entities: Mapping[str, int]
    labels: tuple[str, ...]
    chars: int
    estimated_tokens: int
    hidden_chars: int
    opaque_chars: int

    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """The same as policy may look at it (`sekisho.input/v1`, `content`), with these labels."""
        return {
            "labels": list(labels),
            "entities": dict(self.entities),
            "chars": self.chars,
            "hidden_chars": self.hidden_chars,
            "opaque_chars": self.opaque_chars,
            "size": next((name for most, name in SIZES if self.chars <= most), "huge"),
        }


class Scanner:
    """Holds the words of the active bundle; everything else is in the rules of `entities`."""

    def __init__(self, words: Mapping[str, Sequence[str]] | None = None) -> None:
        self._words = WordList(words or {})
        self._gate = _gate()

    def use_words(self, words: Mapping[str, Sequence[str]]) -> None:
        """Take the words of another bundle: one assignment, seen whole or not at all."""
        self._words = WordList(words)

    def scan(self, parsed: Any) -> Scan:
        """Look through every string of `parsed`, keys included, wherever it stands.

        Raises BadRequest (`content_not_scannable`) for what exceeds a limit.
        """
        strings = Strings(parsed)
        text = strings.text
        found: set[Found] = set()
        labels: set[str] = set()
        for view in _views(text):
            folded = fold(view.text)
            labels |= self._words.labels(folded)
            for compiled in self._rules(view.text, folded):
                _collect(found, compiled, view, strings)
        return Scan(
            found=tuple(sorted(found, key=_place)),
            entities=dict(Counter(hit.entity for hit in found)),
            labels=tuple(sorted(labels)),
            chars=len(text),
            estimated_tokens=_tokens(text),
            hidden_chars=hidden_chars(text),
            opaque_chars=strings.opaque_chars,
        )

    def _rules(self, text: str, folded: str) -> list[Compiled]:
        """The rules worth running on this text."""
        wanted = {number for _, numbers in self._gate.iter(folded) for number in numbers}
        digits = DIGIT_GATE.search(text) is not None
        return [
            compiled
            for number, compiled in enumerate(COMPILED)
            if (number in wanted if compiled.rule.gate else digits)
        ]


def _views(text: str) -> list[View]:
    views = [normalise(text)]
    inner = unescape(text)
    if inner is not None:
        views.append(inner)
    return views


def _gate() -> ahocorasick.Automaton:
    by_word: dict[str, list[int]] = {}
    for number, compiled in enumerate(COMPILED):
        for word in compiled.rule.gate:
            by_word.setdefault(word, []).append(number)
    automaton = ahocorasick.Automaton()
    for word, numbers in by_word.items():
        automaton.add_word(word, tuple(numbers))
    automaton.make_automaton()
    return automaton


def _collect(found: set[Found], compiled: Compiled, view: View, strings: Strings) -> None:
    for start, end in compiled.spans(view.text):
        for path, first, last in strings.places(*view.span(start, end)):
            found.add(Found(path, first, last, compiled.rule.entity))
        if len(found) > FOUND_MAX:
            message = (
                f"The request holds more than {FOUND_MAX} addresses, numbers or keys, too many "
                "to look through. Send less at once."
            )
            raise BadRequest(message, code="content_not_scannable")


def _place(hit: Found) -> tuple[tuple[str, ...], int, int, str]:
    return tuple(str(step) for step in hit.path), hit.start, hit.end, hit.entity


def _tokens(text: str) -> int:
    if text.isascii():
        return len(text) // ASCII_CHARS_PER_TOKEN + 1
    wide = (len(text.encode()) - len(text)) // 2
    return max(len(text) - wide, 0) // ASCII_CHARS_PER_TOKEN + wide + 1

"""Admin-given words that give a text its labels.

Case, width, hidden characters and the kind of white space make no difference. A word of Latin
letters must stand alone (`secret` is not in `secretary`); one that ends in `*` may go on. Words in
scripts without spaces are found anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ahocorasick

from sekisho.content.normalise import normalise

WORD_CHARS_MAX = 256  # a phrase, not a document
WORDS_MAX = 100_000  # a dictionary of this size takes about 50 MB


class WordList:
    """Finds which labels a text gets. Immutable, so threads may share it."""

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        by_word: dict[str, set[tuple[str, bool]]] = {}
        for label, given in words.items():
            for word in given:
                plain = fold(normalise(word.removesuffix("*")).text)
                if plain:
                    by_word.setdefault(plain, set()).add((label, word.endswith("*")))
        self._automaton = ahocorasick.Automaton()
        for word, labels in by_word.items():
            self._automaton.add_word(word, (len(word), frozenset(labels)))
        self._empty = not by_word
        if not self._empty:
            self._automaton.make_automaton()

    def labels(self, folded: str) -> frozenset[str]:
        """The labels of a text that went through `normalise` and `fold`."""
        if self._empty:
            return frozenset()
        found: set[str] = set()
        for last, (size, labels) in self._automaton.iter(folded):
            start, end = last + 1 - size, last + 1
            if start and _joined(folded[start - 1], folded[start]):
                continue
            goes_on = end < len(folded) and _joined(folded[last], folded[end])
            found.update(label for label, open_end in labels if open_end or not goes_on)
        return frozenset(found)


def fold(text: str) -> str:
    """Lower case, every run of white space one blank."""
    return " ".join(text.lower().split())


def _joined(left: str, right: str) -> bool:
    return _latin(left) and _latin(right)


def _latin(char: str) -> bool:
    return char.isascii() and char.isalnum()

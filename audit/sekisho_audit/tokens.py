"""What text is found by: units, their blind labels, and what it means that a phrase matches.

Text is folded (NFKC, no case, nothing invisible) and cut into units: one character with its marks
where words are written without blanks (Han, kana, Hangul, Thai and their like; emoji too), else one
word of letters and digits. Everything else is a break. A phrase matches a text where its units
stand in the text one after the other, with breaks between the same of them; how many and which
signs a break has does not matter. So Chinese is found as a part of the text, English by whole
words. `matches` says this in five lines, and the index must agree with it.

The index holds no text: a unit's label is HMAC-SHA256 under the index's key, cut to 8 bytes, and so
is that of two characters that touch. Who has the file alone learns which texts share labels and how
often each occurs, and, with statistics of a language, may guess frequent ones. The order of the
units is sealed (AES-256-GCM); it is what tells a phrase from its scattered parts.
"""

from __future__ import annotations

import hmac
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LABEL_BYTES = 8
UNIT_BYTES = 1 + LABEL_BYTES
KEY_BYTES = 32
_NONCE_BYTES = 12
_MEMO_MAX = 200_000  # labels of frequent units: some 20 MB
_BREAK, _ALONE = 1, 2

# Scripts written without blanks, or with blanks that people leave away: a unit is one character.
_ALONE_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x303C),
    (0x3040, 0x31FF),  # Hiragana, Katakana, Bopomofo, Hangul compatibility
    (0x3400, 0x4DBF),
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x16FE0, 0x18DFF),  # Tangut, Khitan
    (0x1AFF0, 0x1B2FF),  # kana, Nushu
    (0x20000, 0x3FFFF),
)
# What is not seen must not hide a word: variation selectors, fillers, tones of skin.
_UNSEEN_RANGES = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0x1F3FB, 0x1F3FF),
    (0xE0100, 0xE01EF),
)
# Signs of `_Spelling`: control characters of a text are breaks, so they cannot be taken for them.
_UNIT = re.compile(
    "(?P<blank> )|(?P<alone>\0.(?:\1.)*)|\1.|(?P<word>[^ \0\1]+(?:\1.[^ \0\1]*)*)", re.DOTALL
)


def _within(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


class _Seen(dict[int, int | None]):
    """A table for `str.translate`, filled as characters are met: drops what is not seen."""

    def __missing__(self, code: int) -> int | None:
        unseen = unicodedata.category(chr(code)) == "Cf" or _within(code, _UNSEEN_RANGES)
        self[code] = None if unseen else code
        return self[code]


class _Spelling(dict[int, str]):
    """A table for `str.translate`, filled as characters are met: marks where units begin."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category[0] == "M":
            spelled = f"\1{char}"
        elif category == "So" or (category[0] in "LN" and _within(code, _ALONE_RANGES)):
            spelled = f"\0{char}"
        else:
            spelled = char if category[0] in "LN" else " "
        self[code] = spelled
        return spelled


# They grow to the characters that exist, and hold nothing else.
_SEEN = _Seen()
_SPELLING = _Spelling()


class Unit(NamedTuple):
    """One piece of text. `broken`: something else stands before it; `alone`: one character."""

    text: str
    broken: bool
    alone: bool


def _fold(text: str) -> str:
    seen = unicodedata.normalize("NFKC", text.translate(_SEEN)).casefold()
    return unicodedata.normalize("NFKC", seen).translate(_SEEN)


def units_of(text: str) -> list[Unit]:
    """The units of a text in order; lone surrogates are breaks."""
    units: list[Unit] = []
    broken = False
    for found in _UNIT.finditer(_fold(text).translate(_SPELLING)):
        if found.lastgroup is None:
            continue
        if found.lastgroup == "blank":
            broken = True
            continue
        units.append(Unit(found[0], broken and bool(units), found.lastgroup == "alone"))
        broken = False
    return units


def matches(text: str, phrase: str) -> bool:
    """Whether `phrase` is found in `text`; nothing is found by a phrase without units."""
    there, asked = units_of(text), units_of(phrase)
    for start in range(len(there) - len(asked) + 1 if asked else 0):
        part = there[start : start + len(asked)]
        if part[0].text == asked[0].text and part[1:] == asked[1:]:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A phrase as the index looks for it: all `labels` must be there, and unless that is proof
    (`exact`), `run` must be a part of a sequence.
    """

    labels: tuple[bytes, ...]
    run: bytes
    exact: bool


class Blind:
    """Labels and seals under one key of 32 bytes. Not for several threads."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the index's key has {len(key)} bytes, not {KEY_BYTES}")
        self._labels = hmac.digest(key, b"sekisho-index-labels-v1", "sha256")
        self._seal = AESGCM(hmac.digest(key, b"sekisho-index-sequences-v1", "sha256"))
        self.check = hmac.digest(key, b"sekisho-index-check-v1", "sha256")[:LABEL_BYTES]
        self._memo: dict[bytes, bytes] = {}

    def _label(self, what: bytes) -> bytes:
        label = self._memo.get(what)
        if label is None:
            if len(self._memo) >= _MEMO_MAX:
                self._memo.clear()
            label = hmac.digest(self._labels, what, "sha256")[:LABEL_BYTES]
            self._memo[what] = label
        return label

    def tokens_of(self, text: str) -> bytes:
        """The sequence of a text: for each unit its signs (a byte) and its label."""
        label = self._label
        return b"".join(
            [
                bytes((unit.broken | unit.alone << 1,)) + label(b"u" + unit.text.encode())
                for unit in units_of(text)
            ]
        )

    def labels_of(self, sequence: bytes) -> set[bytes]:
        """What a sequence is found by: the labels of its units and of characters that touch."""
        units = _split(sequence)
        labels = {label for _, label in units}
        for (before, first), (signs, second) in pairwise(units):
            if before & _ALONE and signs == _ALONE:
                labels.add(self._label(b"p" + first + second))
        return labels

    def wanted(self, phrase: str) -> Wanted:
        """How to look for a phrase. Raises ValueError if it has no units."""
        sequence = self.tokens_of(phrase)
        units = _split(sequence)
        if not units:
            raise ValueError("a phrase without letters finds nothing")
        pairs: list[bytes] = []
        paired: set[int] = set()
        for place in range(1, len(units)):
            (before, first), (signs, second) = units[place - 1], units[place]
            if before & _ALONE and signs == _ALONE:
                pairs.append(self._label(b"p" + first + second))
                paired |= {place - 1, place}
        single = [label for place, (_, label) in enumerate(units) if place not in paired]
        exact = len(pairs) + len(single) == 1
        return Wanted(tuple(dict.fromkeys([*pairs, *single])), sequence[1:], exact)

    def sealed(self, sequence: bytes) -> bytes:
        """A sequence as it is stored."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, sequence, None)

    def opened(self, stored: bytes) -> bytes:
        """A stored sequence. Raises InvalidTag (cryptography) if another key sealed it."""
        return self._seal.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], None)


def _split(sequence: bytes) -> list[tuple[int, bytes]]:
    return [
        (sequence[at], sequence[at + 1 : at + UNIT_BYTES])
        for at in range(0, len(sequence), UNIT_BYTES)
    ]


def contains(sequence: bytes, wanted: Wanted) -> bool:
    """Whether the phrase stands in the text of this sequence."""
    at = sequence.find(wanted.run)
    while at >= 0:
        if at % UNIT_BYTES == 1:
            return True
        at = sequence.find(wanted.run, at + 1)
    return False

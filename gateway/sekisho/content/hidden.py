"""Characters that a person does not see, or sees elsewhere than they stand.

What a reviewer reads has to be what is sent. Controls, zero-width and bidirectional characters, odd
spaces, private use and letters drawn as nothing are therefore spelled out wherever content is shown
to people, in the terminal and on pages; which ones those are is decided here alone.
"""

from __future__ import annotations

import re
import unicodedata

from sekisho.model.undrawn import UNDRAWN

# Space and line feed are layout. All else that is not drawn, or is drawn elsewhere, is hidden.
_LAYOUT = frozenset(" \n")
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
# Hidden by class, yet in every other text: tabs, spaces of typography and of East Asian scripts,
# the selector that makes an emoji colourful. Spelled out as well, but nobody is warned of them.
_ORDINARY = frozenset("\t\u00a0\u3000\ufe0f")
# Greek and Cyrillic have letters that look like Latin ones.
_FOREIGN = re.compile(r"[\u0370-\u03ff\u0400-\u052f]")
_LATIN = re.compile(r"[A-Za-z]")
_WORD = re.compile(r"\w+")
# Runs in which a hidden character can stand at all; most texts have few, and the rest is skipped.
ODD = re.compile(r"[^\x20-\x7e\n]+")


def is_hidden(char: str) -> bool:
    """Whether a reader would not see this character where it stands."""
    if char in _LAYOUT:
        return False
    return unicodedata.category(char) in _HIDDEN or char in UNDRAWN


def alarming(text: str) -> int:
    """How many hidden characters stand in `text` that ordinary writing has no use for."""
    odd = (char for run in ODD.findall(text) for char in run)
    return sum(is_hidden(char) and char not in _ORDINARY for char in odd)


def code_point(char: str) -> str:
    """The character by its number, as in `U+202E`."""
    return f"U+{ord(char):04X}"


def mixed_words(text: str) -> list[tuple[int, int]]:
    """Where words stand whose letters come from two scripts that look alike, as (start, end)."""
    if _FOREIGN.search(text) is None:
        return []
    return [
        match.span()
        for match in _WORD.finditer(text)
        if _FOREIGN.search(match.group()) and _LATIN.search(match.group())
    ]

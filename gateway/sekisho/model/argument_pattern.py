"""Which arguments of a tool a standing grant is for: typed, told one by one, closed otherwise.

    {"named": {"path": {"prefix": "/reports/"}, "limit": {"equals": 10}}, "others": "absent"}

Every argument that is named must be there and fit; any other must be absent, unless `others` says
`any`. A number is not a text and `true` is not 1; a number that some programs read as another one
fits nothing. A text that climbs, hides or escapes (`..`, a backslash, `%`, a sign that nobody sees)
fits no prefix and no glob, and of two names that some programs take for one none fits: the program
that reads it may understand something else than the pattern does. Pure; the time that a pattern
takes grows with the length of a text and no faster.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sekisho.model.undrawn import UNDRAWN

NAMED_MAX = 32
PATTERN_CHARS_MAX = 256
TEXT_CHARS_MAX = 4096  # a longer text fits no prefix and no glob
EQUALS_DEPTH_MAX = 8
KINDS = ("equals", "prefix", "glob")
OTHERS = ("absent", "any")
_WHOLE = range(-(2**63), 2**64)  # a whole number that some program keeps in 64 bits
_CLIMBS = ("..", "\\", "%")
_JOINERS = str.maketrans("", "", "_- ")
_WORD_SIGNS = frozenset("._-+")
_WORD_CLASSES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})


class BadPattern(ValueError):
    """It is no pattern; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What each named argument must be, and whether others may be there."""

    named: Mapping[str, tuple[str, Any]]
    others: bool = False

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call with these arguments, its numbers as they are written, is one that the
        grant is for.
        """
        if not _are_apart({*arguments, *self.named}) or not _is_exact(list(arguments.values())):
            return False
        if not self.others and not arguments.keys() <= self.named.keys():
            return False
        return all(
            name in arguments and _fits(kind, wanted, arguments[name])
            for name, (kind, wanted) in self.named.items()
        )

    def document(self) -> dict[str, Any]:
        """As JSON, to be read again by `read`."""
        named = {name: {kind: wanted} for name, (kind, wanted) in self.named.items()}
        return {"named": named, "others": "any" if self.others else "absent"}


def read(document: Any) -> Pattern:
    """The pattern that a document tells. Raises BadPattern."""
    if not isinstance(document, dict) or document.keys() != {"named", "others"}:
        raise BadPattern("a pattern has `named` and `others`")
    named, others = document["named"], document["others"]
    if others not in OTHERS:
        raise BadPattern(f"`others` is one of {', '.join(OTHERS)}")
    if not isinstance(named, dict) or len(named) > NAMED_MAX:
        raise BadPattern(f"`named` has at most {NAMED_MAX} arguments")
    if not _are_apart(named):
        raise BadPattern("two names are alike, or one has signs that nobody sees")
    return Pattern({name: _read(name, one) for name, one in named.items()}, others == "any")


def _read(name: str, one: Any) -> tuple[str, Any]:
    if not isinstance(one, dict) or len(one) != 1 or next(iter(one)) not in KINDS:
        raise BadPattern(f"the argument {name!r} says one of {', '.join(KINDS)}")
    [(kind, wanted)] = one.items()
    if kind == "equals":
        if _depth(wanted) > EQUALS_DEPTH_MAX:
            raise BadPattern(f"what {name!r} equals is nested too deep")
        if not _is_exact(wanted):
            raise BadPattern(f"what {name!r} equals is a number that some programs read as another")
    elif not isinstance(wanted, str) or not 0 < len(wanted) <= PATTERN_CHARS_MAX:
        most = f"between 1 and {PATTERN_CHARS_MAX} characters"
        raise BadPattern(f"the {kind} of {name!r} is a text of {most}")
    elif _is_odd(wanted):
        raise BadPattern(f"the {kind} of {name!r} has signs that no value can have")
    return kind, wanted


def _depth(value: Any) -> int:
    """How deep lists and objects stand in one another, as far as it matters."""
    level, depth = [value], 0
    while level and depth <= EQUALS_DEPTH_MAX:
        depth += 1
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _fits(kind: str, wanted: Any, value: Any) -> bool:
    if kind == "equals":
        return _same(wanted, value)
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX or _is_odd(value):
        return False
    return value.startswith(wanted) if kind == "prefix" else glob(wanted, value)


def _same(one: Any, other: Any) -> bool:
    """Equal in type and value: 1 is neither 1.0 nor true."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(left, right) for left, right in pairs)
    return bool(one == other)


def _are_apart(names: Collection[str]) -> bool:
    """Whether no program takes two of these names for one: `path` and `Path`, `a_b` and `aB`."""
    folded = {_folded(name).translate(_JOINERS) for name in names}
    return len(folded) == len(names) and not any(map(_is_hiding, names))


def _is_exact(value: Any) -> bool:
    """Whether every number in it is the same one to all programs."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
        elif isinstance(one, int):
            if one not in _WHOLE:
                return False
        elif not (
            one is None or isinstance(one, str) or (isinstance(one, float) and isfinite(one))
        ):
            return False
    return True


def _is_odd(text: str) -> bool:
    """Whether a program may read another text than is written. Read as letters of full width are,
    too: some programs fold them.
    """
    folded = _folded(text)
    return any(sign in folded for sign in _CLIMBS) or _is_hiding(text)


def _is_hiding(text: str) -> bool:
    """Whether something in it is not seen, as it is or folded."""
    return any(
        sign in UNDRAWN or (unicodedata.category(sign)[0] in "CZ" and sign != " ")
        for sign in {*text, *_folded(text)}
    )


def _folded(text: str) -> str:
    """As programs read it that make no difference of case and width."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def glob(pattern: str, text: str) -> bool:
    """Whether `text` fits: `*` is any signs of one word, `?` is one, all others are themselves.

    All ways to read the pattern are followed at once, one bit each, so each sign of the text is one
    step, whatever the pattern.
    """
    own: dict[str, int] = {}  # of each sign the places where the pattern has it
    any_one = stars = length = 0
    for sign in pattern:
        if sign == "*":
            stars |= 1 << length
            continue
        if sign == "?":
            any_one |= 1 << length
        else:
            own[sign] = own.get(sign, 0) | 1 << length
        length += 1
    words = {sign for sign in set(text) if _is_of_a_word(sign)}
    places = 1
    for sign in text:
        free = sign in words
        moved = places & (own.get(sign, 0) | (any_one if free else 0))
        places = moved << 1 | (places & stars if free else 0)
        if not places:
            return False
    return bool(places >> length & 1)


def _is_of_a_word(sign: str) -> bool:
    """Letters and digits of all scripts, and a few signs; nothing that begins another part of an
    address or a second one.
    """
    return all(
        one in _WORD_SIGNS or unicodedata.category(one) in _WORD_CLASSES
        for one in (sign, *unicodedata.normalize("NFKC", sign))
    )

"""Which arguments of a tool a standing grant is for: typed, told one by one, closed otherwise.

    {"named": {"path": {"prefix": "/reports/"}, "limit": {"equals": 10}}, "others": "absent"}

Every argument that is named must be there and fit; any other must be absent, unless `others` says
`any`. A number is not a text and `true` is not 1. A text that climbs, hides or escapes (`..`, a
backslash, `%2e`, a sign that nobody sees) fits no prefix and no glob: the program that reads it may
understand another place than the pattern does. Pure; no pattern takes long on any text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMED_MAX = 32
TEXT_CHARS_MAX = 1024
EQUALS_DEPTH_MAX = 8
KINDS = ("equals", "prefix", "glob")
OTHERS = ("absent", "any")
_CLIMBS = ("..", "\\", "%2e", "%2f", "%5c", "%00", "%25")


class BadPattern(ValueError):
    """It is no pattern; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What each named argument must be, and whether others may be there."""

    named: Mapping[str, tuple[str, Any]]
    others: bool = False

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call with these arguments is one that the grant is for."""
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
    return Pattern({name: _read(name, one) for name, one in named.items()}, others == "any")


def _read(name: str, one: Any) -> tuple[str, Any]:
    if not isinstance(one, dict) or len(one) != 1 or next(iter(one)) not in KINDS:
        raise BadPattern(f"the argument {name!r} says one of {', '.join(KINDS)}")
    [(kind, wanted)] = one.items()
    if kind == "equals":
        if _depth(wanted) > EQUALS_DEPTH_MAX:
            raise BadPattern(f"what {name!r} equals is nested too deep")
    elif not isinstance(wanted, str) or not 0 < len(wanted) <= TEXT_CHARS_MAX:
        raise BadPattern(f"the {kind} of {name!r} is a text of at most {TEXT_CHARS_MAX} characters")
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
    if not isinstance(value, str) or _is_odd(value):
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


def _is_odd(text: str) -> bool:
    """Whether a program may read another text than is written. Read as letters of full width are,
    too: some programs fold them.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    if any(sign in folded for sign in _CLIMBS):
        return True
    return any(unicodedata.category(sign)[0] in "CZ" and sign != " " for sign in text)


def glob(pattern: str, text: str) -> bool:
    """Whether `text` fits: `*` is any signs but `/`, `?` is one, all others are themselves.

    Part by part between slashes, so that no star reaches over one.
    """
    parts, pieces = pattern.split("/"), text.split("/")
    return len(parts) == len(pieces) and all(map(_part, parts, pieces))


def _part(pattern: str, text: str) -> bool:
    """One part: the latest star takes one sign more whenever it does not go on, so the time is at
    most the product of both lengths.
    """
    at = place = 0
    star, tried = -1, 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, tried = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            tried += 1
            at, place = star + 1, tried
        else:
            return False
    return pattern[at:].strip("*") == ""

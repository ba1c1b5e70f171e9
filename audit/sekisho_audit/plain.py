"""Reading the ordinary leaf fast: one pattern for each type of event.

Most leaves hold ASCII texts and flat objects only. A canonical leaf has exactly one
spelling, so for these a regular expression, made of the table of types, can do the work of a
parser, of the checks of each member and of comparing the spelling. What does not fit is not wrong:
`read` returns None, and the reader takes the long way, which alone says what is amiss.
What `read` returns passes `canon.decode` and `form.check_leaf` with the same value, always.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sekisho_audit.canon import LEAF_BYTES_MAX
from sekisho_audit.events import TYPES, BadEvent, check_payload_names
from sekisho_audit.form import KEY_NAME
from sekisho_audit.kinds import (
    LIST_ITEMS_MAX,
    PAYLOAD_NAME,
    PSEUDONYM,
    TEXT_CHARS_MAX,
    UUID,
    UUID7,
    EventType,
    Kind,
)

# Printable ASCII but quote and backslash: what JSON spells as itself.
_TEXT = rf"[ !#-\[\]-~]{{0,{TEXT_CHARS_MAX}}}"
# Up to 16 digits and below 9 * 10^15, so below 2^53.
_WHOLE = "(?:0|[1-8][0-9]{0,15}|9[0-9]{0,14})"
_NUMBER = f"(?:{_WHOLE}|-[1-9][0-9]{{0,14}})"
_SCALAR = f'(?:"{_TEXT}"|{_NUMBER}|true|false|null)'
_HASH = "[0-9a-f]{64}"
_PERSON = f'"{PSEUDONYM}"'
_TAIL = '","v":1}'

# `decode` would look for blanks before and behind.
_parse = json.JSONDecoder().raw_decode


def _listed(item: str, least: int = 0) -> str:
    """A list; members behind the first are taken for good, so that no match takes long."""
    some = f"{item}(?:,{item}){{0,{LIST_ITEMS_MAX - 1}}}+"
    return rf"\[{some}\]" if least else rf"\[(?:{some})?\]"


def _object(members: Iterable[tuple[str, str, bool]]) -> str:
    """An object with these members in order: name, pattern of the value, whether it must be there.

    A comma stands before another member only, and only the last member has none.
    """
    parts = []
    for name, value, always in sorted(members):
        one = rf'"{re.escape(name)}":{value}(?:,(?!\}})|(?=\}}))'
        parts.append(one if always else f"(?:{one})?")
    return rf"\{{{''.join(parts)}\}}"


_TEXTS = _listed(f'"{_TEXT}"')
_REASON = _object((name, f'"{_TEXT}"', True) for name in ("code", "rule", "msg"))
_APPROVALS = "(?:[1-8][0-9]{0,15}|9[0-9]{0,14})"
_STEPS = "(?:[2-9]|[1-8][0-9]{1,15}|9[0-9]{1,14})"
_OBSERVED = _object([(name, f'"{_TEXT}"', True) for name in ("mode", "effect", "code", "rule")])
_THRESHOLD = _object(
    [
        ("reviewers", f'"{_TEXT}"', True),
        ("approve", _APPROVALS, True),
        ("deny", _NUMBER, True),
        ("step", _STEPS, False),
        ("relief", _listed(f'"{_TEXT}"', 1), False),
    ]
)
_CHARGED = _object(
    [
        ("tokens", _WHOLE, True),
        ("spend_micros", _WHOLE, True),
        ("prices", f'"{_TEXT}"', False),
        ("groups", _TEXTS, False),
        ("assistant", f'"{_TEXT}"', False),
    ]
)
_RETAINED = _object(
    [
        ("class", f'"{_TEXT}"', True),
        ("days", f'(?:{_APPROVALS}|"keep")', True),
        ("keys", _WHOLE, True),
        ("held", _WHOLE, True),
        ("up_to", f'"{_TEXT}"', False),
    ]
)

# Captured: a pattern cannot see whether the names of an object are in order and all different.
_DOCUMENT = rf'(\{{(?:"{_TEXT}":{_SCALAR}(?:,"{_TEXT}":{_SCALAR}){{0,7}}+)?\}})'
_KINDS: Mapping[str, str] = {
    "text": f'"{_TEXT}"',
    "number": _NUMBER,
    "flag": "(?:true|false)",
    "texts": _TEXTS,
    "reasons": _listed(_REASON),
    "observed": _listed(_OBSERVED),
    "thresholds": _listed(_THRESHOLD, 1),
    "charged": _CHARGED,
    "retained": _listed(_RETAINED, 1),
    "document": _DOCUMENT,
    "person": _PERSON,
}
_PAYLOAD = (
    rf'\{{(?:"alg":"{_TEXT}","commit":"{_HASH}","ct":"{_HASH}"|"commit":"{_HASH}"),'
    rf'"kref":"{KEY_NAME}","len":{_WHOLE},"name":"{PAYLOAD_NAME}"\}}'
)


def _kind(kind: Kind) -> str | None:
    """The pattern of values of one kind."""
    if kind.name:
        return _KINDS.get(kind.name)
    words = "|".join(map(re.escape, kind.schema.get("enum", ())))
    return f'"(?:{words})"' if words else None


def _or_null(value: str, *, always: bool = False) -> str:
    return value if always else f"(?:null|{value})"


def _pattern(kind: str, known: EventType, origin: str) -> re.Pattern[str] | None:
    """None for a type with a member that no pattern is for."""
    members = []
    for name, member in known.fields.items():
        value = _kind(member.kind)
        if value is None:
            return None
        members.append((name, value, name in known.required))
    envelope = (
        ("actor", _or_null(_PERSON, always=known.actor)),
        ("boot", f'"{UUID}"'),
        ("data", _object(members)),
        ("exchange", _or_null(f'"{UUID7}"', always=known.exchange)),
        ("id", f'"{UUID}"'),
        ("log", f'"{re.escape(origin)}"'),
        ("n", _WHOLE),
        ("pl", _listed(_PAYLOAD)),
        ("principal", _or_null(_PERSON)),
        ("ts", _NUMBER),
        ("type", f'"{re.escape(kind)}"'),
        ("v", "1"),
    )
    return re.compile(_object((name, value, True) for name, value in envelope))


def _in_order(document: str | None) -> bool:
    """Whether the names of a captured object are sorted, and none is there twice."""
    if document is None or document == "{}":
        return True
    names = list(_parse(document)[0])
    return names == sorted(names) and document.count('":') == len(names)


class PlainLeaves:
    """Reads the ordinary leaves of one ledger."""

    def __init__(self, origin: str) -> None:
        """`origin` is the name that each leaf must carry."""
        self._origin = origin
        self._patterns: dict[str, re.Pattern[str] | None] = {}

    def read(self, body: bytes, index: int) -> dict[str, Any] | None:
        """The leaf in `body` if it is an ordinary one and number `index`, else None."""
        if len(body) > LEAF_BYTES_MAX or not body.isascii():
            return None
        text = body.decode("ascii")
        kind = text[text.rfind('"', 0, -len(_TAIL)) + 1 : -len(_TAIL)]
        pattern = self._pattern(kind)
        found = pattern.fullmatch(text) if pattern else None
        if found is None:
            return None
        leaf: dict[str, Any] = _parse(text)[0]
        if leaf["n"] != index or not all(map(_in_order, found.groups())):
            return None
        try:
            check_payload_names(kind, [entry["name"] for entry in leaf["pl"]])
        except BadEvent:
            return None
        return leaf

    def _pattern(self, kind: str) -> re.Pattern[str] | None:
        if kind not in self._patterns:
            known = TYPES.get(kind)
            if known is None:
                return None
            self._patterns[kind] = _pattern(kind, known, self._origin)
        return self._patterns[kind]

"""What a field of an event may hold: how it is checked, how JSON Schema says it, what it means.

A check and a schema of one kind accept the same values, as far as JSON Schema can say it:
tests/audit/test_schemas.py compares them on random values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sekisho_audit.canon import DEPTH_MAX, INT_MAX, NotCanonical, check

# A field is a word, an id or a sentence; content goes into payloads.
TEXT_CHARS_MAX = 2_048
LIST_ITEMS_MAX = 64
# A field stands in `data`, and that in the leaf, which a reader refuses if it is nested too deep.
FIELD_DEPTH = 2
# The file of schemas in which kinds find one another (schemas.py).
SCHEMAS_ID = "urn:sekisho:events:1"

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
UUID7 = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
PSEUDONYM = "p-[0-9a-f]{16}"
PAYLOAD_NAME = "[a-z][a-z_]{0,31}"

Check = Callable[[object], bool]
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A set of values: `fits` decides fast, `schema` tells other programs, `says` tells people.

    A kind without a name belongs to one field.
    """

    name: str
    says: str
    fits: Check
    schema: Schema


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an event's data. `unit` is what a number counts."""

    kind: Kind
    means: str
    unit: str = ""


def reference(name: str) -> Schema:
    """The schema that the file of schemas keeps under `name`."""
    return {"$ref": f"{SCHEMAS_ID}#/$defs/{name}"}


def closed(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def listed(items: Schema, least: int = 0) -> Schema:
    """The schema of a list that is not too long."""
    bound = {"minItems": least} if least else {}
    return {"type": "array", "items": items, **bound, "maxItems": LIST_ITEMS_MAX}


# -- checks


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= TEXT_CHARS_MAX


def _is_number(value: object) -> bool:
    return type(value) is int and -INT_MAX <= value <= INT_MAX


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _are_texts(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) > LIST_ITEMS_MAX:
        return False
    for item in value:  # noqa: SIM110 - a generator would cost as much again as the checks
        if type(item) is not str or len(item) > TEXT_CHARS_MAX:
            return False
    return True


_REASON = frozenset({"code", "rule", "msg"})
_OBSERVED = frozenset({"mode", "effect", "code", "rule"})
_THRESHOLD = frozenset({"reviewers", "approve", "deny"})
STEP_MIN = 2  # the first step is not written: one thing is written in one way


def _are_objects_of_texts(value: object, members: frozenset[str]) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) <= LIST_ITEMS_MAX
        and all(
            isinstance(item, dict)
            and item.keys() == members
            and all(_is_text(part) for part in item.values())
            for item in value
        )
    )


def _are_reasons(value: object) -> bool:
    return _are_objects_of_texts(value, _REASON)


def _are_observed(value: object) -> bool:
    return _are_objects_of_texts(value, _OBSERVED)


def _is_step(value: object) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= STEP_MIN


_SOME = ("",)


def _are_some(value: object) -> bool:
    return _are_texts(value) and bool(value)


def _are_thresholds(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and 0 < len(value) <= LIST_ITEMS_MAX
        and all(
            isinstance(item, dict)
            and item.keys() - {"step", "relief"} == _THRESHOLD
            and _is_text(item["reviewers"])
            and _is_number(item["approve"])
            and _is_number(item["deny"])
            and item["approve"] > 0
            and _is_step(item.get("step", STEP_MIN))
            and _are_some(item.get("relief", _SOME))
            for item in value
        )
    )


_RETAINED = frozenset({"class", "days", "keys", "held"})


def _is_retained(item: object) -> bool:
    return (
        isinstance(item, dict)
        and item.keys() - {"up_to"} == _RETAINED
        and _is_text(item["class"])
        and (item["days"] == "keep" or (_is_number(item["days"]) and item["days"] > 0))
        and all(_is_number(item[name]) and item[name] >= 0 for name in ("keys", "held"))
        and _is_text(item.get("up_to", ""))
    )


def _are_retained(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and 0 < len(value) <= LIST_ITEMS_MAX
        and all(_is_retained(item) for item in value)
    )


def _is_document(value: object) -> bool:
    if type(value) is not dict:
        return False
    try:
        check(value, FIELD_DEPTH)
    except NotCanonical:
        return False
    return True


_CHARGED: Mapping[str, Check] = {
    "tokens": _is_number,
    "spend_micros": _is_number,
    "prices": _is_text,
    "groups": _are_texts,
    "assistant": _is_text,
}
_CHARGED_ALWAYS = frozenset({"tokens", "spend_micros"})


def _is_charged(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _CHARGED_ALWAYS <= value.keys() <= _CHARGED.keys()
        and all(_CHARGED[name](item) for name, item in value.items())
        and value["tokens"] >= 0
        and value["spend_micros"] >= 0
    )


# -- kinds


def _whole(least: int = -INT_MAX) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": INT_MAX}


_TEXT: Schema = {"type": "string", "maxLength": TEXT_CHARS_MAX}
_TEXTS = listed(_TEXT)

TEXT = Kind("text", "A word, an id or a sentence of at most 2,048 characters.", _is_text, _TEXT)
NUMBER = Kind("number", "A whole number within ±(2^53 − 1).", _is_number, _whole())
FLAG = Kind("flag", "`true` or `false`.", _is_flag, {"type": "boolean"})
TEXTS = Kind("texts", "A list of at most 64 texts.", _are_texts, _TEXTS)
REASONS = Kind(
    "reasons",
    "A list of at most 64 objects of three texts: `code` for programs, `rule` that spoke, `msg` "
    "for people.",
    _are_reasons,
    listed(closed({"code": _TEXT, "rule": _TEXT, "msg": _TEXT})),
)
OBSERVED = Kind(
    "observed",
    "A list of at most 64 objects of four texts: the `mode` of a pack that is not enforced, the "
    "`effect` it would have had, the `code` of the reason or the name of the obligation, the "
    "`rule`.",
    _are_observed,
    listed(closed({"mode": _TEXT, "effect": _TEXT, "code": _TEXT, "rule": _TEXT})),
)
THRESHOLDS = Kind(
    "thresholds",
    "A list of 1 to 64 objects: `reviewers` who are asked (text), `approve` how many of them must "
    "(at least 1), `deny` how many of them end it, `step` at which of several steps they are "
    "asked, from 2 on (absent: at the first), and `relief` a list of groups (texts, at least one) "
    "that may answer in their place after a while (absent: none).",
    _are_thresholds,
    listed(
        closed(
            {"reviewers": _TEXT, "approve": _whole(1), "deny": _whole()},
            {"step": _whole(STEP_MIN), "relief": listed(_TEXT, least=1)},
        ),
        least=1,
    ),
)
CHARGED = Kind(
    "charged",
    "An object: whole `tokens`, `spend_micros` (millionths of the currency), and optionally "
    "`prices` (digest of the price table), `groups` (texts) and `assistant` (text) that are "
    "charged beside principal, model and backend.",
    _is_charged,
    closed(
        {"tokens": _whole(0), "spend_micros": _whole(0)},
        {"prices": _TEXT, "groups": _TEXTS, "assistant": _TEXT},
    ),
)
RETAINED = Kind(
    "retained",
    "A list of 1 to 64 objects, one a class: `class` (text), its ceiling `days` (at least 1, or "
    "`keep`), how many `keys` end, how many legal holds kept back (`held`), and, where there is a "
    "ceiling, `up_to`: epochs that began on that day (UTC) or before are over.",
    _are_retained,
    listed(
        closed(
            {
                "class": _TEXT,
                "days": {"anyOf": [_whole(1), {"const": "keep"}]},
                "keys": _whole(0),
                "held": _whole(0),
            },
            {"up_to": _TEXT},
        ),
        least=1,
    ),
)
PERSON = Kind(
    "person",
    "The pseudonym of a principal: `p-` and 16 hex digits.",
    _is_text,
    {"type": "string", "pattern": f"^{PSEUDONYM}$"},
)


def _deeper(depth: int) -> dict[str, Schema]:
    """The members of an object or list that stands at `depth`."""
    inner = reference(f"value-{depth + 1}")
    return {
        "object": {
            "type": "object",
            "propertyNames": {"pattern": r"^[\x00-\x7f]*$"},
            "additionalProperties": inner,
        },
        "array": {"type": "array", "items": inner},
    }


def values() -> dict[str, Schema]:
    """Schemas of what a document may hold, one for each depth: they cannot count by themselves."""
    scalar: Schema = {"anyOf": [{"type": ["null", "boolean", "string"]}, _whole()]}
    return {
        f"value-{depth}": {"anyOf": [scalar, *_deeper(depth).values()]}
        if depth < DEPTH_MAX
        else scalar
        for depth in range(FIELD_DEPTH + 1, DEPTH_MAX + 1)
    }


DOCUMENT = Kind(
    "document",
    "An object of any members with ASCII names: texts, whole numbers within ±(2^53 − 1), `true`, "
    "`false`, `null`, lists and objects, at most 10 levels.",
    _is_document,
    _deeper(FIELD_DEPTH)["object"],
)

KINDS = (
    TEXT,
    NUMBER,
    FLAG,
    TEXTS,
    REASONS,
    OBSERVED,
    THRESHOLDS,
    CHARGED,
    RETAINED,
    DOCUMENT,
    PERSON,
)


def one_of(*words: str) -> Kind:
    """The kind of a field that holds one of a few words."""
    allowed = frozenset(words)
    return Kind(
        "",
        " ".join(f"`{word}`" for word in words),
        lambda value: value in allowed if isinstance(value, str) else False,
        {"enum": list(words)},
    )


@dataclass(frozen=True, slots=True)
class EventType:
    """When an event is written, and what it carries.

    `payloads` must be there, `optional_payloads` may; both map a name to what it holds.
    """

    when: str
    required: Mapping[str, Field] = field(default_factory=dict)
    optional: Mapping[str, Field] = field(default_factory=dict)
    payloads: Mapping[str, str] = field(default_factory=dict)
    optional_payloads: Mapping[str, str] = field(default_factory=dict)
    exchange: bool = True
    actor: bool = False
    # What the two tables of fields ask, without the words about it: each event is checked.
    checks: Mapping[str, Check] = field(init=False, repr=False, compare=False)
    optional_checks: Mapping[str, Check] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, fields in (("checks", self.required), ("optional_checks", self.optional)):
            found = {member: known.kind.fits for member, known in fields.items()}
            object.__setattr__(self, name, found)

    @property
    def fields(self) -> Mapping[str, Field]:
        """All members that its data may have."""
        return {**self.required, **self.optional}

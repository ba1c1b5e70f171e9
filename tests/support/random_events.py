"""Random events that the tables allow, and values that are nearly what they must be."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st

from sekisho.model.ids import uuid7
from sekisho_audit.canon import DEPTH_MAX, INT_MAX
from sekisho_audit.events import TYPES, Event, Payload
from sekisho_audit.kinds import FIELD_DEPTH, LIST_ITEMS_MAX, TEXT_CHARS_MAX, EventType, Field

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.one_of(_ANY_TEXT, st.just("é" * TEXT_CHARS_MAX), st.just("\x00\u2028\x7f"))
NUMBERS = st.one_of(st.integers(-2, 300), st.integers(-INT_MAX, INT_MAX), st.just(INT_MAX))
LISTS = st.one_of(st.lists(_ANY_TEXT, max_size=4), st.just([""] * LIST_ITEMS_MAX))
COUNTS = st.integers(0, INT_MAX)
NAMES = st.text(st.characters(max_codepoint=127), max_size=8)


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


_SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
_INNER = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
BY_KIND: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "number": NUMBERS,
    "flag": st.booleans(),
    "texts": LISTS,
    "reasons": st.lists(st.fixed_dictionaries({"code": TEXTS, "rule": TEXTS, "msg": TEXTS})),
    "observed": st.lists(
        st.fixed_dictionaries({"mode": TEXTS, "effect": TEXTS, "code": TEXTS, "rule": TEXTS})
    ),
    "thresholds": st.lists(
        st.fixed_dictionaries(
            {"reviewers": TEXTS, "approve": st.integers(1, INT_MAX), "deny": NUMBERS},
            optional={
                "step": st.integers(2, INT_MAX),
                "relief": st.lists(TEXTS, min_size=1, max_size=3),
            },
        ),
        min_size=1,
        max_size=3,
    ),
    "charged": st.fixed_dictionaries(
        {"tokens": COUNTS, "spend_micros": COUNTS},
        optional={"prices": TEXTS, "groups": LISTS, "assistant": TEXTS},
    ),
    "retained": st.lists(
        st.fixed_dictionaries(
            {
                "class": TEXTS,
                "days": st.one_of(st.integers(1, INT_MAX), st.just("keep")),
                "keys": COUNTS,
                "held": COUNTS,
            },
            optional={"up_to": st.one_of(TEXTS, st.just("2026-11-03"))},
        ),
        min_size=1,
        max_size=4,
    ),
    "document": st.one_of(
        st.dictionaries(NAMES, _INNER, max_size=3), st.just(_nested(DEPTH_MAX - FIELD_DEPTH))
    ),
    "person": st.sampled_from(["staff-7", "owner-1"]),
}

# What is no value of any kind, or only just one of another.
EDGES = st.one_of(
    _SCALARS,
    st.sampled_from([INT_MAX + 1, -INT_MAX - 1, 2**70, "é" * (TEXT_CHARS_MAX + 1)]),
    st.just([""] * (LIST_ITEMS_MAX + 1)),
    st.just({"é": 1}),
    st.just(_nested(DEPTH_MAX - FIELD_DEPTH + 1)),
    st.just([_nested(DEPTH_MAX - FIELD_DEPTH - 1)]),
    *BY_KIND.values(),
)


def _value(field: Field) -> st.SearchStrategy[Any]:
    if field.kind.name:
        return BY_KIND[field.kind.name]
    return st.sampled_from(cast("list[str]", field.kind.schema["enum"]))


def datas(known: EventType) -> st.SearchStrategy[dict[str, Any]]:
    """Data that one type of event may have."""
    return st.fixed_dictionaries(
        {name: _value(field) for name, field in known.required.items()},
        optional={name: _value(field) for name, field in known.optional.items()},
    )


@st.composite
def events(draw: st.DrawFn, kind: str | None = None) -> Event:
    """An event that the writer takes, of this type or of any."""
    kind = kind or draw(st.sampled_from(sorted(TYPES)))
    known = TYPES[kind]
    payloads = dict.fromkeys(known.payloads, True)
    payloads.update(draw(st.dictionaries(st.sampled_from(["more", "another_one"]), st.booleans())))
    person = st.sampled_from([None, "staff-7", "reviewer-1"])
    return Event(
        id=uuid7(),
        type=kind,
        exchange=uuid7() if known.exchange or draw(st.booleans()) else None,
        principal=draw(person),
        data=draw(datas(known)),
        actor="reviewer-1" if known.actor else draw(person),
        payloads=tuple(
            Payload(name, b"exact", b"stored" if kept else None) for name, kept in payloads.items()
        ),
    )


def _beside(value: Any) -> list[Any]:
    """Values a small step away from `value`."""
    if isinstance(value, bool):
        return [not value, int(value)]
    if isinstance(value, int):
        return [value + 1, value - 1, -value, bool(value), str(value)]
    if isinstance(value, str):
        return [f"{value}\n", f" {value}", value.upper(), value[1:], uuid7(), [value]]
    return []


@st.composite
def nearly(draw: st.DrawFn, value: Any) -> Any:
    """`value` with one change somewhere in it: something else, something more, something less."""
    way = draw(st.sampled_from(["inside"] * 6 + ["more", "less", "else"]))
    if isinstance(value, dict):
        name = draw(st.sampled_from(sorted(value) or [""]))
        if way == "inside" and value:
            return {**value, name: draw(nearly(value[name]))}
        if way == "more":
            return {**value, draw(NAMES): draw(EDGES)}
        if way == "less":
            return {other: item for other, item in value.items() if other != name}
    if isinstance(value, list):
        place = draw(st.integers(0, max(0, len(value) - 1)))
        if way == "inside" and value:
            return [*value[:place], draw(nearly(value[place])), *value[place + 1 :]]
        if way == "more":
            return [*value, draw(EDGES)]
        if way == "less":
            return [*value[:place], *value[place + 1 :]]
    if way == "else":
        return draw(EDGES)
    return draw(st.sampled_from(_beside(value) or [None]))

"""What an event can be found by: its marks, each a field and a word, read from its leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sekisho_audit.events import PERSONS
from sekisho_audit.query import VALUE_CHARS_MAX

Leaf = Mapping[str, Any]
Mark = tuple[str, str]

# Payloads in which people look for words. A policy's input holds none, an address is nobody's text.
TEXT_PAYLOADS = ("prompt", "outgoing", "answer", "reason")
# These are kept a second time elsewhere when they are not kept here.
_KEPT_ELSEWHERE = frozenset({"outgoing"})
# The answer of a held exchange is kept with its outcome.
_KEPT_WITH_OUTCOME = frozenset({"outgoing", "answer"})

_FIELDS: Mapping[str, tuple[Mark, ...]] = {
    # type of event: (member of its data, field)
    "request.received": (("endpoint", "endpoint"), ("model", "model")),
    "policy.decision": (("effect", "effect"), ("stage", "stage"), ("revision", "revision")),
    "hold.filed": (
        *(("backend", "backend"), ("model", "model")),
        *(("stage", "stage"), ("revision", "revision")),
    ),
    "hold.settled": (("state", "state"),),
    "hold.released": (("stage", "stage"),),
    "backend.intent": (("backend", "backend"), ("model", "model"), ("revision", "revision")),
    "backend.outcome": (("status", "status"),),
    "outcome.late": (("status", "status"),),
    "exchange.refused": (("code", "code"), ("stage", "stage")),
    "exchange.cancelled": (("stage", "stage"),),
    "draft.answered": (("decision", "state"),),
    "hold.refused": (("code", "code"),),
    "policy.shadowed": (("revision", "revision"),),
    "policy.shadow_changed": (("revision", "revision"),),
    "policy.drafted": (("revision", "revision"),),
    "policy.replayed": (("revision", "revision"),),
    "policy.activated": (("revision", "revision"),),
    "policy.loaded": (("revision", "revision"),),
    "policy.rejected": (("revision", "revision"),),
}
# What a type says by itself.
_SAID: Mapping[str, Mark] = {
    "hold.filed": ("state", "filed"),
    "hold.released": ("state", "released"),
    "hold.delivered": ("state", "delivered"),
    "exchange.refused": ("status", "refused"),
    "exchange.cancelled": ("status", "cancelled"),
    "exchange.checked": ("status", "checked"),
}


def owner_of(leaf: Leaf) -> str | None:
    """The pseudonym whose erasure takes this leaf's row with it: that of the payloads' keys."""
    owner: str | None = leaf["principal"] or leaf["actor"]
    return owner


def marks_of(leaf: Leaf, knows: Callable[[str], bool]) -> set[Mark]:
    """The marks of a leaf. People of whom nobody knows any more who they were leave none."""
    kind, data = leaf["type"], leaf["data"]
    marks = {("type", kind)}
    marks |= {(name, data[member]) for member, name in _FIELDS.get(kind, ())}
    if kind in _SAID:
        marks.add(_SAID[kind])
    if kind == "policy.decision":
        marks |= {("rule", rule) for rule in data["rules"]}
        marks |= {("rule", reason["rule"]) for reason in data["reasons"]}
        marks |= {("reason", reason["code"]) for reason in data["reasons"]}
    marks |= set(_people(leaf, knows))
    return {(name, word[:VALUE_CHARS_MAX]) for name, word in marks if word}


def _people(leaf: Leaf, knows: Callable[[str], bool]) -> Iterator[Mark]:
    if leaf["principal"] is not None and knows(leaf["principal"]):
        yield "principal", leaf["principal"]
    acting = [leaf["actor"], *(leaf["data"].get(name) for name in PERSONS.get(leaf["type"], ()))]
    for who in acting:
        if who is not None and knows(who):
            yield "actor", who


def texts_of(leaf: Leaf) -> Iterator[tuple[str, str]]:
    """The payloads to be searched, and by what key each is sealed ("": nothing was stored)."""
    released = leaf["type"] == "hold.released"
    elsewhere = _KEPT_WITH_OUTCOME if released else _KEPT_ELSEWHERE
    for entry in leaf["pl"]:
        name, stored = entry["name"], "ct" in entry
        if name in TEXT_PAYLOADS and (stored or name not in elsewhere):
            yield name, entry["kref"] if stored else ""


def used_by(leaf: Leaf) -> tuple[int | None, int | None]:
    """What an outcome was charged, in millionths of the currency and in tokens."""
    charged = leaf["data"].get("charged") if leaf["type"] == "backend.outcome" else None
    return (charged["spend_micros"], charged["tokens"]) if charged else (None, None)

"""The values that go into the ledger: events with payloads, and where an event was placed.

`TYPES` is the one table of what may be written: auditd refuses anything else and the verifier
reports it. No field holds content or anything guessable; that is what payloads are for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sekisho_audit.canon import INT_MAX, NotCanonical, check


@dataclass(frozen=True, slots=True)
class Payload:
    """Content of an event. The leaf gets a keyed commitment to `exact`; `stored` is what is kept,
    encrypted (None: nothing is kept, the commitment alone stands).
    """

    name: str
    exact: bytes
    stored: bytes | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One audit record before it has a place. `id` is a uuid7; appends are idempotent by it.

    `principal` is on whose behalf the exchange runs, `actor` who acted if that is another person;
    both are replaced by pseudonyms in the leaf.
    """

    id: str
    type: str
    exchange: str | None
    principal: str | None
    data: Mapping[str, Any]
    actor: str | None = None
    payloads: tuple[Payload, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an event stands: its index, the hash of its leaf (hex), its payload commitments.

    `note`, with an intent: a signed checkpoint that covers it.
    """

    index: int
    leaf: str
    commits: Mapping[str, str]
    duplicate: bool = False
    note: str = ""


class BadEvent(ValueError):
    """An event that is not what the table says; the message names type and field."""


# A field is a word, an id or a sentence; content goes into payloads.
TEXT_CHARS_MAX = 2_048
LIST_ITEMS_MAX = 64
PAYLOADS_MAX = 8
# A field stands in `data`, and that in the leaf, which a reader refuses if it is nested too deep.
_FIELD_DEPTH = 2
_PAYLOAD_NAME = re.compile(r"[a-z][a-z_]{0,31}")
Kind = Callable[[object], bool]


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= TEXT_CHARS_MAX


def _number(value: object) -> bool:
    return type(value) is int and -INT_MAX <= value <= INT_MAX


def _flag(value: object) -> bool:
    return type(value) is bool


def _texts(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) <= LIST_ITEMS_MAX
        and all(_text(item) for item in value)
    )


def _reasons(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) <= LIST_ITEMS_MAX
        and all(
            isinstance(item, dict)
            and item.keys() == {"code", "rule", "msg"}
            and all(_text(part) for part in item.values())
            for item in value
        )
    )


def _thresholds(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and 0 < len(value) <= LIST_ITEMS_MAX
        and all(
            isinstance(item, dict)
            and item.keys() == {"reviewers", "approve", "deny"}
            and _text(item["reviewers"])
            and _number(item["approve"])
            and _number(item["deny"])
            and item["approve"] > 0
            for item in value
        )
    )


def _document(value: object) -> bool:
    if type(value) is not dict:
        return False
    try:
        check(value, _FIELD_DEPTH)
    except NotCanonical:
        return False
    return True


def _charged(value: object) -> bool:
    """What was set aside or used: whole tokens, money in millionths, and for whom.

    `groups` and `assistant` are charged beside principal, model and backend; `prices` is the
    digest of the price table.
    """
    return (
        isinstance(value, dict)
        and {"tokens", "spend_micros"} <= value.keys() <= _CHARGED.keys()
        and all(_CHARGED[name](item) for name, item in value.items())
        and value["tokens"] >= 0
        and value["spend_micros"] >= 0
    )


_CHARGED: Mapping[str, Kind] = {
    "tokens": _number,
    "spend_micros": _number,
    "prices": _text,
    "groups": _texts,
    "assistant": _text,
}


def _person(value: object) -> bool:
    """A principal id in an event; the writer puts the pseudonym in its place."""
    return _text(value)


def _one_of(*words: str) -> Kind:
    allowed = frozenset(words)
    return lambda value: value in allowed if isinstance(value, str) else False


@dataclass(frozen=True, slots=True)
class EventType:
    """When an event is written, and which data it carries. Payloads named here must be there."""

    when: str
    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)
    payloads: frozenset[str] = frozenset()
    exchange: bool = True
    actor: bool = False


_OUTCOME = EventType(
    "What became of an intent: written once for each, before the last byte is delivered.",
    {
        "intent": _text,
        "status": _one_of("released", "stopped", "cancelled", "failed", "unknown"),
    },
    {
        "http_status": _number,
        "cause": _text,
        "bytes": _number,
        "chunks": _number,
        "finish": _text,
        "usage": _document,
        "charged": _charged,
    },
)

TYPES: Mapping[str, EventType] = {
    "request.received": EventType(
        "A request was read whole and its principal is known.",
        {
            "endpoint": _text,
            "model": _text,
            "stream": _flag,
            "credential": _text,
            "bytes": _number,
        },
        {"ip_commit": _text},
    ),
    "policy.decision": EventType(
        "Policy was asked and answered.",
        {
            "stage": _text,
            "effect": _one_of("allow", "hold", "deny"),
            "reasons": _reasons,
            "rules": _texts,
            "revision": _text,
            "engine": _text,
            "obligations": _document,
            "took_us": _number,
            "memo": _flag,
        },
    ),
    "hold.filed": EventType(
        "An exchange was stopped until people have answered; a higher version replaces a lower.",
        {
            "hold": _text,
            "version": _number,
            "stage": _one_of("request", "response", "tool_call"),
            "binding": _text,
            "expires_us": _number,
            "thresholds": _thresholds,
            "backend": _text,
            "model": _text,
            "revision": _text,
            "risk": _number,
        },
        {"person": _person},
        payloads=frozenset({"hold", "outgoing"}),
    ),
    "hold.review": EventType(
        "One person answered a hold; `actor` is the reviewer, the payload `reason` says why.",
        {
            "hold": _text,
            "version": _number,
            "decision": _one_of("approve", "deny"),
            "binding": _text,
        },
        {"person": _person, "counts_for": _texts},
        actor=True,
    ),
    "hold.settled": EventType(
        "A hold has its outcome; `reviews` are the ids of the reviews that led to it.",
        {
            "hold": _text,
            "version": _number,
            "state": _one_of("approved", "denied", "expired", "withdrawn"),
            "binding": _text,
            "reviews": _texts,
        },
        {"cause": _text},
    ),
    "hold.delivered": EventType(
        "The answer to a held exchange reached its requester.", {"hold": _text}
    ),
    "backend.intent": EventType(
        "Exactly the bytes of the payload `outgoing` are about to leave for one backend.",
        {
            "session": _text,
            "attempt": _number,
            "backend": _text,
            "model": _text,
            "path": _text,
            "bytes": _number,
            "revision": _text,
        },
        {"hold": _text, "version": _number, "binding": _text, "charged": _charged},
        payloads=frozenset({"outgoing"}),
    ),
    "backend.outcome": _OUTCOME,
    "outcome.late": replace(
        _OUTCOME, when="An outcome that came after the intent had been given one."
    ),
    "delivery.cut": EventType(
        "The outcome was recorded, but its last bytes did not reach the client.",
        {"intent": _text, "cause": _text},
    ),
    "exchange.refused": EventType(
        "An exchange ended without an intent: denied, malformed, or a part was missing.",
        {"code": _text, "status": _number, "stage": _text},
    ),
    "exchange.cancelled": EventType("The client went away before anything left.", {"stage": _text}),
    "session.opened": EventType(
        "A worker process connected.", {"session": _text, "pid": _number}, exchange=False
    ),
    "session.closed": EventType(
        "A worker process ended or was gone too long; its open intents were closed before.",
        {"session": _text, "cause": _text},
        exchange=False,
    ),
    "exchange.appealed": EventType(
        "Somebody disagrees with how their own exchange ended; the payload `reason` says why.",
        {"appeal": _text},
        payloads=frozenset({"reason"}),
        actor=True,
    ),
    "record.read": EventType(
        "`actor` was shown content of an exchange of `principal`, for the purpose given.",
        {"purpose": _one_of("review", "audit", "own"), "part": _text},
        {"hold": _text},
        actor=True,
    ),
    "log.read": EventType(
        "`actor` was given entries of the published log: `count` of them from `first` on.",
        {"first": _number, "count": _number},
        exchange=False,
        actor=True,
    ),
    "credential.refused": EventType(
        "Somebody was not let in; the payload `source` is the address, `count` how often since "
        "the last record of it.",
        {"cause": _text, "count": _number},
        {"credential": _text, "where": _text},
        payloads=frozenset({"source"}),
        exchange=False,
    ),
    "session.signed_in": EventType(
        "A person signed in for pages; the payload `source` is the address.",
        {"issuer": _text},
        payloads=frozenset({"source"}),
        exchange=False,
    ),
    "session.signed_out": EventType(
        "A person signed out, or was signed out.", {"cause": _text}, exchange=False
    ),
    "key.created": EventType(
        "An API key was made for `principal`; `replaces` is the key it takes over from.",
        {"key": _text},
        {
            "label": _text,
            "expires_us": _number,
            "roles": _texts,
            "groups": _texts,
            "scopes": _texts,
            "models": _texts,
            "replaces": _text,
        },
        exchange=False,
    ),
    "key.revoked": EventType(
        "An API key was revoked, or ends at `expires_us` because another takes over.",
        {"key": _text},
        {"cause": _text, "expires_us": _number},
        exchange=False,
    ),
    "principal.changed": EventType(
        "Roles, groups, owner or state of `principal` changed; `source` says who decides them: "
        "`local`, an issuer, or `scim`.",
        {},
        {
            "roles": _texts,
            "groups": _texts,
            "owner": _person,
            "kind": _text,
            "disabled": _flag,
            "change": _text,
            "source": _text,
            "training_until_us": _number,
        },
        exchange=False,
    ),
    "principal.linked": EventType(
        "An identity elsewhere now means `principal`, or (`linked` false) does not any more; the "
        "payload `subject` is its name there.",
        {"issuer": _text, "linked": _flag},
        payloads=frozenset({"subject"}),
        exchange=False,
    ),
    "delegation.changed": EventType(
        "`principal` lent a role to `delegate` for a time, or (`ended`) took it back.",
        {"delegation": _text, "delegate": _person, "role": _text, "ended": _flag},
        {"from_us": _number, "until_us": _number},
        exchange=False,
    ),
    "policy.activated": EventType(
        "A policy revision became active.",
        {"revision": _text},
        {"previous": _text, "bundle": _text, "engine": _text},
        exchange=False,
    ),
    "policy.rejected": EventType(
        "A policy revision was refused; the active one stays.",
        {"revision": _text},
        {"faults": _texts, "bundle": _text, "cause": _text},
        exchange=False,
    ),
    "audit.boot": EventType(
        "The writer started; `last` is the index before this event, `cut` the torn bytes removed.",
        {"boot": _text, "last": _number, "cut": _number},
        exchange=False,
    ),
    "audit.recovered": EventType(
        "A torn tail was cut at start: records that nobody had been told were durable.",
        {"file": _text, "bytes": _number},
        exchange=False,
    ),
    "audit.shutdown": EventType(
        "The writer stopped cleanly; nothing is open.", {"boot": _text}, exchange=False
    ),
}

# The fields that hold a principal id, for each type.
PERSONS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(
        name for name, fits in {**known.required, **known.optional}.items() if fits is _person
    )
    for kind, known in TYPES.items()
}

# Written by the ledger itself; nobody may ask for them.
RESERVED = frozenset(
    {
        "outcome.late",
        "session.opened",
        "session.closed",
        "audit.boot",
        "audit.recovered",
        "audit.shutdown",
    }
)


def check_data(kind: str, data: Mapping[str, object]) -> EventType:
    """The type of an event whose data fits the table; BadEvent otherwise."""
    known = TYPES.get(kind)
    if known is None:
        raise BadEvent(f"unknown event type {kind[:80]!r}")
    required, optional = known.required, known.optional
    for name, fits in required.items():
        if name not in data:
            raise BadEvent(f"{kind}: the field {name!r} is missing")
        if not fits(data[name]):
            raise BadEvent(f"{kind}: the field {name!r} is not what it must be")
    if len(data) == len(required):
        return known
    for name, value in data.items():
        if name in required:
            continue
        fit = optional.get(name)
        if fit is None:
            raise BadEvent(f"{kind}: unknown field {name[:80]!r}")
        if not fit(value):
            raise BadEvent(f"{kind}: the field {name!r} is not what it must be")
    return known


def check_payload_names(kind: str, known: EventType, names: Sequence[str]) -> None:
    """BadEvent unless every required payload is there and every name is a plain word, once."""
    if len(names) > PAYLOADS_MAX or len(set(names)) != len(names):
        raise BadEvent(f"{kind}: too many payloads, or one named twice")
    if not known.payloads.issubset(names):
        raise BadEvent(f"{kind}: needs the payloads {sorted(known.payloads)}")
    if not all(_PAYLOAD_NAME.fullmatch(name) for name in names):
        raise BadEvent(f"{kind}: a payload's name is not a plain word")

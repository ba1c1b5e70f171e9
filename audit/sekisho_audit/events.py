"""The values that go into the ledger: events with payloads, and where an event was placed.

`TYPES` is the one table of what may be written: auditd refuses anything else and the verifier
reports it. No field holds content or anything guessable; that is what payloads are for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sekisho_audit.break_glass_events import BREAK_GLASS_TYPES
from sekisho_audit.exchange_events import EXCHANGE_EVENTS
from sekisho_audit.grant_events import GRANT_TYPES
from sekisho_audit.installation_events import INSTALLATION_EVENTS
from sekisho_audit.kinds import PAYLOAD_NAME, PERSON, EventType
from sekisho_audit.sample_events import SAMPLE_TYPES


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


LEAF_VERSION = 1
PAYLOADS_MAX = 8
_PAYLOAD_NAME = re.compile(PAYLOAD_NAME)

TYPES: Mapping[str, EventType] = {
    **EXCHANGE_EVENTS,
    **GRANT_TYPES,
    **SAMPLE_TYPES,
    **BREAK_GLASS_TYPES,
    **INSTALLATION_EVENTS,
}

# The fields that hold a principal id, for each type.
PERSONS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(name for name, member in known.fields.items() if member.kind is PERSON)
    for kind, known in TYPES.items()
}

# Written by the ledger itself; nobody may ask for them.
RESERVED = frozenset(
    {
        "outcome.late",
        "session.opened",
        "session.closed",
        "audit.boot",
        "audit.export",
        "audit.pruned",
        "audit.recovered",
        "audit.shutdown",
        "audit.search",
        "audit.disclosed",
        "erasure.begun",
        "erasure.done",
        "legal_hold.set",
        "legal_hold.released",
        "retention.begun",
        "retention.applied",
        "officer.changed",
        "officer.paired",
        "audit.key_rotated",
        "audit.rolled_back",
        "anchor.made",
        "anchor.failed",
    }
)

# Known to readers already, so that they need not be changed when the product comes to write them.
NOT_YET_WRITTEN: frozenset[str] = frozenset()


def check_data(kind: str, data: Mapping[str, object]) -> EventType:
    """The type of an event whose data fits the table; BadEvent otherwise."""
    known = TYPES.get(kind)
    if known is None:
        raise BadEvent(f"unknown event type {kind[:80]!r}")
    required, optional = known.checks, known.optional_checks
    for name, fits in required.items():
        if not fits(data.get(name)):  # None, like what is missing, is of no kind
            fault = "not what it must be" if name in data else "missing"
            raise BadEvent(f"{kind}: the field {name!r} is {fault}")
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


def check_payload_names(kind: str, names: Sequence[str]) -> None:
    """BadEvent unless every required payload is there and every name is a plain word, once."""
    _check_payload_names(kind, tuple(names))


@lru_cache(maxsize=1_024)  # a few combinations make up all of a ledger; what is refused is not kept
def _check_payload_names(kind: str, names: tuple[str, ...]) -> None:
    known = TYPES[kind]
    if len(names) > PAYLOADS_MAX or len(set(names)) != len(names):
        raise BadEvent(f"{kind}: too many payloads, or one named twice")
    if not known.payloads.keys() <= set(names):
        raise BadEvent(f"{kind}: needs the payloads {sorted(known.payloads)}")
    if not all(_PAYLOAD_NAME.fullmatch(name) for name in names):
        raise BadEvent(f"{kind}: a payload's name is not a plain word")

"""The values that go into the ledger: events with payloads, and where an event was placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Payload:
    """Content of an event. The leaf gets a keyed commitment to `exact`; `stored` is what is kept,
    encrypted (None: nothing is kept, the commitment alone stands)."""

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
    """Where an event stands: its index, the hash of its leaf (hex), its payload commitments."""

    index: int
    leaf: str
    commits: Mapping[str, str]
    duplicate: bool = False

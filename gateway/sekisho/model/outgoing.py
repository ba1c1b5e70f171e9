"""The bytes that would leave, and everything that must be true of them before they may.

`Outgoing` is self-contained: a held exchange is resumed from it on any worker, long after the
client's connection, headers and credential are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from sekisho.model.decision import Decision
from sekisho.model.facts import Facts
from sekisho.model.limits import Estimate
from sekisho_audit.events import Event

NOTHING = Estimate(0, 0)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What `prepare` made: exactly `body` would go to `path` of `backend`.

    `before` are the events that must be durable together with the intent or the hold: received
    and decision. `rewritten` names the obligations that changed the body, `estimate` is what
    sending it may use at most.
    """

    exchange: str
    principal: str
    backend: str
    model: str
    endpoint: str
    path: str
    body: bytes
    stream: bool
    facts: Facts
    decision: Decision
    before: tuple[Event, ...]
    rewritten: tuple[str, ...] = ()
    estimate: Estimate = NOTHING


@dataclass(frozen=True, slots=True)
class Approval:
    """The outcome of a hold whose reviews reached the threshold; good for these bytes, once."""

    hold: str
    version: int
    binding: str

"""An exchange stopped at a stage until people have answered.

    pending --> deciding --> approved | denied | expired | withdrawn
    approved --> dispatching (claimed, with a lease) --> ready | failed | unknown
    ready --> delivered
    (with a threshold above one, `deciding` returns to `pending` until the last review)

Terminal states never change. Silence never approves. An approval is sent at most once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sekisho.model.decision import Threshold


class HoldState(StrEnum):
    """Where a hold stands; the drawing above says what may follow what."""

    PENDING = "pending"
    DECIDING = "deciding"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    DISPATCHING = "dispatching"
    READY = "ready"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Hold:
    """Everything needed to show, decide and resume a held exchange on any worker.

    `outgoing` are the exact bytes that would leave; `binding` commits to them together with
    stage, backend, model, policy revision, expiry and version. `facts` is the policy input that
    led here: the decision is asked again with it before anything leaves.
    """

    id: str
    exchange: str
    version: int
    stage: str
    principal: str
    person: str
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    endpoint: str
    model: str
    backend: str
    stream: bool
    revision: str
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    risk: int
    created_us: int
    expires_us: int
    wait_until_us: int
    binding: str
    outgoing: bytes
    facts: bytes
    received_event: str
    log_level: str = "redacted"


@dataclass(frozen=True, slots=True)
class Review:
    """One person's recorded answer to a hold, with the reason."""

    id: str
    hold: str
    version: int
    reviewer: str
    person: str
    decision: str
    reason: str
    binding: str
    at_us: int


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer kept for a held exchange: what the backend said, as bytes."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class HoldView:
    """What a waiter or a reviewer sees of a hold at one moment."""

    hold: Hold
    state: HoldState
    reviews: tuple[Review, ...]
    outcome_reason: str = ""
    settled_index: int | None = None
    hops: int = 0

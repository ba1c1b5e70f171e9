"""What the line needs of the outside, as Protocols; adapters implement them.

Each port states what it promises about durability and concurrency, and which error it raises when
it cannot keep the promise. A port never answers "probably": late, lost or unclear is an error of
`sekisho.errors`, and an error never lets anything through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sekisho_audit.events import Appended, Event

from sekisho.model.decision import Decision
from sekisho.model.hold import Hold, HoldView, Review, StoredAnswer
from sekisho.model.principal import Principal


class Clock(Protocol):
    """Wall time in microseconds since the epoch, UTC. Never used to order events."""

    def now_us(self) -> int: ...


class Directory(Protocol):
    """Principals by credential. A revocation is seen within a second on every worker."""

    async def find(self, secret: str) -> Principal | None:
        """The principal behind a presented key, or None if unknown, revoked or expired.

        Takes the same time for a wrong secret of a known id as for an unknown id.
        Raises DirectoryUnavailable when the registry has not been readable for its limit.
        """
        ...


class PolicyEngine(Protocol):
    """The rules. Pure: the same input and revision give the same decision."""

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        """Ask `data.sekisho.decision`. Undefined or malformed answers come back as a deny.

        Raises PolicyUnavailable when the engine failed or was late; that is a deny too.
        """
        ...

    @property
    def revision(self) -> str:
        """The digest of the active bundle."""
        ...


@dataclass(frozen=True, slots=True)
class ExchangeKeys:
    """Keys of one exchange, derived by auditd from the principal's key; never stored."""

    content: bytes
    commit: bytes


@dataclass(frozen=True, slots=True)
class LedgerHold:
    """A hold as the ledger knows it, enough to rebuild the live state.

    `record` is the payload `hold` of the event `hold.filed`; `reviews` and `settled` are the data
    of the later events with their actors; `intent` and `outcome` tell how far dispatch came.
    """

    hold: str
    filed_index: int
    record: bytes
    reviews: tuple[Mapping[str, Any], ...]
    settled: Mapping[str, Any] | None
    settled_index: int | None
    intent: bool
    outcome: str | None


class Ledger(Protocol):
    """Append-only evidence, written by auditd alone. All workers of a host share one."""

    @property
    def origin(self) -> str:
        """The name of the ledger, as in its checkpoints."""
        ...

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        """Make all `events` durable, in order, as one batch, and tell where they stand.

        Idempotent by event id: an event that is already there is not written again and its first
        place is returned. Raises LedgerUnavailable within the deadline if durability is not
        certain; the events may or may not be there then, and may be appended again.
        """
        ...

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        """The keys for content of this exchange kept outside the ledger. LedgerUnavailable."""
        ...

    async def open_holds(self) -> Sequence[LedgerHold]:
        """Every hold filed in this ledger whose time is not over. LedgerUnavailable."""
        ...


class HoldStore(Protocol):
    """Live state of holds, shared by all workers and replicas (Redis or Valkey).

    Every transition is one compare-and-set. All methods raise HoldStoreUnavailable when the store
    cannot be reached in time or has restarted and the ledger was not yet applied to it.
    """

    async def file(self, hold: Hold, join: str) -> str:
        """Keep a new pending hold; returns the id of the hold that `join` now points to.

        `join` is the keyed digest of principal and body (or Idempotency-Key). If an open hold of
        that digest exists, nothing is kept and its id comes back.
        """
        ...

    async def find_join(self, join: str) -> str | None: ...

    async def get(self, hold_id: str) -> HoldView | None: ...

    async def state(self, hold_id: str) -> str | None:
        """Only the state: what waiters read every second."""
        ...

    async def list_open(self, limit: int) -> Sequence[HoldView]: ...


class Backend(Protocol):
    """Sends exactly the bytes it is given to one backend, without cookies or client credentials."""

    async def send(
        self, backend: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> BackendReply:
        """Raises BackendFailed or BackendTimedOut. Never retries, never follows redirects."""
        ...


class BackendReply(Protocol):
    """An answer under way. `close` cancels what is still coming; it is safe to call twice."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]: ...

    async def close(self) -> None: ...


__all__ = [
    "Backend",
    "BackendReply",
    "Clock",
    "Directory",
    "ExchangeKeys",
    "HoldStore",
    "Ledger",
    "LedgerHold",
    "PolicyEngine",
    "Review",
    "StoredAnswer",
]

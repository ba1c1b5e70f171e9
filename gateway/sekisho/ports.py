"""What the line needs of the outside, as Protocols; adapters implement them.

Each port states what it promises about durability and concurrency, and which error it raises when
it cannot keep the promise. A port never answers "probably": late, lost or unclear is an error of
`sekisho.errors`, and an error never lets anything through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sekisho.model.decision import Decision
from sekisho.model.desk import ReviewDesk
from sekisho.model.grants import Grant
from sekisho.model.halts import Halt
from sekisho.model.hold import (
    Hold,
    HoldCard,
    HoldState,
    HoldView,
    Justification,
    Pace,
    Place,
    Proposal,
    Review,
    StoredAnswer,
)
from sekisho.model.limits import Estimate, Spender, Standing
from sekisho.model.principal import Principal, Shown
from sekisho_audit.events import Appended, Event


class Clock(Protocol):
    """Wall time in microseconds since the epoch, UTC. Never used to order events."""

    def now_us(self) -> int: ...


class Directory(Protocol):
    """Principals by credential. A revocation is seen within a second on every worker."""

    async def find(self, shown: Shown) -> Principal:
        """Who shows this. Only members of `shown` that are filled are looked at, secret first.

        Takes the same time for a wrong secret of a known id as for an unknown id. Raises
        NotAuthenticated with its `cause` (never told to the client), Forbidden
        (`duties_conflict`) for a person whose roles must not meet, DirectoryUnavailable when the
        registry or the issuer's keys could not be read for their limit.
        """
        ...

    async def may_ask(self, principal: str) -> bool:
        """Whether a principal whose request waited may still ask. Raises DirectoryUnavailable."""
        ...


class Charge(Protocol):
    """What one exchange has reserved of its limits; ends once, by `settle`."""

    @property
    def reserved(self) -> Mapping[str, Any]:
        """What was set aside, for the intent: `tokens`, `spend_micros`, `prices`, `groups`."""
        ...

    def used(self, usage: Mapping[str, Any] | None, answer_chars: int) -> Mapping[str, Any]:
        """What the exchange cost, for the outcome: `tokens`, `spend_micros`.

        `usage` as the backend told it; without one, tokens are estimated from what came back.
        """
        ...

    def settle(self, used: Mapping[str, Any] | None, index: int | None) -> None:
        """Give back what was not used and the places taken; owe what was used beyond it.

        `used` None: nothing was sent. `index` is the outcome's place in the ledger, if it has one:
        counters that were rebuilt from the ledger meanwhile may have it already. Safe to repeat.
        """
        ...

    def headers(self) -> Mapping[str, str]:
        """What is left, for the client: `x-ratelimit-*` and `x-sekisho-budget-*`."""
        ...


class Limiter(Protocol):
    """What principals, groups, assistants, models and backends may use, shared by all replicas.

    Counters live in Redis or Valkey and are leased in batches, so most calls cost no round trip.
    """

    async def standing(self, asking: Spender) -> Standing:
        """How much is left, as policy may look at it. Raises LimitsUnavailable."""
        ...

    async def reserve(self, asking: Spender, estimate: Estimate, *, forced: bool = False) -> Charge:
        """Set aside what this exchange may use at most, in every limit it falls under, or in none.

        Raises LimitReached (429) with the limit's name and when to come back, if ever, or
        LimitsUnavailable (503). `forced`: an attempt that repeats one already let through.
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

    `record` is the payload `hold` of the event `hold.filed`; `reviews`, `justified` and `settled`
    are the data of the later events; a review has also `reviewer`, `person`, `reason` and `at_us`,
    a justification the last three; `intent` and `outcome` tell how far dispatch came.
    """

    hold: str
    filed_index: int
    record: bytes
    reviews: tuple[Mapping[str, Any], ...]
    settled: Mapping[str, Any] | None
    settled_index: int | None
    intent: bool
    outcome: str | None
    justified: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """Sums of charged outcomes in the order asked, as (requests, tokens, spend_micros), over the
    events below `size`.
    """

    size: int
    sums: Sequence[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class ExchangePage:
    """Exchanges as plain documents, the cursor of the next page ("" at the end), and how many
    events of how many in the ledger the index has read.
    """

    data: Sequence[Mapping[str, Any]]
    after: str
    indexed: int
    size: int


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

    async def halts(self) -> tuple[Sequence[Halt], int]:
        """The switches that stand in this ledger, and its size then. Raises LedgerUnavailable."""
        ...

    async def grants(self) -> Sequence[Grant]:
        """Every grant of this ledger, proposed and over ones too. Raises LedgerUnavailable."""
        ...

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        """What outcomes say was used, for each (dimension, name, window) asked.

        Dimensions: principal, group, assistant, model, backend; windows: `m`, `d` and `M` with the
        UTC time they begin (`d2026-11-24`). Raises LedgerUnavailable.
        """
        ...

    async def exchanges(self, principal: str, before: str, limit: int) -> ExchangePage:
        """One principal's own exchanges, newest first, from `before` (a cursor, "" at first).

        Derived from the ledger and possibly a moment behind; the page says how far it is complete.
        Raises LedgerUnavailable.
        """
        ...

    async def exchange(self, principal: str, exchange: str) -> Mapping[str, Any] | None:
        """One of the principal's own exchanges with everything known of it, or None.

        `indexed` and `size` in it say how far the index had come.
        """
        ...

    async def appealed(self, exchange: str) -> Mapping[str, Any] | None:
        """An exchange that has appeals, whoever's it is, or None. For auditors; no content.

        Raises LedgerUnavailable.
        """
        ...

    async def appeal_reasons(self, exchange: str, read: int) -> Mapping[str, str | None]:
        """The reasons of its appeals by their ids; None where the key is destroyed.

        `read` is the index of a fresh `record.read` of the exchange (part `appeal`): without it
        LedgerRefused (`unread`). Raises LedgerUnavailable.
        """
        ...


class Log(Protocol):
    """The ledger as outsiders may follow it: signed checkpoints, tiles, proofs."""

    async def file(self, path: str) -> bytes:
        """What C2SP tlog-tiles serves under this path: `checkpoint`, `tile/0/000`; and what a
        pruning left: `pruned/cut`.

        Raises NotFound for what is not there (yet), LedgerUnavailable.
        """
        ...

    async def proofs(self, indices: Sequence[int]) -> Sequence[str]:
        """C2SP tlog-proofs of events, all under one checkpoint.

        Raises NotFound for what is not under a checkpoint yet, LedgerUnavailable.
        """
        ...


class Searches(Protocol):
    """The ledger's index, asked by auditors. Each answer was recorded before it is told, but for
    that about oneself.

    Searches raise BadRequest (`bad_query`, `bad_cursor`), all raise LedgerUnavailable.
    """

    async def search(self, actor: str, query: str, after: str, limit: int) -> Mapping[str, Any]:
        """Trails that meet `query`, newest first, at most `limit` (1 to 200), for `actor`.

        `after` is the cursor of the page before, "" for the first.
        """
        ...

    async def facets(self, actor: str, query: str) -> Mapping[str, Any]:
        """How many trails meet `query`, and how many of them have which words, for `actor`."""
        ...

    async def figures(self, actor: str, since_us: int, people_min: int) -> Mapping[str, Any]:
        """How people review, counted in the ledger since then, for `actor`: `total`, `rules` and
        `people` by name (None below `people_min`), each as `review_figures` of sekisho_audit says.
        """
        ...

    async def own_figures(self, principal: str, since_us: int) -> Mapping[str, Any]:
        """How `principal` reviews (`own`), for themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whose hold a join pointer names. `mine`: file it. `joined`: it is filed, wait for it.
    `filing`: another worker is about to file it.
    """

    standing: str
    hold: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a proposal: `done` if it was settled before, else the proposal that counts
    (what was proposed first under this id).
    """

    done: bool
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Due:
    """What a sweep has to do: holds whose time has come as (id, state, origin of the decision
    under way, whether they start alone), and reservations that nobody completed as (id, join).
    """

    holds: Sequence[tuple[str, str, str, bool]]
    orphans: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Restoration:
    """A hold as the ledger says it stands. `snapshot_us` is the store's time before it was read,
    `settled_us` when the last review or the reason was recorded: an approval is good for a time
    from there. `justified_by` is the decision id of the justification, if there is one.
    """

    hold: Hold
    state: HoldState
    reviews: Sequence[tuple[str, Review]]
    settled_by: str
    settled_index: int | None
    origin: str
    outcome: str
    settled_us: int
    snapshot_us: int
    justification: Justification | None = None
    justified_by: str = ""


class HoldStore(Protocol):
    """Live state of holds, shared by all workers and replicas (Redis or Valkey).

    Every transition is one compare-and-set by the store's own clock, and each says in which state
    the hold must be. All methods raise HoldStoreUnavailable within 2 s when the store cannot be
    reached in time, or has restarted and the ledger was not yet applied to it; what was asked may
    then have happened or not, and may be asked again: every change is idempotent but `hop`.
    Methods that open content raise LedgerUnavailable when its key cannot be had.
    """

    @property
    def desk(self) -> ReviewDesk:
        """What reviewers are doing at the moment."""

    async def reserve(self, place: Place, size: int, expected_s: float = 0) -> Reservation:
        """Claim a place for a hold of `size` bytes that is not yet in the ledger.

        Until `expected_s` from now it is nobody's orphan. Claimed again it is the same, of the new
        size. Raises Mismatch if the pointer's hold has another body, HoldStoreUnavailable
        (`hold_store_full`), LimitReached (`hold_share_full`) if the sharer has too much already.
        """
        ...

    async def file(self, hold: Hold, join: str) -> None:
        """Keep a pending hold that the ledger has. Idempotent by hold id."""

    async def drop(self, hold_id: str, join: str) -> None:
        """Give up a reservation whose hold is not in the ledger."""

    async def waits(self, join: str) -> str:
        """The hold that an equal request would join and that is not over, '' if there is none."""

    async def get(self, hold_id: str) -> HoldView | None:
        """The hold with its content and reviews."""
        ...

    async def state(self, hold_id: str) -> str | None:
        """Only the state: what waiters read every second."""
        ...

    async def woken(self, hold_id: str, timeout_s: float) -> None:
        """Return at a hint that it changed (any: ""), at latest after `timeout_s`. No errors."""
        ...

    async def list_open(self, limit: int, principal: str | None = None) -> Sequence[HoldCard]:
        """Pending and deciding holds, those that end first in front; of one principal if given."""
        ...

    async def propose(self, proposal: Proposal, hold: Hold) -> Taken:
        """Take a decision on its way: pending to deciding.

        A review is counted first: TooHasty (model/desk.py) for an approval that has to wait.
        Raises NotFound, Forbidden (`self_approval`), Conflict (`busy`, `already_decided`,
        `already_reviewed`, `binding_mismatch`, `hold_expired`, `not_due`).
        """
        ...

    async def settle(
        self, proposal: Proposal, hold: Hold, state: HoldState, origin: str, index: int
    ) -> str:
        """Publish what the ledger has recorded of a proposal; returns the state the hold is in.

        Raises Conflict (`already_decided`) if another proposal was settled instead.
        """
        ...

    async def lately(self, reviewers: Sequence[str]) -> Mapping[str, Pace]:
        """How long people took to answer holds lately, by group of reviewers where enough is known.
        A hint: never raises, and what cannot be read is not there.
        """
        ...

    async def claim(self, hold_id: str, worker: str) -> Hold | None:
        """Take an approved hold to send it, or None if it is not there to take.

        At most one claim of a hold ever succeeds. `worker` names this one attempt (worker and a
        random part), so that asking again after a lost reply is safe. The hold is still what its
        binding was made for. The claimant renews, and calls `finish` or `fail`; a lease that runs
        out ends as `unknown`.
        """
        ...

    async def renew(self, hold_id: str, worker: str) -> bool:
        """Lengthen the lease. False: it is lost, and nothing more may be sent or kept."""
        ...

    async def finish(self, hold_id: str, worker: str, answer: StoredAnswer) -> bool:
        """Keep the answer: ready. False: the claim was lost and the answer is not kept."""
        ...

    async def fail(self, hold_id: str, worker: str, cause: str) -> bool:
        """It ended without an answer: failed, with a cause that holds no content."""
        ...

    async def answer(self, hold_id: str) -> StoredAnswer | None:
        """The stored answer of a ready or delivered hold."""
        ...

    async def deliver(self, hold_id: str) -> bool:
        """Mark a ready hold as delivered. True the first time."""
        ...

    async def hop(self, hold_id: str) -> bool:
        """Count one redirect. False: no more hops or no more time. Not idempotent."""
        ...

    async def due(self, limit: int, orphan_s: float) -> Due:
        """What a sweep has to do now."""
        ...

    async def lose(self, hold_id: str) -> bool:
        """Give up a claim whose lease is over: unknown. False: it is alive, or not claimed."""
        ...

    async def forget(self, hold_id: str) -> bool:
        """Remove an ended hold whose time of keeping is over."""
        ...

    async def now_us(self) -> int:
        """The store's time."""
        ...

    async def restore(self, restoration: Restoration) -> str:
        """Bring a hold to what the ledger says; the only change allowed before the gate opens.

        Never moves a hold that was sent or has ended. Returns the state it is in.
        """
        ...


class Backend(Protocol):
    """Sends exactly the bytes it is given to one backend, without cookies or client credentials."""

    async def send(
        self, backend: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> BackendReply:
        """Raises BackendFailed or BackendTimedOut. Never retries, never follows redirects."""
        ...


class ModelLists(Protocol):
    """What backends whose models are patterns list themselves. Sends nothing of a request."""

    async def names(self) -> Mapping[str, Sequence[str]]:
        """Names by backend, possibly a minute old. Waits a moment at most and never raises: a
        backend that does not answer is left at what it said last.
        """
        ...


class BackendReply(Protocol):
    """An answer under way. `close` cancels what is still coming; it is safe to call twice."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]: ...

    async def close(self) -> None: ...

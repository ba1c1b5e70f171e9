"""An exchange stopped at a stage until people have answered.

    pending --> deciding --> approved | denied | expired | withdrawn
    (one that nobody has to answer, asked for in the background, is approved by itself)
    approved --> dispatching (claimed, with a lease) --> ready | failed | unknown
    approved --> expired (nobody could send it in the time an approval is good for)
    dispatching --> deciding --> pending (the rules want more reviews by now: a new version)
    ready --> delivered
    (with a threshold above one, `deciding` returns to `pending` until the last review)

Terminal states never change. Silence never approves. An approval is sent at most once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sekisho.model.care import Care
from sekisho.model.decision import FIRST_STEP, Threshold


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


ANSWER_HELD = "application/vnd.sekisho.held"
"""Content type of what is kept for a request whose answer is held in turn: the id of that hold."""

WAITING = frozenset(
    {HoldState.PENDING, HoldState.DECIDING, HoldState.APPROVED, HoldState.DISPATCHING}
)
"""States in which a waiter waits on; every other state tells how the hold ended."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Everything needed to show, decide and resume a held exchange on any worker.

    `outgoing` are the exact bytes that would leave; `binding` commits to them together with
    stage, backend, model, policy revision, expiry and version. `facts` is the policy input that
    led here: the decision is asked again with it before anything leaves. `justify`: whoever asked
    must say why; without `thresholds` that is all. `editor` changed what is held and made this
    version, while `edit_step` was open; `narrowed`: they only took something out. `writers` are all
    whose words are in it, of whatever version. `before` is what the version before it held, for
    reviewers to compare; nothing is decided by it. Empty if it was large. `asked_anew`: it was
    approved, and the rules wanted more reviews by then, which made this version.
    `background`: whoever asked does not wait. `notify` are channels that rules named.
    `office_s`: people have so many seconds in which the office is open; 0: until `expires_us`,
    office or not.
    `seed`: it is a test item, made up by `seeded_by`, to be denied for this rule; nothing of it is
    ever sent, and what reviewers see of it does not say so before it is over.
    `opening` let the request go on whose answer this is, in an emergency.
    `relief_us`: from then on those may answer too who relieve the reviewers; 0: never.
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
    path: str = ""
    justify: bool = False
    editor: str = ""
    narrowed: bool = False
    background: bool = False
    notify: tuple[str, ...] = ()
    before: bytes = b""
    seed: str = ""
    seeded_by: str = ""
    writers: tuple[str, ...] = ()
    asked_anew: bool = False
    office_s: int = 0
    opening: str = ""
    edit_step: int = FIRST_STEP
    relief_us: int = 0

    @property
    def behind(self) -> str:
        """Who stands behind it, does not review it, and may take it back."""
        return self.seeded_by or self.person

    @property
    def starts_alone(self) -> bool:
        """Whether nobody has to say anything: it was kept because no client waits for it."""
        return self.background and not self.thresholds and not self.justify

    @property
    def content_bytes(self) -> int:
        """Size of what is kept of it."""
        return len(self.outgoing) + len(self.facts) + len(self.before)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hold is filed: under which id, and what leads an equal request to it.

    `join` is the keyed digest of principal and body (or Idempotency-Key), `body` that of the body
    alone. A hold that ended or was delivered is joined for `rejoin_s` more. `sharer` is the
    principal whose share of the store it has to fit, '' for what is let in all the same.
    """

    hold: str
    join: str
    body: str
    rejoin_s: float = 0
    sharer: str = ""


@dataclass(frozen=True, slots=True)
class Justification:
    """Why the request is made, by whoever asked: `person` is the requester, or the owner of the
    service account that asked. It is no review, counts for no threshold and is given once.
    """

    id: str
    hold: str
    version: int
    person: str
    reason: str
    binding: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Review:
    """One person's recorded answer to a hold, with the reason.

    `person` is in whose name it was given: the reviewer's own, or that of somebody whose delegate
    the reviewer was.
    `counts_for` names the reviewers (roles or groups of the hold's thresholds) this person belonged
    to when the review was made; a later change of roles does not undo it. `step` was open then, and
    is the only one at which it counts. `relief` is the group by which the reviewer answered in
    the place of who was asked, '' if they were asked themselves.
    """

    id: str
    hold: str
    version: int
    reviewer: str
    person: str
    decision: str
    reason: str
    binding: str
    at_us: int
    counts_for: tuple[str, ...] = ()
    step: int = FIRST_STEP
    relief: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many answers of a group of reviewers are known lately, and their median in seconds."""

    count: int
    median_s: int


class ProposalKind(StrEnum):
    """What may end or move a pending hold."""

    REVIEW = "review"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    JUSTIFY = "justify"
    EDIT = "edit"
    START = "start"
    ASK_ANEW = "ask_anew"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision on its way: kept in the live state before it is in the ledger.

    `id` is derived from what is proposed, so that the same proposal made twice is one. Whoever
    finds a proposal whose worker died can finish it: it holds all that goes into the ledger.
    `actor` of ASK_ANEW is the claim under which it was to be sent.
    `origin` is the ledger it belongs to; `at_us` is the store's time when it was accepted.
    """

    id: str
    hold: str
    version: int
    kind: ProposalKind
    binding: str
    actor: str
    origin: str
    review: Review | None = None
    at_us: int = 0
    justification: Justification | None = None
    revised: Hold | None = None


@dataclass(frozen=True, slots=True)
class HoldCard:
    """What may be seen of a hold without opening its content: for lists and for sweeping.

    `open_step` says whose turn it is, as the store remembers it; who answers is judged by the
    reviews. `read_us` is the store's time when it was read.
    """

    id: str
    state: HoldState
    exchange: str
    version: int
    stage: str
    principal: str
    person: str
    endpoint: str
    model: str
    backend: str
    stream: bool
    revision: str
    rules: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    risk: int
    created_us: int
    expires_us: int
    outgoing_bytes: int
    justify: bool = False
    justified: bool = False
    groups: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    seeded_by: str = ""
    asked_anew: bool = False
    office_s: int = 0
    open_step: int = FIRST_STEP
    relief_us: int = 0
    read_us: int = field(default=0, compare=False)

    @property
    def behind(self) -> str:
        """As of `Hold`."""
        return self.seeded_by or self.person

    @property
    def relieved(self) -> bool:
        """Whether those may answer who relieve the reviewers."""
        return 0 < self.relief_us <= self.read_us


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """Bounds of the live state. The defaults and their reasons are in docs/reference/settings.md.

    `total_bytes_max` bounds all content kept; `answer_bytes_max` is set aside when an approval is
    claimed, so that an answer that was paid for always finds room. One principal has at most
    `share_max` requests in it that have not ended, and `share_bytes_max` of content. `finish_s` is
    how long a worker has to bring a decision to the ledger before any other finishes it. `care` is
    what is asked of reviewers.
    """

    total_bytes_max: int = 512 * 1024 * 1024
    answer_bytes_max: int = 8 * 1024 * 1024
    share_max: int = 100
    share_bytes_max: int = 64 * 1024 * 1024
    hops_max: int = 9
    hop_wait_s: float = 45
    wait_total_s: float = 300
    ttl_s_max: int = 7 * 86_400
    lease_s: float = 30
    finish_s: float = 3
    execution_expiry_s: float = 3600
    keep_answer_s: float = 86_400
    retry_join_s: float = 600
    care: Care = field(default_factory=Care)


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
    proposal: Proposal | None = None
    justification: Justification | None = None
    # The store's time when it was read; says nothing of the hold.
    read_us: int = field(default=0, compare=False)

    @property
    def relieved(self) -> bool:
        """Whether those may answer who relieve the reviewers."""
        return 0 < self.hold.relief_us <= self.read_us

    @property
    def unjustified(self) -> bool:
        """Whether nothing can approve it before whoever asked has said why."""
        return self.hold.justify and self.justification is None

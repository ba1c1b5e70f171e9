"""The wire form of holds and reviews under `/v1/approvals`.

Times are seconds since the epoch, as elsewhere in the OpenAI API. A summary holds no content; a
hold in full shows what is bound: the exact outgoing bytes, and the binding the review must echo.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sekisho.holding.bulk import AT_ONCE_MAX, Done
from sekisho.holding.review import REASON_CHARS_MAX, is_withheld, may_review
from sekisho.holding.seed import found
from sekisho.model.care import Claim
from sekisho.model.decision import FIRST_STEP
from sekisho.model.hold import Hold, HoldCard, HoldState, HoldView, Justification, Review
from sekisho.model.principal import Principal
from sekisho.model.steps import open_step_of
from sekisho.web.dialects import dialect_of

_ASKING = frozenset({HoldState.PENDING, HoldState.DECIDING})
ID_CHARS_MAX = 64  # ours have 37
CALLS_MAX = 64  # as many as an answer may propose
ARGUMENTS_CHARS_MAX = 65_536  # four times what rules look into


class ReviewRequest(BaseModel):
    """A person's answer: `binding` (and `version`) as the hold showed them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["approve", "deny"]
    binding: str = Field(min_length=64, max_length=64)
    reason: str = Field(default="", max_length=REASON_CHARS_MAX)
    version: int | None = None


class CallChange(BaseModel):
    """One call of the answer, by its `place` among them, from 0 on: new `arguments` as text, or
    taken out.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    place: int = Field(ge=0, le=CALLS_MAX)
    arguments: str | None = Field(default=None, max_length=ARGUMENTS_CHARS_MAX)
    drop: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.drop == (self.arguments is not None):
            message = "either arguments, or drop: true"
            raise ValueError(message)
        return self


class EditRequest(BaseModel):
    """What a reviewer changes; `binding` (and `version`) as the hold showed them, `step` as
    `open_step` did: null is the first.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    binding: str = Field(min_length=64, max_length=64)
    version: int | None = None
    step: int | None = None
    calls: list[CallChange] = Field(min_length=1, max_length=CALLS_MAX)


class JustificationRequest(BaseModel):
    """Why it is asked; `binding` and `version`, where given, as the hold showed them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(max_length=REASON_CHARS_MAX)
    binding: str | None = Field(default=None, min_length=64, max_length=64)
    version: int | None = None


class ThresholdOut(BaseModel):
    """How many reviews of which role or group decide. They are asked when all steps before `step`
    have their approvals; `relief` may answer in their place from `relief_at` of the hold on.
    """

    reviewers: str
    approve: int
    deny: int
    step: int = FIRST_STEP
    relief: list[str] = Field(default_factory=list)


class HoldSummary(BaseModel):
    """A line of the queue. `claimed_by` looks at it, and is told to those who may review it.
    `open_step` is the one whose reviewers are asked now; null where nobody is asked. `relief_at`:
    others may answer in their place from then on; null where nobody may.
    """

    object: Literal["approval"] = "approval"
    id: str
    status: str
    stage: str
    version: int
    exchange: str
    principal: str
    model: str
    backend: str
    stream: bool
    policy_revision: str
    rules: list[str]
    thresholds: list[ThresholdOut]
    open_step: int | None
    risk: int
    created_at: int
    expires_at: int
    relief_at: int | None = None
    outgoing_bytes: int
    may_review: bool
    justify: bool
    justified: bool
    claimed_by: str | None = None
    claimed_until: int | None = None


class ReviewOut(BaseModel):
    """One recorded answer, at the `step` that was open. `person`: in whose name, where the reviewer
    stood in for somebody. `relief`: by which group, where others were asked.
    """

    reviewer: str
    person: str | None
    step: int
    decision: str
    reason: str
    version: int
    at: int
    relief: str | None = None


class JustificationOut(BaseModel):
    """Why it is asked, in the words of who asked."""

    person: str
    reason: str
    at: int


class OutgoingOut(BaseModel):
    """Exactly what would leave, or be given out: `text` if the bytes are UTF-8, else `base64`,
    never a rendering. Both are null while an answer is withheld from who is asking.
    """

    bytes: int
    text: str | None
    base64: str | None
    withheld: bool = False


class TestItemOut(BaseModel):
    """It was no request but made up, to be denied for `rule`; `caught` if it was."""

    rule: str
    caught: bool


class HoldDetail(HoldSummary):
    """Everything a reviewer decides on. `approve_from`: no approval is taken before then, because
    reading it takes as long; `warning`: this reviewer decides very fast; `test_item`: told when a
    test item is over, and of no other hold.
    """

    binding: str
    reasons: list[str]
    endpoint: str
    result_id: str
    outgoing: OutgoingOut
    edited_by: str | None
    narrowed: bool
    justification: JustificationOut | None
    reviews: list[ReviewOut]
    outcome_reason: str
    approve_from: int | None = None
    warning: str | None = None
    test_item: TestItemOut | None = None


class HoldList(BaseModel):
    """Holds in the order of docs/howto/review.md. Ask again with `after` for the next ones."""

    object: Literal["list"] = "list"
    data: list[HoldSummary]
    has_more: bool = False
    after: str | None = None


class BoundHold(BaseModel):
    """One of several holds that are answered at once: what its own detail showed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(max_length=ID_CHARS_MAX)
    binding: str = Field(min_length=64, max_length=64)
    version: int | None = None


class BulkRequest(BaseModel):
    """One answer to several holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["approve", "deny"]
    reason: str = Field(default="", max_length=REASON_CHARS_MAX)
    holds: list[BoundHold] = Field(min_length=1, max_length=AT_ONCE_MAX)


class BulkError(BaseModel):
    """Why nothing was decided about one hold."""

    code: str
    message: str


class BulkResult(BaseModel):
    """One hold: its status, or an error."""

    id: str
    status: str | None
    error: BulkError | None


class BulkOut(BaseModel):
    """What became of each hold, in the order asked."""

    object: Literal["list"] = "list"
    data: list[BulkResult]


class ClaimOut(BaseModel):
    """Who looks at a hold, and until when that is said."""

    object: Literal["approval.claim"] = "approval.claim"
    id: str
    claimed_by: str
    claimed_until: int


def summary(card: HoldCard, principal: Principal, claim: Claim | None = None) -> HoldSummary:
    """A card as seen by `principal`."""
    eligible = may_review(principal, card)
    told = claim if eligible else None
    return HoldSummary(
        **_shared(card),
        status=card.state.value,
        outgoing_bytes=card.outgoing_bytes,
        may_review=eligible,
        open_step=card.open_step if card.state in _ASKING and card.thresholds else None,
        justified=card.justified,
        claimed_by=told.reviewer if told else None,
        claimed_until=told.until_us // 1_000_000 if told else None,
    )


def claimed(claim: Claim) -> ClaimOut:
    """A claim as it is told."""
    until = claim.until_us // 1_000_000
    return ClaimOut(id=claim.hold, claimed_by=claim.reviewer, claimed_until=until)


def bulk(done: Sequence[Done]) -> BulkOut:
    """What became of several holds."""
    return BulkOut(
        data=[
            BulkResult(
                id=one.hold,
                status=one.view.state.value if one.view else None,
                error=BulkError(code=one.error.code, message=one.error.message)
                if one.error
                else None,
            )
            for one in done
        ]
    )


def detail(
    view: HoldView,
    principal: Principal,
    *,
    approve_from_us: int | None = None,
    warning: str | None = None,
) -> HoldDetail:
    """A hold in full as seen by `principal`, who may see it."""
    hold, was = view.hold, found(view)
    return HoldDetail(
        **_shared(hold),
        status=view.state.value,
        outgoing_bytes=len(hold.outgoing),
        may_review=may_review(principal, view),
        open_step=open_step_of(view) if view.state in _ASKING and hold.thresholds else None,
        justified=view.justification is not None,
        binding=hold.binding,
        reasons=list(hold.reasons),
        endpoint=hold.endpoint,
        result_id=dialect_of(hold.endpoint).prefix + hold.id,
        outgoing=_outgoing(view, principal),
        edited_by=hold.editor or None,
        narrowed=hold.narrowed,
        justification=_justification(view.justification),
        reviews=[_review(review) for review in view.reviews],
        outcome_reason=view.outcome_reason,
        approve_from=None if approve_from_us is None else -(-approve_from_us // 1_000_000),
        warning=warning,
        test_item=None if was is None else TestItemOut(rule=was.rule, caught=was.caught),
    )


def _shared(hold: Hold | HoldCard) -> dict[str, object]:
    names = ("id", "stage", "version", "exchange", "principal", "model", "backend", "stream")
    return {name: getattr(hold, name) for name in names} | {
        "policy_revision": hold.revision,
        "rules": list(hold.rules),
        "risk": hold.risk,
        "justify": hold.justify,
        "thresholds": [
            ThresholdOut(**t.told()) for t in sorted(hold.thresholds, key=lambda one: one.step)
        ],
        "created_at": hold.created_us // 1_000_000,
        "expires_at": hold.expires_us // 1_000_000,
        "relief_at": hold.relief_us // 1_000_000 or None,
    }


def _outgoing(view: HoldView, principal: Principal) -> OutgoingOut:
    body = view.hold.outgoing
    if is_withheld(view, principal):
        return OutgoingOut(bytes=len(body), text=None, base64=None, withheld=True)
    try:
        return OutgoingOut(bytes=len(body), text=body.decode(), base64=None)
    except UnicodeDecodeError:
        return OutgoingOut(bytes=len(body), text=None, base64=base64.b64encode(body).decode())


def _justification(said: Justification | None) -> JustificationOut | None:
    if said is None:
        return None
    return JustificationOut(person=said.person, reason=said.reason, at=said.at_us // 1_000_000)


def _review(review: Review) -> ReviewOut:
    return ReviewOut(
        reviewer=review.reviewer,
        person=review.person if review.person != review.reviewer else None,
        step=review.step,
        decision=review.decision,
        reason=review.reason,
        version=review.version,
        at=review.at_us // 1_000_000,
        relief=review.relief or None,
    )

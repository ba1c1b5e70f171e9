"""A person answers a hold, or its requester takes it back.

Who may: a person (never a service account) with the role or group that a threshold of the hold
names, and who is not the person behind the request. A hold that someone may neither review nor
call their own does not exist for them.
"""

from __future__ import annotations

from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound
from sekisho.holding import names, settle
from sekisho.holding.tally import APPROVE, DENY
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldCard, HoldView, Proposal, ProposalKind, Review
from sekisho.model.principal import Principal
from sekisho.ports import HoldStore, Ledger

REASON_CHARS_MAX = 2000  # a paragraph; it is shown to the requester and kept in the ledger
RISK_NEEDS_REASON = 40  # from here on an approval, too, has to say why


def counts_for(principal: Principal, thresholds: tuple[Threshold, ...]) -> tuple[str, ...]:
    """The reviewers of `thresholds` that this principal belongs to; none for a service account."""
    if principal.owner is not None:
        return ()
    belongs_to = principal.groups | {role.value for role in principal.roles}
    named = (threshold.reviewers for threshold in thresholds)
    return tuple(dict.fromkeys(name for name in named if name in belongs_to))


def is_own(principal: Principal, hold: Hold | HoldCard) -> bool:
    """Whether this hold was asked for by the same principal or the same person."""
    return principal.id == hold.principal or principal.person == hold.person


def may_see(principal: Principal, hold: Hold | HoldCard) -> bool:
    """Requester or eligible reviewer; nobody else learns that the hold exists."""
    return is_own(principal, hold) or bool(counts_for(principal, hold.thresholds))


def may_review(principal: Principal, hold: Hold | HoldCard) -> bool:
    """Whether this person may answer this hold."""
    return not is_own(principal, hold) and bool(counts_for(principal, hold.thresholds))


async def find(store: HoldStore, principal: Principal, hold_id: str) -> HoldView:
    """The hold if `principal` may see it. Raises NotFound otherwise: the two look the same."""
    view = await store.get(hold_id) if names.is_hold_id(hold_id) else None
    if view is None or not may_see(principal, view.hold):
        raise NotFound("There is no such hold, or it is not yours to see.")
    return view


async def review(
    store: HoldStore,
    ledger: Ledger,
    reviewer: Principal,
    hold_id: str,
    *,
    decision: str,
    binding: str,
    reason: str,
    version: int | None = None,
) -> HoldView:
    """Record one person's answer and return the hold as it stands then.

    The same answer given twice is one. Raises NotFound, Forbidden, BadRequest, Conflict, or
    Unavailable: the answer may then be recorded, and giving it again is safe.
    """
    view = await find(store, reviewer, hold_id)
    hold = view.hold
    groups = _check_duties(reviewer, hold)
    _check_words(hold, decision, reason)
    if binding != hold.binding or version not in {None, hold.version}:
        message = "The hold is not what you were shown any more. Read it again before you decide."
        raise Conflict(message, code="binding_mismatch")
    answer = Review(
        id=names.review_event(hold.id, hold.version, reviewer.person),
        hold=hold.id,
        version=hold.version,
        reviewer=reviewer.id,
        person=reviewer.person,
        decision=decision,
        reason=reason.strip(),
        binding=binding,
        at_us=await store.now_us(),
        counts_for=groups,
    )
    proposal = Proposal(
        id=names.decision_id(hold.id, hold.version, "review", reviewer.person, decision),
        hold=hold.id,
        version=hold.version,
        kind=ProposalKind.REVIEW,
        binding=binding,
        actor=reviewer.id,
        origin=ledger.origin,
        review=answer,
    )
    return await settle.decide(store, ledger, hold, proposal)


async def withdraw(
    store: HoldStore, ledger: Ledger, principal: Principal, hold_id: str
) -> HoldView:
    """The requester takes a pending hold back. Raises NotFound for anyone else, Conflict."""
    view = await find(store, principal, hold_id)
    if not is_own(principal, view.hold):
        raise NotFound("There is no such hold, or it is not yours to withdraw.")
    return await settle.decide(
        store, ledger, view.hold, settle.withdrawal(view.hold, ledger.origin)
    )


def _check_duties(reviewer: Principal, hold: Hold) -> tuple[str, ...]:
    if is_own(reviewer, hold):
        message = "Nobody reviews their own request. Ask another reviewer."
        raise Forbidden(message, code="self_approval")
    groups = counts_for(reviewer, hold.thresholds)
    if not groups:
        raise Forbidden("You are not among the reviewers of this hold.", code="not_eligible")
    return groups


def _check_words(hold: Hold, decision: str, reason: str) -> None:
    if decision not in {APPROVE, DENY}:
        raise BadRequest("decision must be approve or deny.", param="decision")
    if len(reason) > REASON_CHARS_MAX:
        raise BadRequest(f"reason is longer than {REASON_CHARS_MAX} characters.", param="reason")
    needed = decision == DENY or hold.risk >= RISK_NEEDS_REASON
    if needed and not reason.strip():
        what = "A denial" if decision == DENY else "An approval at this risk"
        raise BadRequest(f"{what} needs a reason.", param="reason", code="reason_required")

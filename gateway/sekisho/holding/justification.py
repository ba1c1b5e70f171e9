"""Whoever asked says why: what policy wanted to know before the request may leave.

Only the person behind the request is heard: the requester, or the owner of the service account
that asked, under any key. It is taken, recorded and published as a review is (settle.py), but is
none: it counts for no threshold, and where reviewers are asked as well they still have to answer.
Given twice it is one; another one is refused, so that what reviewers read is what stays.
"""

from __future__ import annotations

from sekisho.errors import Conflict, Forbidden, NotFound
from sekisho.holding import names, settle
from sekisho.holding.refused import refusals_noted
from sekisho.holding.review import find, is_own
from sekisho.model.hold import Hold, HoldView, Justification, Proposal, ProposalKind
from sekisho.model.principal import Principal
from sekisho.obligations.justify import reason_of
from sekisho.ports import HoldStore, Ledger


async def justify(
    store: HoldStore,
    ledger: Ledger,
    principal: Principal,
    hold_id: str,
    *,
    reason: str,
    binding: str | None = None,
    version: int | None = None,
) -> HoldView:
    """Record the reason and return the hold as it stands then.

    `binding` and `version`, where given, must be the hold's own. Raises NotFound for anyone else,
    Forbidden, BadRequest, Conflict, or Unavailable: the reason may then be recorded, and giving it
    again is safe.
    """
    async with refusals_noted(store, ledger, principal, hold_id, "justify"):
        view = await find(store, principal, hold_id)
        hold = view.hold
        _check_person(principal, hold)
        if not hold.justify:
            raise Conflict("This hold asks for no reason.", code="justification_unasked")
        said = reason_of(reason)
        if binding not in {None, hold.binding} or version not in {None, hold.version}:
            message = "The hold is not what you were shown any more. Read it again."
            raise Conflict(message, code="binding_mismatch")
        proposal = _proposal(hold, principal, said, await store.now_us(), ledger.origin)
        view = await settle.decide(store, ledger, hold, proposal)
        given = view.justification
        if given is None or (given.person, given.reason) != (principal.id, said):
            message = "Another reason was given for this request before. It stays as it is."
            raise Conflict(message, code="already_justified")
        return view


def _check_person(principal: Principal, hold: Hold) -> None:
    """Reviewers see the hold, but it is not theirs to justify: for them there is nothing here."""
    if not is_own(principal, hold):
        raise NotFound("There is no such hold, or it is not yours to justify.")
    if principal.owner is not None:
        message = "A service account gives no reasons; its owner does, with their own key."
        raise Forbidden(message, code="person_required")


def _proposal(hold: Hold, who: Principal, reason: str, at_us: int, origin: str) -> Proposal:
    return Proposal(
        id=names.decision_id(hold.id, hold.version, ProposalKind.JUSTIFY, "", ""),
        hold=hold.id,
        version=hold.version,
        kind=ProposalKind.JUSTIFY,
        binding=hold.binding,
        actor=who.id,
        origin=origin,
        justification=Justification(
            id=names.justified_event(hold.id, hold.version),
            hold=hold.id,
            version=hold.version,
            person=who.id,
            reason=reason,
            binding=hold.binding,
            at_us=at_us,
        ),
    )

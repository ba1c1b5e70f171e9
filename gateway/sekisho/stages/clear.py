"""clear: the bytes that would leave get a Clearance, are held for people, or are refused.

    allow -> Clearance at once; if whoever asked must say why first, Held
    hold  -> Held: filed for people; whoever wins the claim later comes back with an approval
             (or a standing grant, or an opening, answers it)
    deny  -> DeniedByPolicy, said and recorded

This is the only module that creates a Clearance. An approval clears only if policy, asked again
with today's rules, allows the exchange or asks for no more than the reviews already given; a newer
deny wins, and more reviews are asked for as another version of the hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sekisho.clearance import Clearance
from sekisho.holding.denial import denied
from sekisho.holding.terms import asked_anew, satisfied
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import Hold
from sekisho.model.outgoing import Approval, Outgoing
from sekisho.obligations import justify


@dataclass(frozen=True, slots=True)
class Held:
    """Policy wants people to answer first, on these terms; reviewers, or only who asked."""

    outgoing: Outgoing
    terms: HoldTerms


def clear(outgoing: Outgoing) -> Clearance | Held:
    """Turn the decision about `outgoing` into what may happen next. Raises DeniedByPolicy."""
    decision = outgoing.decision
    match decision.effect:
        case Effect.ALLOW:
            terms = justify.terms(decision)
            return Clearance(outgoing, approval=None) if terms is None else Held(outgoing, terms)
        case Effect.HOLD:
            terms = justify.terms(decision)
            if terms is None:
                raise denied(decision, code="policy_malformed")
            return Held(outgoing, terms)
        case Effect.DENY:
            raise denied(decision)
        case _:
            assert_never(decision.effect)


def clear_granted(held: Held, opening: str = "") -> Clearance:
    """Clear what a standing grant, or an `opening`, answers in place of people: the ledger has its
    use already, and refuses the intent if it has not.
    """
    return Clearance(held.outgoing, approval=None, granted=True, opening=opening)


def clear_approved(
    outgoing: Outgoing, hold: Hold, approvals: int, *, justified: bool = False
) -> Clearance | Held:
    """Clear an approved hold whose decision was asked again; `approvals` counts persons,
    `justified` says whether whoever asked gave a reason.

    Held, on the terms that people have to be asked anew, if the rules want more reviews than were
    given, or a reason that was not. Raises DeniedByPolicy if they deny it now, or name nobody.
    """
    decision = outgoing.decision
    match decision.effect:
        case Effect.ALLOW:
            asked = None
        case Effect.HOLD:
            asked = justify.terms(decision)
            if asked is None or not asked.thresholds:
                raise denied(decision, code="policy_malformed")
        case Effect.DENY:
            raise denied(decision)
        case _:
            assert_never(decision.effect)
    wants_reason = decision.obligations.justify or hold.justify
    reviewed = asked is None or satisfied(asked, hold.thresholds, approvals)
    if reviewed and (justified or not wants_reason):
        return Clearance(outgoing, Approval(hold.id, hold.version, hold.binding))
    return Held(outgoing, asked_anew(hold, [] if asked is None else [asked]))

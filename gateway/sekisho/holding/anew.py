"""People approved it, and the rules, asked again, want more: another version is asked about.

    dispatching -> deciding -> pending      the claim under which it was to be sent is given up

Nothing has left then. The version holds the same bytes on terms that meet the old rules and the
new ones, and has the time of a new hold. All reviews are given anew: each was bound to what was
asked of whom, and nobody is held to a word they gave under other terms. A reason that was given for
the same bytes stands. It is taken, recorded and published as an edit is (settle.py), so a crash at
any step leaves something that the sweep finishes, and of two workers one has the claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sekisho.holding import binding, names, settle
from sekisho.holding.denial import denied
from sekisho.holding.terms import asked_anew, satisfied, times, together
from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho.model.hold import Hold, HoldView, Proposal, ProposalKind
from sekisho.model.office import Office
from sekisho.ports import HoldStore, Ledger


def more_asked(decisions: Sequence[Decision], hold: Hold, approvals: int) -> HoldTerms | None:
    """The terms of another version if the rules, asked again, want an answer seen by more people
    than approved it, or more of it seen; else None. Raises DeniedByPolicy if they deny it.
    """
    asked: list[HoldTerms] = []
    for decision in decisions:
        if decision.effect is Effect.DENY:
            raise denied(decision)
        asked += [*filter(None, [decision.obligations.hold]), *decision.obligations.hold_later]
    terms = together(asked)
    if terms is None:
        return None
    seen = hold.stage in {terms.stage, "response"}
    met = seen and satisfied(terms, hold.thresholds, approvals)
    return None if met else asked_anew(hold, asked)


def next_version(
    hold: Hold,
    terms: HoldTerms,
    decisions: Sequence[Decision],
    now_us: int,
    office: Office,
) -> Hold:
    """The version that is asked about, not yet bound."""
    reasons = [reason for decision in decisions for reason in decision.reasons]
    return replace(
        hold,
        version=hold.version + 1,
        stage=terms.stage,
        thresholds=terms.thresholds,
        risk=terms.risk,
        revision=decisions[-1].revision,
        rules=tuple(dict.fromkeys([*hold.rules, *(one.rule for one in reasons)])),
        reasons=tuple(dict.fromkeys([*hold.reasons, *(one.msg for one in reasons)])),
        justify=hold.justify or any(one.obligations.justify for one in decisions),
        created_us=now_us,
        asked_anew=True,
        binding="",
        **times(terms, now_us, office),
    )


async def ask(store: HoldStore, ledger: Ledger, hold: Hold, claim: str, version: Hold) -> HoldView:
    """Make the claimed `hold` its next `version`, which waits for people.

    Raises Conflict if the claim was lost, LedgerRefused if the ledger does not take it (the hold
    has failed then), or Unavailable: it may then be taken, and the sweep finishes it.
    """
    keys = await ledger.exchange_keys(hold.principal, hold.exchange)
    version = binding.bind(version, keys.commit)
    proposal = Proposal(
        id=names.decision_id(hold.id, hold.version, "ask_anew", claim, version.binding),
        hold=hold.id,
        version=hold.version,
        kind=ProposalKind.ASK_ANEW,
        binding=hold.binding,
        actor=claim,
        origin=ledger.origin,
        revised=version,
    )
    return await settle.decide(store, ledger, hold, proposal)

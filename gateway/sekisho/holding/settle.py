"""Brings a decision through: the store takes it, the ledger records it, the store publishes it.

    propose   pending -> deciding: no other decision can be taken meanwhile
              dispatching -> deciding: a new version is asked for instead of sending
    append    the review or justification, and the outcome if it is reached, are durable
    settle    the outcome is published; only now may anything be released

A reply lost at any arrow, or a worker that dies there, leaves something that the same call or the
sweep finishes: proposals and events have derived ids, so repeating a step changes nothing. The
ledger is the judge: if it already has another review or outcome than the one proposed, the hold is
restored from the ledger and the caller is told that it lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from sekisho.errors import Conflict, HoldStoreUnavailable, LedgerRefused
from sekisho.holding import evidence, names, record
from sekisho.holding.rebuild import restore_one
from sekisho.holding.tally import standing
from sekisho.model.hold import Hold, HoldState, HoldView, Proposal, ProposalKind, Review
from sekisho.ports import HoldStore, Ledger
from sekisho_audit.events import Event

_OUTCOMES = {
    ProposalKind.EXPIRE: HoldState.EXPIRED,
    ProposalKind.WITHDRAW: HoldState.WITHDRAWN,
}
_LEDGER_HAS_ANOTHER = frozenset(
    {
        *("hold_settled", "second_review", "stale_review", "review_out_of_turn"),
        "edit_out_of_turn",
        *("denied_approval", "second_justification", "stale_hold", "hold_taken"),
    }
)


async def decide(store: HoldStore, ledger: Ledger, hold: Hold, proposal: Proposal) -> HoldView:
    """Propose and bring through. Raises what `propose` raises, and Unavailable if a part is down;
    the decision may then have been taken and is finished by the sweep.
    """
    taken = await store.propose(proposal, hold)
    if not taken.done:
        view = await _read(store, hold.id)
        await finish(store, ledger, view, taken.proposal)
    return await _read(store, hold.id)


async def finish(store: HoldStore, ledger: Ledger, view: HoldView, proposal: Proposal) -> None:
    """Record and publish a proposal the store has taken: ours, or one whose worker died."""
    hold, reviews = view.hold, view.reviews
    events: list[Event] = []
    if proposal.review is not None:
        events.append(evidence.reviewed(hold, proposal.review))
        reviews = (*reviews, proposal.review)
    why = proposal.justification
    if why is not None:
        events.append(evidence.justified(hold, why))
    if proposal.revised is not None:
        events.append(evidence.filed(proposal.revised))
    justified = why is not None or view.justification is not None
    state = _outcome(hold, proposal, reviews, justified=justified)
    if state is not HoldState.PENDING:
        events.append(evidence.settled(hold, state, reviews))
    try:
        places = await ledger.append(events)
    except LedgerRefused as error:
        if error.code in _LEDGER_HAS_ANOTHER:
            await _yield(store, ledger, hold, proposal)
            raise _lost() from error
        await _give_up(store, ledger, hold, proposal)
        raise
    # An id the ledger knew before may stand for other words than ours: then the ledger's count.
    known_before = any(place.duplicate for place in places)
    if known_before and not await _agrees(ledger, hold, state, proposal):
        await _yield(store, ledger, hold, proposal)
        raise _lost()
    await store.settle(proposal, hold, state, ledger.origin, places[-1].index)


def _outcome(
    hold: Hold, proposal: Proposal, reviews: Sequence[Review], *, justified: bool
) -> HoldState:
    if proposal.kind in _OUTCOMES:
        return _OUTCOMES[proposal.kind]
    if proposal.revised is not None:
        return HoldState.PENDING
    return standing(hold, reviews, justified=justified)


async def _yield(store: HoldStore, ledger: Ledger, hold: Hold, proposal: Proposal) -> None:
    """The ledger has another: its word is applied. Where that left the hold open the proposal would
    stay under way for ever, and nothing else could be decided, so it is void.
    """
    await restore_one(store, ledger, hold.id)
    with suppress(Conflict):  # the ledger's outcome has ended it
        await _give_up(store, ledger, hold, proposal)


async def _give_up(store: HoldStore, ledger: Ledger, hold: Hold, proposal: Proposal) -> None:
    """The ledger will never take this proposal: pending again, and what was said counts nothing.
    An approval that does not do any more, and of which no more can be asked, has failed.
    """
    anew = proposal.kind is ProposalKind.ASK_ANEW
    state = HoldState.FAILED if anew else HoldState.PENDING
    void = replace(proposal, review=None, justification=None, revised=None)
    await store.settle(void, hold, state, ledger.origin, 0)


async def _agrees(ledger: Ledger, hold: Hold, state: HoldState, proposal: Proposal) -> bool:
    """Whether what the ledger has under these ids is what we meant to write."""
    review, why = proposal.review, proposal.justification
    for known in await ledger.open_holds():
        if known.hold != hold.id:
            continue
        if proposal.revised is not None:
            return record.decode(known.record).binding == proposal.revised.binding
        outcome = HoldState.PENDING if known.settled is None else known.settled["state"]
        same_review = review is None or any(
            said["person"] == review.person and said["decision"] == review.decision
            for said in known.reviews
        )
        said_why = known.justified
        same_reason = why is None or (
            said_why is not None
            and (said_why["person"], said_why["reason"]) == (why.person, why.reason)
        )
        return outcome == state and same_review and same_reason
    return False


async def _read(store: HoldStore, hold_id: str) -> HoldView:
    view = await store.get(hold_id)
    if view is None:
        raise HoldStoreUnavailable("The hold vanished while it was decided. Read it again.")
    return view


def _lost() -> Conflict:
    message = "This hold was decided otherwise before. Read it again."
    return Conflict(message, code="already_decided")


def expiry(hold: Hold, origin: str) -> Proposal:
    """The clock ends a hold: silence never approves."""
    return _without_review(hold, origin, ProposalKind.EXPIRE, "")


def withdrawal(hold: Hold, origin: str) -> Proposal:
    """The requester takes the request back."""
    return _without_review(hold, origin, ProposalKind.WITHDRAW, hold.behind)


def start(hold: Hold, origin: str) -> Proposal:
    """What nobody has to answer begins: the gateway's own word, which the ledger checks."""
    return _without_review(hold, origin, ProposalKind.START, "")


def _without_review(hold: Hold, origin: str, kind: ProposalKind, person: str) -> Proposal:
    return Proposal(
        id=names.decision_id(hold.id, hold.version, kind.value, person, ""),
        hold=hold.id,
        version=hold.version,
        kind=kind,
        binding=hold.binding,
        actor=person,
        origin=origin,
    )

"""A person answers a hold, or its requester takes it back.

Who may: a person (never a service account) with the role or group that a threshold of the hold
names, or a delegate to whom such a person lent the role, and who is not, nor stands in for, the
person behind the request. When most of the time is gone also whoever relieves these, where rules
name somebody. Whoever is asked at another step than the open one sees the hold and answers nothing.
A hold that someone may neither review yet nor call their own does not exist for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound
from sekisho.holding import names, settle
from sekisho.holding.refused import refusals_noted
from sekisho.model import duties, steps
from sekisho.model.care import RISK_OF_CARE
from sekisho.model.decision import Threshold
from sekisho.model.duties import seats
from sekisho.model.hold import Hold, HoldCard, HoldState, HoldView, Proposal, ProposalKind, Review
from sekisho.model.principal import Principal
from sekisho.model.steps import APPROVE, DENY
from sekisho.ports import HoldStore, Ledger

RISK_NEEDS_REASON = RISK_OF_CARE  # an approval, too, has to say why
REASON_CHARS_MAX = 2000  # a paragraph; it is shown to the requester and kept in the ledger


@dataclass(frozen=True, slots=True)
class _Said:
    decision: str
    binding: str
    reason: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Seat:
    """In whose name a reviewer answers, and for which reviewers of the thresholds that counts;
    `relief` is the group by which they answer in the place of these.
    """

    person: str
    counts_for: tuple[str, ...]
    relief: str = ""


def seat_of(
    principal: Principal,
    thresholds: tuple[Threshold, ...],
    taken: frozenset[str] = frozenset(),
    *,
    relieved: bool = False,
) -> Seat | None:
    """The seat this principal takes: its own, else that of somebody who lent the role; if they have
    none and the reviewers are `relieved`, the place of these.

    `taken` are seats in which others have answered: another lender's is tried before those. None if
    the principal is not asked at all.
    """
    asked = dict.fromkeys(threshold.reviewers for threshold in thresholds)
    found = _seat(principal, {name: (name,) for name in asked}, taken)
    if found is not None or not relieved:
        return found
    for group in dict.fromkeys(group for one in thresholds for group in one.relief):
        places = tuple(dict.fromkeys(one.reviewers for one in thresholds if group in one.relief))
        found = _seat(principal, {group: places}, taken)
        if found is not None:
            return replace(found, relief=group)
    return None


def _seat(
    principal: Principal, groups: Mapping[str, tuple[str, ...]], taken: frozenset[str]
) -> Seat | None:
    """A seat by one of `groups`, each with the reviewers for whom it counts."""
    counted: dict[str, list[str]] = {}
    for group, counts_for in groups.items():
        for person in seats(principal, group):
            counted.setdefault(person, []).extend(counts_for)
    if not counted:
        return None
    person = min(counted, key=lambda one: (one != principal.id, one in taken, one))
    return Seat(person, tuple(counted[person]))


def is_own(principal: Principal, hold: Hold | HoldCard) -> bool:
    """Whether this hold was asked for by this principal or a service account it owns.

    Not the other way round: a service account's key is in more hands than its owner's.
    """
    return principal.id in (hold.principal, hold.behind)


def is_withheld(view: HoldView, principal: Principal) -> bool:
    """Whether what is held is an answer that this principal waits for: it is given to them when
    people approved it, through its result, and not before by looking at the hold.
    """
    released = view.state in {HoldState.READY, HoldState.DELIVERED}
    return view.hold.stage != "request" and not released and is_own(principal, view.hold)


def is_own_words(principal: Principal, hold: Hold) -> bool:
    """Whether this principal wrote into what is held, in this version or one before. To take
    something out writes nothing.
    """
    wrote = () if hold.narrowed else (hold.editor,)
    return not principal.persons.isdisjoint({*wrote, *hold.writers})


def may_see(principal: Principal, shown: HoldView | HoldCard) -> bool:
    """Requester or eligible reviewer; nobody else learns that the hold exists."""
    hold = _hold(shown)
    return is_own(principal, hold) or _is_asked(principal, hold.thresholds, shown)


def may_review(principal: Principal, shown: HoldView | HoldCard) -> bool:
    """Whether this person may answer this hold now: it is their turn."""
    hold = _hold(shown)
    step = shown.open_step if isinstance(shown, HoldCard) else steps.open_step_of(shown)
    asked = steps.at(hold.thresholds, step)
    return _is_apart(principal, hold) and _is_asked(principal, asked, shown)


def may_review_ever(principal: Principal, shown: HoldView | HoldCard) -> bool:
    """Whether this person is asked about this hold at any step, also one whose turn it is not."""
    hold = _hold(shown)
    return _is_apart(principal, hold) and _is_asked(principal, hold.thresholds, shown)


def is_others_turn(principal: Principal, shown: HoldView | HoldCard) -> bool:
    """Whether this person is asked about this hold, but not at the step that is open."""
    return may_review_ever(principal, shown) and not may_review(principal, shown)


def _hold(shown: HoldView | HoldCard) -> Hold | HoldCard:
    return shown if isinstance(shown, HoldCard) else shown.hold


def _is_apart(principal: Principal, hold: Hold | HoldCard) -> bool:
    return principal.persons.isdisjoint({hold.principal, hold.person, hold.behind})


def _is_asked(
    principal: Principal, thresholds: tuple[Threshold, ...], shown: HoldView | HoldCard
) -> bool:
    return seat_of(principal, thresholds, relieved=shown.relieved) is not None


async def find(store: HoldStore, principal: Principal, hold_id: str) -> HoldView:
    """The hold if `principal` may see it. Raises NotFound otherwise: the two look the same."""
    view = await store.get(hold_id) if names.is_hold_id(hold_id) else None
    if view is None or not may_see(principal, view):
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
    Unavailable: the answer may then be recorded, and giving it again is safe. Who is refused is on
    record by then.
    """
    async with refusals_noted(store, ledger, reviewer, hold_id, "review"):
        return await _review(
            store, ledger, reviewer, hold_id, _Said(decision, binding, reason, version)
        )


async def _review(
    store: HoldStore, ledger: Ledger, reviewer: Principal, hold_id: str, said: _Said
) -> HoldView:
    decision, binding, reason, version = said.decision, said.binding, said.reason, said.version
    view = await find(store, reviewer, hold_id)
    hold = view.hold
    step = _step_for(reviewer, view)
    seat = _check_seat(reviewer, view, step)
    if decision == APPROVE and is_own_words(reviewer, hold):
        message = "You wrote into this yourself, so somebody else has to approve it."
        raise Forbidden(message, code="self_approval")
    spoken_by = names.speaker(reviewer.id, seat.person)
    _check_words(hold, decision, reason)
    if binding != hold.binding or version not in {None, hold.version}:
        message = "The hold is not what you were shown any more. Read it again before you decide."
        raise Conflict(message, code="binding_mismatch")
    if view.unjustified and decision == APPROVE:
        message = (
            "Whoever asked has not said why yet, as the rules want. Read the reason before you "
            "approve; until then it can only be denied."
        )
        raise Conflict(message, code="justification_outstanding")
    keys = await ledger.exchange_keys(hold.principal, hold.exchange)
    answer = Review(
        id=names.review_event(keys.commit, hold.id, hold.version, spoken_by),
        hold=hold.id,
        version=hold.version,
        reviewer=reviewer.id,
        person=seat.person,
        decision=decision,
        reason=reason.strip(),
        binding=binding,
        at_us=await store.now_us(),
        counts_for=seat.counts_for,
        step=step,
        relief=seat.relief,
    )
    proposal = Proposal(
        id=names.decision_id(hold.id, hold.version, "review", spoken_by, decision),
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
    async with refusals_noted(store, ledger, principal, hold_id, "withdraw"):
        view = await find(store, principal, hold_id)
        if not is_own(principal, view.hold):
            raise NotFound("There is no such hold, or it is not yours to withdraw.")
        return await settle.decide(
            store, ledger, view.hold, settle.withdrawal(view.hold, ledger.origin)
        )


def check_duties(reviewer: Principal, view: HoldView) -> Seat:
    """The seat in which this person may answer or change it now. Raises Forbidden
    (`self_approval`, `not_eligible`) or Conflict (`not_your_turn`).
    """
    return _check_seat(reviewer, view, steps.open_step_of(view))


def check_asked(reviewer: Principal, view: HoldView) -> None:
    """Raises Forbidden (`self_approval`, `not_eligible`) for whoever is not asked at any step."""
    hold = view.hold
    duties.may_review(reviewer, {hold.principal, hold.person, hold.behind})
    if not _is_asked(reviewer, hold.thresholds, view):
        raise Forbidden("You are not among the reviewers of this hold.", code="not_eligible")


def _step_for(reviewer: Principal, view: HoldView) -> int:
    """The step at which an answer of this person is meant: the open one, but that at which they
    have answered already, so that the same answer given again is one.
    """
    given = (one.step for one in steps.of_version(view) if one.reviewer == reviewer.id)
    return next(given, steps.open_step_of(view))


def _check_seat(reviewer: Principal, view: HoldView, step: int) -> Seat:
    hold = view.hold
    check_asked(reviewer, view)
    taken = frozenset(one.person for one in steps.of_version(view) if one.reviewer != reviewer.id)
    asked = steps.at(hold.thresholds, step)
    seat = seat_of(reviewer, asked, taken, relieved=view.relieved)
    if seat is None and view.state not in {HoldState.PENDING, HoldState.DECIDING}:
        # The store says that it is over.
        seat = seat_of(reviewer, hold.thresholds, taken, relieved=view.relieved)
    if seat is None:
        who = ", ".join(one.reviewers for one in asked)
        message = f"It is not your turn: step {step} is open, and {who} answer there."
        raise Conflict(message, code="not_your_turn")
    return seat


def _check_words(hold: Hold, decision: str, reason: str) -> None:
    if decision not in {APPROVE, DENY}:
        raise BadRequest("decision must be approve or deny.", param="decision")
    if len(reason) > REASON_CHARS_MAX:
        raise BadRequest(f"reason is longer than {REASON_CHARS_MAX} characters.", param="reason")
    needed = decision == DENY or hold.risk >= RISK_NEEDS_REASON
    if needed and not reason.strip():
        what = "A denial" if decision == DENY else "An approval at this risk"
        raise BadRequest(f"{what} needs a reason.", param="reason", code="reason_required")

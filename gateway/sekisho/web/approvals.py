"""`/v1/approvals`: holds are listed, shown, justified, reviewed and withdrawn.

A hold exists only for its requester and for the reviewers its thresholds name; for anyone else it
is a 404. Errors have the OpenAI shape. The result of a hold (`/result`, the 303 target) is part of
the data path and not here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from sekisho.errors import BadRequest, NotFound, Unavailable
from sekisho.holding import queue
from sekisho.holding import review as reviewing
from sekisho.holding.justification import justify
from sekisho.holding.refused import refusals_noted
from sekisho.holding.shown import note_shown
from sekisho.model.decision import FIRST_STEP
from sekisho.model.halts import Reach
from sekisho.model.hold import HoldCard, HoldView
from sekisho.model.principal import Principal, Scope
from sekisho.revise import Edit
from sekisho.web.approvals_schema import (
    EditRequest,
    HoldDetail,
    HoldList,
    JustificationRequest,
    ReviewRequest,
    detail,
    summary,
)
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Now, Parts, ProblemRoute, needs, needs_at, now_us
from sekisho.web.openapi import body_of
from sekisho.web.services import Services

LISTED_MAX = 500  # a page longer than a person reads
LISTED_USUAL = 100
CURSOR_CHARS_MAX = 100
RULE_CHARS_MAX = 200
WARNING_HEADER = "x-sekisho-review-warning"
BODY_BYTES_MAX = 16_384  # a review is a word, a binding and a paragraph
BODY_DEPTH_MAX = 2  # and has no structure
EDIT_BYTES_MAX = 1_048_576  # the arguments of some calls
EDIT_DEPTH_MAX = 4  # a list of them


def wanted(
    stage: Annotated[Literal["", "request", "response", "tool_call"], Query()] = "",
    rule: Annotated[str, Query(max_length=RULE_CHARS_MAX)] = "",
    *,
    mine: Annotated[bool | None, Query()] = None,
    turn: Annotated[Literal["mine", "any"], Query()] = "mine",
    status: str = "open",
) -> queue.Wanted:
    """Which holds somebody wants to see listed."""
    if status != "open":
        raise BadRequest("status must be open.", param="status")
    return queue.Wanted(stage, rule, mine, any_turn=turn == "any")


Wants = Annotated[queue.Wanted, Depends(wanted)]
router = APIRouter(prefix="/v1/approvals", tags=["approvals"], route_class=ProblemRoute)


@router.get("")
async def list_holds(
    parts: Parts,
    principal: Caller,
    wanted: Wants,
    limit: Annotated[int, Query(ge=1, le=LISTED_MAX)] = LISTED_USUAL,
    after: Annotated[str, Query(max_length=CURSOR_CHARS_MAX)] = "",
) -> HoldList:
    """Open holds that the caller may decide, and the caller's own; the most urgent first. With
    `turn=any` also those of which another step is open than the caller's.
    """
    needs(principal, Scope.REVIEW, Scope.SELF)
    page = await queue.page(parts.holds, principal, wanted, after=after, limit=limit)
    claims = await parts.holds.desk.claims([card.id for card in page.cards])
    return HoldList(
        data=[summary(card, principal, claims.get(card.id)) for card in page.cards],
        has_more=bool(page.after),
        after=page.after or None,
    )


@router.get("/{hold_id}")
async def show_hold(hold_id: str, parts: Parts, principal: Caller, now: Now) -> HoldDetail:
    """One hold with everything that is bound. Who is shown it, other than who asked, is recorded
    first: without that record nothing is shown.
    """
    view, from_us = await look_at(parts, principal, hold_id, now)
    return detail(view, principal, approve_from_us=from_us)


@router.post(
    "/{hold_id}/reviews",
    openapi_extra=body_of(ReviewRequest),
)
async def review_hold(
    hold_id: str, request: Request, response: Response, parts: Parts, principal: Caller
) -> HoldDetail:
    """Approve or deny, with the binding that was shown. Repeating the same answer is safe."""
    await needs_at(parts, principal, hold_id, "review", Scope.REVIEW)
    said = await read_model(
        request,
        ReviewRequest,
        what="a review",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    view = await reviewing.review(
        parts.holds,
        parts.ledger,
        principal,
        hold_id,
        decision=said.decision,
        binding=said.binding,
        reason=said.reason,
        version=said.version,
    )
    warning = await too_fast(parts, principal)
    if warning is not None:
        response.headers[WARNING_HEADER] = warning
    return detail(view, principal, warning=warning)


@router.post(
    "/{hold_id}/edits",
    openapi_extra=body_of(EditRequest),
)
async def edit_hold(hold_id: str, request: Request, parts: Parts, principal: Caller) -> HoldDetail:
    """Change the tool calls of a held answer, or take some out: a new version, reviewed anew."""
    await needs_at(parts, principal, hold_id, "edit", Scope.REVIEW)
    said = await read_model(
        request,
        EditRequest,
        what="an edit",
        bytes_max=EDIT_BYTES_MAX,
        depth_max=EDIT_DEPTH_MAX,
    )
    changes = {one.place: one.arguments for one in said.calls}
    if len(changes) < len(said.calls):
        raise BadRequest("calls names one place twice.", param="calls")
    step = FIRST_STEP if said.step is None else said.step
    edit = Edit(changes, said.binding, said.version, step)
    view = await change(parts, principal, hold_id, edit)
    from_us = await note_shown(parts.holds, parts.ledger, principal, view.hold, now_us())
    return detail(view, principal, approve_from_us=from_us)


@router.post(
    "/{hold_id}/justification",
    openapi_extra=body_of(JustificationRequest),
)
async def justify_hold(
    hold_id: str, request: Request, parts: Parts, principal: Caller
) -> HoldDetail:
    """Whoever asked says why, as the rules want. Giving the same reason again is safe."""
    await needs_at(parts, principal, hold_id, "justify", Scope.ASK, Scope.SELF)
    said = await read_model(
        request,
        JustificationRequest,
        what="a justification",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    view = await justify(
        parts.holds,
        parts.ledger,
        principal,
        hold_id,
        reason=said.reason,
        binding=said.binding,
        version=said.version,
    )
    return detail(view, principal)


@router.post("/{hold_id}/withdraw")
async def withdraw_hold(hold_id: str, parts: Parts, principal: Caller) -> HoldDetail:
    """The requester takes a pending hold back."""
    await needs_at(parts, principal, hold_id, "withdraw", Scope.ASK, Scope.SELF)
    view = await reviewing.withdraw(parts.holds, parts.ledger, principal, hold_id)
    return detail(view, principal)


# The pages (web/pages.py) call these too: there is one way to list, see and change a hold.


async def open_cards(parts: Services, principal: Principal) -> list[HoldCard]:
    """Open holds that `principal` may decide, and their own; the most urgent first."""
    needs(principal, Scope.REVIEW, Scope.SELF)
    cards = await queue.seen_cards(parts.holds, principal)
    return queue.ordered(cards, await parts.holds.now_us())


async def look_at(
    parts: Services, principal: Principal, hold_id: str, now: int
) -> tuple[HoldView, int | None]:
    """The hold, to be shown to `principal`, which is on record by then, and from when on they may
    approve it, as `note_shown` says. Raises NotFound.
    """
    async with refusals_noted(parts.holds, parts.ledger, principal, hold_id, "read"):
        needs(principal, Scope.REVIEW, Scope.SELF)
        view = await reviewing.find(parts.holds, principal, hold_id)
        own = reviewing.is_own(principal, view.hold)
        if not own:
            needs(principal, Scope.REVIEW)
    if own and parts.halts is not None and view.hold.stage != "request":
        await parts.halts.check(Reach.of_hold(view.hold))  # else it would be a way to the answer
    return view, await note_shown(parts.holds, parts.ledger, principal, view.hold, now)


async def change(parts: Services, principal: Principal, hold_id: str, edit: Edit) -> HoldView:
    """The hold in its new version. Raises what `Revise.revise` does."""
    if parts.revise is None:
        raise NotFound("Nothing can be edited here.")
    async with refusals_noted(parts.holds, parts.ledger, principal, hold_id, "edit"):
        return await parts.revise(principal, hold_id, edit)


async def too_fast(parts: Services, reviewer: Principal) -> str | None:
    """What a reviewer is told who decides faster than people read. It is advice: what cannot be
    read is not told, since the decision before it was made.
    """
    with suppress(Unavailable):
        decisions = (await parts.holds.desk.rate(reviewer.id)).decisions
        care = parts.holds.desk.care
        if decisions > care.decisions_warn:
            return (
                f"You decided {decisions} holds within an hour. After {care.decisions_max} "
                "approvals pause. Take your time, or let a colleague take some."
            )
    return None

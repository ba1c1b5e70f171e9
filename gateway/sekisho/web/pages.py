"""`/approvals`: the pages to which the links of holds lead, for reviewers and for whoever asked.

They call what `/v1/approvals` calls and show what it would say. One address a hold: it is looked at
by GET and acted on by POST, so that a reload always leads back to reading it. What was done is
answered with a redirect, so that no form is sent again by going back. A form echoes the binding
that was shown; if the hold changed meanwhile, it does not fit and nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from sekisho.console.bound import Bound, bound_of
from sekisho.console.hold_page import hold_page
from sekisho.console.queue_page import queue_page
from sekisho.errors import (
    BadRequest,
    Conflict,
    DeniedByPolicy,
    Forbidden,
    Halted,
    HaltUnknown,
    LedgerRefused,
    NotAuthenticated,
    NotFound,
    Refused,
    TooHasty,
    Unavailable,
)
from sekisho.holding import names, review
from sekisho.holding.deliver import deliver, json_of
from sekisho.holding.justification import justify
from sekisho.holding.refused import refusals_noted
from sekisho.model.decision import FIRST_STEP
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.principal import Principal, Scope
from sekisho.revise import Edit
from sekisho.web.approvals import EDIT_BYTES_MAX, change, look_at, open_cards
from sekisho.web.approvals_schema import ARGUMENTS_CHARS_MAX, CALLS_MAX
from sekisho.web.callers import Now, Parts, needs, needs_at, now_us
from sekisho.web.dialects import dialect_of
from sekisho.web.exchanges import appeal_against
from sekisho.web.exchanges_schema import REASON_CHARS_MAX
from sekisho.web.forms import read_form
from sekisho.web.page_routes import PageRoute, SignInFirst, as_page, html, redirect
from sekisho.web.services import Services

FIELDS_MAX = 8 + 2 * CALLS_MAX  # what is done, to which version and why; two fields a call
VERSION_DIGITS_MAX = 9
_NOT_SIGNED_IN = frozenset({"missing", "session_over"})
_TOLD_BESIDE = (BadRequest, Conflict, Forbidden, DeniedByPolicy, TooHasty)
_ANSWERED = frozenset({HoldState.READY, HoldState.DELIVERED})
_SENT = _ANSWERED | {HoldState.UNKNOWN, HoldState.FAILED}

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """Why a form was not carried out, and what it said."""

    fault: Refused
    form: Form


router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def visitor(request: Request, parts: Parts) -> Principal:
    """Who looks. Not to be signed in is no attempt at anything, and is not recorded."""
    find = parts.directory.find
    principal, _ = await parts.entrance.enter(request.scope, "page", find, _NOT_SIGNED_IN)
    return principal


async def signed_in(request: Request, parts: Parts) -> Principal:
    """As `visitor`, for what is only looked at. Raises SignInFirst; what was shown and is wrong is
    told instead.
    """
    try:
        return await visitor(request, parts)
    except NotAuthenticated as error:
        if error.cause in _NOT_SIGNED_IN:
            raise SignInFirst from error
        raise


@router.get("/approvals")
async def queue(request: Request, parts: Parts, now: Now, turn: str = "mine") -> Response:
    """What waits for the reader's answer, and what they wait for; with `turn=any` also what waits
    for others first.
    """
    reader = await signed_in(request, parts)
    shown = queue_page(await open_cards(parts, reader), reader, now)
    return HTMLResponse(
        html(request, "queue.html", page=shown, reader=reader, any_turn=turn == "any")
    )


@router.get("/approvals/{hold_id}")
async def look(hold_id: str, request: Request, parts: Parts) -> Response:
    """One hold: to decide about it, or to see how it stands."""
    if not names.is_hold_id(hold_id):
        raise NotFound("There is no such hold, or it is not yours to see.")
    reader = await signed_in(request, parts)
    return await _shown(request, parts, reader, hold_id)


@router.post("/approvals/{hold_id}")
async def act(
    hold_id: str, request: Request, parts: Parts, reader: Annotated[Principal, Depends(visitor)]
) -> Response:
    """Decide, change, justify, withdraw or appeal. What cannot be done is told above the hold."""
    form = await read_form(request, bytes_max=3 * EDIT_BYTES_MAX, fields_max=FIELDS_MAX)
    try:
        does = _ACTS.get(form.get("act", ""))
        if does is None:
            raise BadRequest("This form says nothing that can be done here.")
        await does(parts, reader, hold_id, form)
    except _TOLD_BESIDE as error:
        told = Told(error, form)
        return await _shown(request, parts, reader, hold_id, told)
    return redirect(request, f"/approvals/{quote(hold_id)}")


async def _decide(parts: Services, reader: Principal, hold_id: str, form: Form) -> None:
    await needs_at(parts, reader, hold_id, "review", Scope.REVIEW)
    await review.review(
        parts.holds,
        parts.ledger,
        reader,
        hold_id,
        decision=form["act"],
        binding=form.get("binding", ""),
        reason=form.get("reason", ""),
        version=_number(form, "version"),
    )


async def _edit(parts: Services, reader: Principal, hold_id: str, form: Form) -> None:
    """File a new version with what differs from what was offered. The hold is read for that, and
    the binding of the form has to be its own, so both are about the same version.
    """
    await needs_at(parts, reader, hold_id, "edit", Scope.REVIEW)
    hold = (await review.find(parts.holds, reader, hold_id)).hold
    changes: dict[int, str | None] = {}
    for call in bound_of(hold.outgoing, hold.stage).calls:
        said = form.get(f"arguments-{call.place}")
        if f"drop-{call.place}" in form:
            changes[call.place] = None
        elif said is not None and call.offered is not None and said != call.offered:
            changes[call.place] = said
    if any(text is not None and len(text) > ARGUMENTS_CHARS_MAX for text in changes.values()):
        message = f"Arguments are longer than {ARGUMENTS_CHARS_MAX} characters."
        raise BadRequest(message, param="arguments")
    step = _number(form, "step")
    read = FIRST_STEP if step is None else step
    edit = Edit(changes, form.get("binding", ""), _number(form, "version"), read)
    await change(parts, reader, hold_id, edit)


async def _justify(parts: Services, reader: Principal, hold_id: str, form: Form) -> None:
    await needs_at(parts, reader, hold_id, "justify", Scope.ASK, Scope.SELF)
    await justify(
        parts.holds,
        parts.ledger,
        reader,
        hold_id,
        reason=form.get("reason", ""),
        binding=form.get("binding"),
        version=_number(form, "version"),
    )


async def _withdraw(parts: Services, reader: Principal, hold_id: str, _: Form) -> None:
    await needs_at(parts, reader, hold_id, "withdraw", Scope.ASK, Scope.SELF)
    await review.withdraw(parts.holds, parts.ledger, reader, hold_id)


async def _appeal(parts: Services, reader: Principal, hold_id: str, form: Form) -> None:
    """The requester disagrees with a denial; it is durable before the page says so."""
    async with refusals_noted(parts.holds, parts.ledger, reader, hold_id, "read"):
        needs(reader, Scope.SELF)
        hold = (await review.find(parts.holds, reader, hold_id)).hold
    reason = form.get("reason", "").strip()
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        message = f"An appeal has a reason of at most {REASON_CHARS_MAX} characters."
        raise BadRequest(message, param="reason", code="reason_required")
    await appeal_against(parts.ledger, reader, hold.exchange, reason)


_ACTS: Mapping[str, Callable[[Services, Principal, str, Form], Awaitable[None]]] = {
    "approve": _decide,
    "deny": _decide,
    "edit": _edit,
    "justify": _justify,
    "withdraw": _withdraw,
    "appeal": _appeal,
}


async def _shown(
    request: Request, parts: Services, reader: Principal, hold_id: str, told: Told | None = None
) -> Response:
    """The page of a hold; with what went wrong above it, and what was written still in its field.

    After a binding that did not fit there are no buttons: what is shown now is something else than
    what was decided about, and has to be asked for to be decided.
    """
    now = now_us()
    view, _ = await look_at(parts, reader, hold_id, now)
    answer, next_hold = await _result(parts, reader, view)
    appeals = await _appeals(parts, reader, view)
    fault = told.fault if told else None
    stale = fault is not None and fault.code == "binding_mismatch"

    def made() -> str:
        return html(
            request,
            "hold.html",
            page=hold_page(view, reader, now),
            view=view,
            reader=reader,
            fault=fault,
            stale=stale,
            typed=told.form if told else {},
            answer=answer,
            next_hold=next_hold,
            appeals=appeals,
            retrieve=_retrieve(view),
        )

    text = await asyncio.to_thread(made)
    return as_page(text, fault)


def _retrieve(view: HoldView) -> str:
    """What a program calls to get the answer, by the API it asked."""
    dialect = dialect_of(view.hold.endpoint)
    return f'{dialect.retrieve}.retrieve("{dialect.prefix}{view.hold.id}")'


async def _result(
    parts: Services, reader: Principal, view: HoldView
) -> tuple[Bound | None, str | None]:
    """The answer for whoever asked, once there is one; or the hold in which the answer waits."""
    if not review.is_own(reader, view.hold) or view.state not in _SENT:
        return None, None
    if view.hold.stage == "request":
        answer_hold = names.answer_hold(view.hold.id)
        if await parts.holds.get(answer_hold) is not None:
            return None, answer_hold
    if view.state not in _ANSWERED:
        return None, None
    try:
        stored = await deliver(parts.holds, parts.ledger, view)
    except (NotFound, Halted, HaltUnknown):  # not there, or stopped for now
        return None, None
    return bound_of(json_of(stored), "response"), None


async def _appeals(
    parts: Services, reader: Principal, view: HoldView
) -> list[Mapping[str, Any]] | None:
    """What the requester has said against a denial; None where there is nothing to appeal against,
    or the history cannot tell just now.
    """
    if view.state is not HoldState.DENIED or reader.id != view.hold.principal:
        return None
    with suppress(LedgerRefused, Unavailable):
        found = await parts.ledger.exchange(reader.id, view.hold.exchange)
        return None if found is None else list(found["appeals"])
    return None


def _number(form: Form, name: str) -> int | None:
    said = form.get(name, "")
    known = said.isascii() and said.isdigit() and len(said) <= VERSION_DIGITS_MAX
    return int(said) if known else -1 if said else None

"""`/break-glass`: the pages of break-glass. They call what `/v1/admin/break-glass` calls.

As with holds, an opening is looked at by GET and acted on by POST, and what was done is answered
with a redirect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from sekisho.console.break_glass_page import opening_page, openings_page
from sekisho.errors import BadRequest, Conflict, Forbidden, Refused
from sekisho.holding.break_glass_desk import NAME_CHARS_MAX, BreakGlassDesk, may_open
from sekisho.model.principal import Principal, Scope
from sekisho.web.break_glass import BODY_BYTES_MAX, desk_of
from sekisho.web.callers import Parts, needs
from sekisho.web.forms import read_form
from sekisho.web.page_routes import PageRoute, as_page, html, redirect
from sekisho.web.pages import signed_in, visitor
from sekisho.web.services import Services
from sekisho_audit.break_glass_rules import RULES_MAX

FIELDS_MAX = 8
_MINUTES_DIGITS_MAX = 4
_NOTHING: Mapping[str, str] = {}
_TOLD_BESIDE = (BadRequest, Conflict, Forbidden)

Form = Mapping[str, str]

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/break-glass")
async def openings(request: Request, parts: Parts, *, done: bool = False) -> Response:
    """What is open or waits for review, and for who may, a form to open it. A link from a hold
    brings its rules along.
    """
    reader = await signed_in(request, parts)
    brought = request.query_params.getlist("rule")[:RULES_MAX]
    typed = {"rules": "\n".join(one for one in brought if len(one) <= NAME_CHARS_MAX)}
    return await _listed(request, parts, reader, form=typed, done=done)


@router.post("/break-glass")
async def open_break_glass(
    request: Request, parts: Parts, reader: Annotated[Principal, Depends(visitor)]
) -> Response:
    """Open it. What cannot be done is told above the list, and what was written stays."""
    form = await read_form(request, bytes_max=BODY_BYTES_MAX, fields_max=FIELDS_MAX)
    try:
        needs(reader, Scope.ADMIN)
        rules = [line.strip() for line in form.get("rules", "").splitlines() if line.strip()]
        reason = form.get("reason", "")
        opened = await desk_of(parts).open(reader, rules, reason, _minutes(form))
    except _TOLD_BESIDE as error:
        return await _listed(request, parts, reader, fault=error, form=form)
    return redirect(request, f"/break-glass/{quote(opened.id)}")


@router.get("/break-glass/{opening_id}")
async def look(opening_id: str, request: Request, parts: Parts) -> Response:
    """One opening: what was opened, by whom and why."""
    reader = await signed_in(request, parts)
    return await _shown(request, parts, reader, opening_id)


@router.post("/break-glass/{opening_id}")
async def act(
    opening_id: str,
    request: Request,
    parts: Parts,
    reader: Annotated[Principal, Depends(visitor)],
) -> Response:
    """End or review it. What cannot be done is told above it."""
    form = await read_form(request, bytes_max=BODY_BYTES_MAX, fields_max=FIELDS_MAX)
    try:
        does = _ACTS.get(form.get("act", ""))
        if does is None:
            raise BadRequest("This form says nothing that can be done here.")
        then = await does(desk_of(parts), reader, opening_id, form)
    except _TOLD_BESIDE as error:
        return await _shown(request, parts, reader, opening_id, fault=error, form=form)
    return redirect(request, then)


async def _end(desk: BreakGlassDesk, reader: Principal, opening_id: str, _form: Form) -> str:
    needs(reader, Scope.ADMIN)
    await desk.end(reader, opening_id)
    return f"/break-glass/{quote(opening_id)}"


async def _review(desk: BreakGlassDesk, reader: Principal, opening_id: str, form: Form) -> str:
    needs(reader, Scope.REVIEW, Scope.AUDIT)
    await desk.review(reader, opening_id, form["act"], form.get("reason", ""))
    return "/break-glass?done=true"


_Act = Callable[[BreakGlassDesk, Principal, str, Form], Awaitable[str]]
_ACTS: Mapping[str, _Act] = {"end": _end, "justified": _review, "not_justified": _review}


def _minutes(form: Form) -> int | None:
    said = form.get("minutes", "").strip()
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= _MINUTES_DIGITS_MAX):
        raise BadRequest("minutes is a whole number.", param="minutes")
    return int(said)


async def _listed(
    request: Request,
    parts: Services,
    reader: Principal,
    *,
    fault: Refused | None = None,
    form: Form = _NOTHING,
    done: bool = False,
) -> Response:
    needs(reader, Scope.ADMIN, Scope.REVIEW, Scope.AUDIT)
    desk = desk_of(parts)
    shown = openings_page(
        await desk.listed(reader),
        desk.now_us(),
        desk.limits,
        may_open=may_open(reader) and Scope.ADMIN in reader.scopes,
        said=done,
    )
    text = html(request, "openings.html", page=shown, reader=reader, fault=fault, typed=form)
    return as_page(text, fault)


async def _shown(
    request: Request,
    parts: Services,
    reader: Principal,
    opening_id: str,
    *,
    fault: Refused | None = None,
    form: Form = _NOTHING,
) -> Response:
    needs(reader, Scope.ADMIN, Scope.REVIEW, Scope.AUDIT)
    desk = desk_of(parts)
    opening = await desk.seen(reader, opening_id)
    shown = opening_page(opening, desk.acts(reader, opening), desk.now_us())
    text = html(request, "opening.html", page=shown, reader=reader, fault=fault, typed=form)
    return as_page(text, fault)

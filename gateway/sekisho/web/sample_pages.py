"""`/samples`: the pages of review after the fact. They call what `/v1/samples` calls.

As with holds, a sample is looked at by GET and judged by POST, and what was done is answered with a
redirect to what waits next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sekisho.console.sample_page import sample_page, samples_page
from sekisho.errors import BadRequest, Conflict, Refused
from sekisho.model.principal import Principal, Scope
from sekisho.web.callers import Now, Parts, needs, now_us
from sekisho.web.forms import read_form
from sekisho.web.page_routes import PageRoute, as_page, html, redirect
from sekisho.web.pages import signed_in, visitor
from sekisho.web.samples import BODY_BYTES_MAX, LISTED_MAX, desk_of
from sekisho.web.services import Services

FIELDS_MAX = 8
_NOTHING: Mapping[str, str] = {}

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/samples")
async def queue(request: Request, parts: Parts, now: Now, *, done: bool = False) -> Response:
    """What waits for the reader's verdict."""
    reader = await signed_in(request, parts)
    needs(reader, Scope.REVIEW)
    found = await desk_of(parts).queue(reader)
    shown = samples_page(found[:LISTED_MAX], now, said=done)
    return as_page(html(request, "samples.html", page=shown, reader=reader))


@router.get("/samples/{sample_id}")
async def look(sample_id: str, request: Request, parts: Parts) -> Response:
    """One sample: what was asked and answered."""
    reader = await signed_in(request, parts)
    return await _shown(request, parts, reader, sample_id)


@router.post("/samples/{sample_id}")
async def judge(
    sample_id: str, request: Request, parts: Parts, reader: Annotated[Principal, Depends(visitor)]
) -> Response:
    """Say what was found. What cannot be done is told above the sample."""
    form = await read_form(request, bytes_max=BODY_BYTES_MAX, fields_max=FIELDS_MAX)
    needs(reader, Scope.REVIEW)
    try:
        reason = form.get("reason", "")
        await desk_of(parts).judge(reader, sample_id, form.get("act", ""), reason)
    except (BadRequest, Conflict) as error:
        return await _shown(request, parts, reader, sample_id, fault=error, form=form)
    return redirect(request, "/samples?done=true")


async def _shown(
    request: Request,
    parts: Services,
    reader: Principal,
    sample_id: str,
    *,
    fault: Refused | None = None,
    form: Mapping[str, str] = _NOTHING,
) -> Response:
    needs(reader, Scope.REVIEW)
    sample, content = await desk_of(parts).show(reader, sample_id)
    now = now_us()

    def made() -> str:
        page = sample_page(sample, content, reader, now)
        return html(request, "sample.html", page=page, reader=reader, fault=fault, typed=form)

    text = await asyncio.to_thread(made)
    return as_page(text, fault)

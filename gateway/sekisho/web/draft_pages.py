"""`/drafts`: the page where whoever asked says what became of answers, for who has no terminal.

It records what `/v1/exchanges/{id}/acceptance` records. Of a text that is pasted only the hash is
told to the ledger, and the text is forgotten with the request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sekisho.console.drafts_page import drafts_page
from sekisho.errors import BadRequest, Conflict, NotFound, Refused
from sekisho.model.draft import DraftSaid
from sekisho.model.principal import Principal, Scope
from sekisho.stages.drafts import open_drafts
from sekisho.web.acceptance import say_of_draft
from sekisho.web.callers import Parts, needs
from sekisho.web.forms import read_form
from sekisho.web.page_routes import PageRoute, as_page, html, redirect
from sekisho.web.pages import signed_in, visitor
from sekisho.web.services import Services

BODY_BYTES_MAX = 1024 * 1024  # a pasted text, which a form makes up to nine times as long
FIELDS_MAX = 4
_WORDS = frozenset({"accepted", "edited", "rejected"})

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/drafts")
async def drafts(request: Request, parts: Parts, *, done: bool = False) -> Response:
    """One's own answers that wait for a word."""
    reader = await signed_in(request, parts)
    return await _listed(request, parts, reader, done=done)


@router.post("/drafts/{exchange_id}")
async def say(
    exchange_id: str,
    request: Request,
    parts: Parts,
    reader: Annotated[Principal, Depends(visitor)],
) -> Response:
    """Say it. What cannot be done is told above the list."""
    form = await read_form(request, bytes_max=BODY_BYTES_MAX, fields_max=FIELDS_MAX)
    needs(reader, Scope.SELF)
    try:
        await say_of_draft(parts.ledger, reader, exchange_id, _said(form))
    except (BadRequest, Conflict, NotFound) as error:
        return await _listed(request, parts, reader, fault=error)
    return redirect(request, "/drafts?done=true")


def _said(form: Mapping[str, str]) -> DraftSaid:
    word, final = form.get("act", ""), form.get("final", "")
    if word not in _WORDS:
        raise BadRequest("This form says nothing that can be done here.")
    if word != "edited":
        return DraftSaid(word)
    if not final.strip():
        raise BadRequest("Paste what you made of the answer. Only its fingerprint is kept.")
    return DraftSaid(word, final_sha256=hashlib.sha256(final.encode()).hexdigest())


async def _listed(
    request: Request,
    parts: Services,
    reader: Principal,
    *,
    fault: Refused | None = None,
    done: bool = False,
) -> Response:
    needs(reader, Scope.SELF)
    shown = drafts_page(await open_drafts(reader, parts.ledger), said=done)
    text = html(request, "drafts.html", page=shown, reader=reader, fault=fault)
    return as_page(text, fault)

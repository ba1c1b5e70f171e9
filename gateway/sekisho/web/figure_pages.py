"""`/approvals/figures`: how people review, as a page with what `/v1/approvals/figures` says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from sekisho.console.figures_page import DAYS, figures_page
from sekisho.web.callers import Now, Parts
from sekisho.web.figures import DAYS_MAX, figures_for, oversees
from sekisho.web.page_routes import PageRoute, html
from sekisho.web.pages import signed_in

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/approvals/figures")
async def figures(
    request: Request,
    parts: Parts,
    now: Now,
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = DAYS[1],
    *,
    mine: bool = False,
) -> Response:
    """Everybody's figures for operators and auditors, one's own for reviewers."""
    reader = await signed_in(request, parts)
    found = await figures_for(parts, reader, now, days, mine=mine or None)
    shown = figures_page(found.model_dump(), oversees=oversees(reader))
    return HTMLResponse(html(request, "figures.html", page=shown, reader=reader))

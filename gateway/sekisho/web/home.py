"""`/`: what this is, for whoever opens the gateway's address in a browser."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from sekisho.web.page_routes import PageRoute, html
from sekisho.web.sign_in import Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def home(request: Request, here: Parts) -> HTMLResponse:
    """The same for everybody, because it asks for nothing."""
    page = html(request, "home.html", public_url=here.public_url, reader=None)
    return HTMLResponse(page)

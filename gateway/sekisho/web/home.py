"""`/`: what this is, for whoever opens the gateway's address in a browser."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from sekisho.web import sign_in_page
from sekisho.web.sign_in import PageRoute, Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def home(here: Parts) -> HTMLResponse:
    """The same for everybody, because it asks for nothing."""
    return HTMLResponse(sign_in_page.home(here.public_url))

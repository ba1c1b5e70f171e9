"""What all pages share: their headers, their language, and errors as pages.

A page loads the style sheet and the script of this gateway and nothing else; nothing in it is
inline, so text that came to be markup after all would neither run nor be styled. It is shown in no
frame, kept in no cache, and sends its forms nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from sekisho.console.render import page
from sekisho.errors import SekishoError
from sekisho.web.language import spoken
from sekisho.web.problems import problem
from sekisho.web.services import Services

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "vary": "accept-language",
}
_LEADS_BACK = ("/approvals", "/samples", "/break-glass", "/drafts")
_KEPT = {b"retry-after", b"connection"}


class SignInFirst(Exception):
    """A page is for whoever has signed in; they do, and come back to it."""


class PageRoute(APIRoute):
    """Turns the errors of the line into pages, and gives every answer a page's headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except SignInFirst:
                back = urlencode({"return_to": base_path(request) + request.url.path})
                response = redirect(request, f"/login?{back}")
            except SekishoError as error:
                response = failed(request, error)
            response.headers.update(HEADERS)
            return response

        return handle


def base_path(request: Request) -> str:
    """The path under which this gateway stands, "" for most: a proxy may serve it below one."""
    public_url: str = request.app.state.sign_in.public_url
    return urlsplit(public_url).path.rstrip("/")


def language(request: Request) -> str:
    """The reader's language, as far as pages speak it."""
    wished = request.headers.get("accept-language", "")
    default: str = request.app.state.sign_in.language
    return spoken(wished.encode("latin-1", "replace"), default)


def html(request: Request, template: str, **values: object) -> str:
    """The page of `template` for whoever asks. Slow for large contents: not on the event loop."""
    here: Services | None = getattr(request.app.state, "services", None)
    glass = None if here is None else here.break_glass
    opened = 0 if glass is None else glass.open_count
    spoken_in, base = language(request), base_path(request)
    return page(template, spoken_in, base, break_glass_open=opened, **values)


def failed(request: Request, error: SekishoError) -> Response:
    """What went wrong, and the way on: to what was wanted, or to sign in."""
    path = request.url.path
    wanted = quote(path) if path.startswith(_LEADS_BACK) else ""
    text = html(request, "failed.html", error=error, wanted=wanted, reader=None)
    return as_page(text, error)


def as_page(text: str, fault: SekishoError | None = None) -> HTMLResponse:
    """A page, with the status of the fault that it tells, and when to come back."""
    if fault is None:
        return HTMLResponse(text)
    return HTMLResponse(text, fault.status, _said_by(fault))


def redirect(request: Request, path: str) -> Response:
    """To another page of ours, to be looked at: no form is sent again by going back."""
    return Response(status_code=303, headers={"location": base_path(request) + path})


def _said_by(error: SekishoError) -> dict[str, str]:
    """The headers of the table of problems that say when to come back, and how."""
    _, headers, _ = problem(error)
    return {name.decode(): value.decode() for name, value in headers if name in _KEPT}

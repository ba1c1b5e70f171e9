"""Signing in and out for pages, and who one is: `/login`, `/logout`, `/v1/me`.

People sign in at an OpenID Connect issuer, or with a key where there is none. Either begins a new
session under a new token, recorded before the browser gets its cookie; what is refused is recorded
too. A session names the principal alone: roles and groups come from the directory on each request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from sekisho.errors import BadRequest, NotAuthenticated, SekishoError
from sekisho.model.identity import Identity
from sekisho.model.ids import uuid7
from sekisho.model.principal import Authentication, Principal, Shown
from sekisho.ports import Directory, Ledger
from sekisho.web.callers import Caller, ProblemRoute
from sekisho.web.forms import once, read_form
from sekisho.web.page_routes import PageRoute, as_page, base_path, html
from sekisho.web.same_origin import local_path, require_same_origin
from sekisho.web.session_cookie import LOGIN, LOGIN_S, cookie_name, read_cookie, set_cookie
from sekisho_audit.events import Event, Payload

FORM_BYTES_MAX = 4_096  # a key and a path
FIELDS_MAX = 4
QUERY_FIELDS_MAX = 16  # of an issuer's answer; three or four have a meaning
BY_KEY = "api_key"  # the issuer of sessions that began with a key
# A token may live for minutes, the session it began would for hours.
ONLY_KEYS = "Only a Sekisho key begins a session here; with a sign-in service, use its button."
HOME = "/login"  # says who is signed in; where one goes who wanted nothing else


class Sessions(Protocol):
    """Sessions by token. Raises Unavailable (`sessions_unavailable`) within 2 s."""

    async def begin(self, principal: str, issuer: str, credential: str) -> str:
        """A new session; returns its token."""
        ...

    async def end(self, token: str) -> str | None:
        """End a session; returns whose it was, None if there is none."""
        ...


class Login(Protocol):
    """Sign-in at issuers; what is refused raises NotAuthenticated with its cause."""

    @property
    def issuers(self) -> Sequence[str]:
        """Where people can sign in."""
        ...

    async def begin(self, issuer: str, return_to: str) -> tuple[str, str]:
        """Where to send the browser, and what it keeps until it is back."""
        ...

    async def finish(
        self, issuer: str, said: Mapping[str, str], browser: str
    ) -> tuple[Identity, str]:
        """Who signed in, and where they wanted to go."""
        ...


class Refusals(Protocol):
    """Records who was not let in, and slows down whoever tries too often."""

    async def refused(self, shown: Shown, error: NotAuthenticated, where: str) -> SekishoError:
        """Record it; returns the error to answer with."""
        ...


@dataclass(frozen=True, slots=True)
class SignIn:
    """What these routes are given, found at `app.state.sign_in`.

    `principal_for` finds or makes the principal of an identity; `address` is where a request (its
    ASGI scope) comes from. `language` is spoken to browsers that ask for none of ours.
    """

    directory: Directory
    ledger: Ledger
    sessions: Sessions
    login: Login
    refusals: Refusals
    principal_for: Callable[[Identity], Awaitable[Principal]]
    address: Callable[[Mapping[str, Any]], str]
    public_url: str
    language: str = "en"


router = APIRouter(route_class=PageRoute, include_in_schema=False)
me_router = APIRouter(prefix="/v1/me", tags=["self"], route_class=ProblemRoute)


def parts(request: Request) -> SignIn:
    """What the composition root built."""
    found: SignIn = request.app.state.sign_in
    return found


Parts = Annotated[SignIn, Depends(parts)]


async def same_origin(request: Request, here: Parts) -> None:
    """For routes that change something by a session, as `Depends(same_origin)`."""
    require_same_origin(request.method, request.headers, here.public_url)


@router.get("/login")
async def sign_in_form(request: Request, here: Parts, return_to: str = HOME) -> Response:
    """The ways to sign in, or who is signed in already."""
    token = _session(request, here)
    if token:
        try:
            principal = await here.directory.find(Shown(session=token, ip=_ip(request, here)))
        except NotAuthenticated:
            pass  # an old cookie is not an attempt
        else:
            return HTMLResponse(html(request, "signed_in.html", reader=principal))
    return HTMLResponse(_sign_in(request, here, _back(request, return_to)))


@router.post("/login", dependencies=[Depends(same_origin)])
async def sign_in_by_key(request: Request, here: Parts) -> Response:
    """Begin a session with a key. A wrong one shows the page again."""
    form = await read_form(request, bytes_max=FORM_BYTES_MAX, fields_max=FIELDS_MAX)
    return_to = _back(request, form.get("return_to", HOME))
    shown = Shown(secret=form.get("key", "").strip(), ip=_ip(request, here))
    try:
        principal = await _by_key(here, shown)
    except NotAuthenticated as error:
        refusal = await here.refusals.refused(shown, error, "sign-in")
        page = _sign_in(request, here, return_to, refusal.message)
        return as_page(page, refusal)
    return await _begin(request, here, principal, BY_KEY, return_to)


@router.get("/login/{issuer}")
async def to_issuer(issuer: str, request: Request, here: Parts, return_to: str = HOME) -> Response:
    """Send the browser to the issuer."""
    url, browser = await here.login.begin(issuer, _back(request, return_to))
    cookie = set_cookie(here.public_url, browser, kind=LOGIN, age_s=LOGIN_S)
    return _redirect(url, cookie)


@router.get("/login/{issuer}/callback")
async def from_issuer(issuer: str, request: Request, here: Parts) -> Response:
    """The way back from the issuer: begin a session, or say why not."""
    cookies = request.headers.getlist("cookie")
    browser = read_cookie(cookies, cookie_name(here.public_url, LOGIN))
    try:
        identity, return_to = await here.login.finish(issuer, _query(request), browser)
        principal = await here.principal_for(identity)
    except NotAuthenticated as error:
        shown = Shown(ip=_ip(request, here))
        raise await here.refusals.refused(shown, error, "sign-in") from error
    response = await _begin(request, here, principal, identity.issuer, return_to)
    response.headers.append("set-cookie", set_cookie(here.public_url, "", kind=LOGIN, age_s=0))
    return response


@router.post("/logout", dependencies=[Depends(same_origin)])
async def sign_out(request: Request, here: Parts) -> Response:
    """End the session. It is ended even if the record of it then fails."""
    token = _session(request, here)
    principal = await here.sessions.end(token) if token else None
    if principal is not None:
        await here.ledger.append([_signed_out(principal, "signed_out")])
    cookie = set_cookie(here.public_url, "", age_s=0)
    return _redirect(f"{base_path(request)}{HOME}", cookie)


class Me(BaseModel):
    """The caller as this gateway knows them. `scopes` are those that their roles give a meaning to;
    a group that reviews, as some rules have it, needs no role and is not told here.
    """

    id: str
    roles: list[str]
    groups: list[str]
    authentication: str
    credential: str
    owner: str | None
    stands_in_for: list[str]
    scopes: list[str]


@me_router.get("")
async def me(principal: Caller) -> Me:
    """Who one is here, by key, token or session."""
    return Me(
        id=principal.id,
        roles=sorted(role.value for role in principal.roles),
        groups=sorted(principal.groups),
        authentication=principal.authentication.value,
        credential=principal.credential,
        owner=principal.owner,
        stands_in_for=sorted(principal.stands_in_for),
        scopes=sorted(scope.value for scope in principal.usable_scopes),
    )


def _sign_in(request: Request, here: SignIn, return_to: str, fault: str = "") -> str:
    """The ways to sign in; `fault` says why they are shown again."""
    issuers = here.login.issuers
    return html(
        request, "sign_in.html", issuers=issuers, return_to=return_to, fault=fault, reader=None
    )


def _back(request: Request, return_to: str) -> str:
    """Where to go afterwards: a path of ours, or the page that says who is signed in."""
    path = local_path(return_to)
    return path if path not in {None, HOME} else f"{base_path(request)}{HOME}"


async def _by_key(here: SignIn, shown: Shown) -> Principal:
    principal = await here.directory.find(shown)
    if principal.authentication is not Authentication.API_KEY:
        raise NotAuthenticated(ONLY_KEYS, cause="wrong_type", credential=principal.credential)
    return principal


async def _begin(
    request: Request, here: SignIn, principal: Principal, issuer: str, return_to: str
) -> Response:
    """A new session, recorded before its token leaves; the browser's old one ends."""
    old = _session(request, here)
    if old and (whose := await here.sessions.end(old)) is not None:
        await here.ledger.append([_signed_out(whose, "signed_in_again")])
    token = await here.sessions.begin(principal.id, issuer, principal.credential)
    try:
        await here.ledger.append([_signed_in(principal.id, issuer, _ip(request, here))])
    except SekishoError:
        await here.sessions.end(token)
        raise
    return _redirect(return_to, set_cookie(here.public_url, token))


def _signed_in(principal: str, issuer: str, ip: str) -> Event:
    source = ip.encode()
    return Event(
        id=uuid7(),
        type="session.signed_in",
        exchange=None,
        principal=principal,
        data={"issuer": issuer},
        payloads=(Payload("source", source, source),),
    )


def _signed_out(principal: str, cause: str) -> Event:
    return Event(
        id=uuid7(),
        type="session.signed_out",
        exchange=None,
        principal=principal,
        data={"cause": cause},
    )


def _session(request: Request, here: SignIn) -> str:
    return read_cookie(request.headers.getlist("cookie"), cookie_name(here.public_url))


def _ip(request: Request, here: SignIn) -> str:
    return here.address(request.scope)


def _redirect(url: str, *cookies: str) -> Response:
    """To a path of ours, or to an issuer. 303, so that a form is not sent again."""
    response = Response(status_code=303, headers={"location": url})
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response


def _query(request: Request) -> dict[str, str]:
    """What an issuer sent back. One that says a thing twice is not understood."""
    try:
        fields = parse_qsl(
            request.url.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError as error:
        raise BadRequest("This is not an answer of a sign-in service.") from error
    return once(fields)

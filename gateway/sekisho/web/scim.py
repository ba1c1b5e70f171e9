"""`/scim/v2/*`: a directory provisions users and groups (SCIM 2.0, RFC 7643 and 7644).

The protocol is the library's; here is what stands around it. Only a credential with the scope
`scim` gets in, also to the discovery pages. Body, texts, nesting, operations and time are bounded
before the library sees them. Requests are served one after the other in a thread, so that a
directory that sends thousands never takes the event loop, or another part's threads, from people
who ask. What goes wrong is told as a SCIM error that says nothing of the inside.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import structlog
from fastapi import Request
from scim2_models import (
    Error,
    InvalidFilterException,
    InvalidSyntaxException,
    InvalidValueException,
    PayloadTooLargeException,
    PreconditionFailedException,
    SCIMException,
    ScimProvider,
    UnauthorizedException,
)
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from scim2_server.storage import ScimStorage

from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.errors import (
    Forbidden,
    LimitReached,
    NotAuthenticated,
    Refused,
    SekishoError,
    TooManyFailures,
    Unavailable,
)
from sekisho.model.principal import Principal, Scope
from sekisho.web.answering import Answering, Receive, Send
from sekisho.web.answering import Scope as ASGIScope
from sekisho.web.bodies import read_body
from sekisho.web.entrance import Entrance, Find
from sekisho.web.problems import RETRY_AFTER_S
from sekisho.web.slots import Slots

PREFIX = "/scim/v2"
WHERE = "scim"  # in the record of refused credentials
TRIES = 3  # when two requests meet on one resource and the client did not say which version
_UNREAD = frozenset({401, 403, 408, 413, 429, 503})  # a body may be left on the connection
_EXPRESSIONS = frozenset({"filter", "path", "sortby", "attributes", "excludedattributes"})
_log = structlog.get_logger("sekisho.scim")


@dataclass(frozen=True, slots=True)
class ScimLimits:
    """Of one worker. A directory is one client that can wait; people are many and cannot."""

    body_bytes_max: int = 1_048_576  # a group with the most members there can be, described whole
    body_timeout_s: float = 30
    depth_max: int = 10  # a PATCH of a name inside a list needs six
    text_chars_max: int = (
        8_192  # what we keep is far shorter; a certificate is dropped, not refused
    )
    expression_chars_max: int = 1_024  # a filter or path; directories send some dozens
    operations_max: int = 100  # of one PATCH; each may walk through all members of a group
    parameters_max: int = 20
    at_once_max: int = 16  # waiting for their turn


class ScimEndpoint:
    """An ASGI application for everything under `PREFIX`.

    `storage_of` gives the storage as one client may use it; it is used in one thread at a time.
    """

    def __init__(
        self,
        entrance: Entrance,
        find: Find,
        provider: ScimProvider,
        storage_of: Callable[[Principal], ScimStorage],
        *,
        public_url: str,
        limits: ScimLimits | None = None,
    ) -> None:
        self._entrance = entrance
        self._find = find
        self._service = ScimService(provider)
        self._storage_of = storage_of
        self._base_url = public_url.rstrip("/") + PREFIX  # never from the Host header
        self._limits = limits or ScimLimits()
        self._slots = Slots(self._limits.at_once_max, self._limits.at_once_max)
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Whatever happens becomes one complete SCIM answer."""
        answer = Answering(send, receive)
        try:
            await _say(answer, await self._answer(scope, receive))
        except Exception as error:  # the last boundary: our fault becomes an answer, and a log line
            _log.error("unexpected fault in SCIM", error=type(error).__name__)
            if answer.started:
                raise
            await _say(answer, self._service.error_response(error))

    async def _answer(self, scope: ASGIScope, receive: Receive) -> ScimResponse:
        try:
            principal, _ = await self._entrance.enter(scope, WHERE, self._find)
            _may_provision(principal)
            with self._slots.taken_by(principal.id):
                request = await self._read(scope, receive)
                async with self._turn:
                    return await asyncio.to_thread(self._serve, request, principal)
        except SCIMException as error:
            return self._service.error_response(error)
        except SekishoError as error:
            return self._told(error)

    def _serve(self, request: ScimRequest, principal: Principal) -> ScimResponse:
        """In a thread: parse, judge, change, describe."""
        if request.body:
            _bound_body(request.body, self._limits)
        handler = ScimHandler(self._service, self._storage_of(principal))
        tries = 1 if request.header("if-match") else TRIES
        for _ in range(tries - 1):
            try:
                return handler.handle(request)
            except PreconditionFailedException:
                continue  # somebody else was faster; the same request on what is there now
        return handler.handle(request)

    async def _read(self, scope: ASGIScope, receive: Receive) -> ScimRequest:
        limits = self._limits
        query = _query(scope.get("query_string", b""), limits)
        body = await read_body(
            Request(scope, receive),
            bytes_max=limits.body_bytes_max,
            timeout_s=limits.body_timeout_s,
        )
        return ScimRequest(
            method=scope["method"],
            base_url=self._base_url,
            path=scope["path"].removeprefix(PREFIX),
            query=query,
            headers=[
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in scope["headers"]
            ],
            body=body,
        )

    def _told(self, error: SekishoError) -> ScimResponse:
        """An error of ours as a SCIM error. Only refusals and outages have a text for outsiders."""
        if isinstance(error, NotAuthenticated):
            return self._service.error_response(UnauthorizedException(detail=error.message))
        if not isinstance(error, (Refused, Unavailable)):
            _log.error("a SCIM request failed", code=error.code)
            detail = "The gateway could not do this now, and nothing was changed. Try again later."
            error = Unavailable(detail)
        body = Error(status=error.status, detail=error.message).model_dump()
        response = ScimResponse(HTTPStatus(error.status), body)
        if isinstance(error, (LimitReached, TooManyFailures)):
            response.headers["Retry-After"] = str(error.retry_after_s or RETRY_AFTER_S)
        elif isinstance(error, Unavailable):
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response


async def _say(answer: Answering, response: ScimResponse) -> None:
    body = b"" if response.body is None else json.dumps(response.body).encode()
    headers = {**response.headers, "Cache-Control": "no-store"}
    if response.body is None:
        del headers["Content-Type"]
    if response.status in _UNREAD:
        headers["Connection"] = "close"
    named = [(name.lower(), value) for name, value in headers.items()]
    await answer.whole(
        response.status,
        [(name.encode(), value.encode("latin-1", "replace")) for name, value in named],
        body,
    )


def _may_provision(principal: Principal) -> None:
    """Raises Forbidden unless the credential was made for this by name."""
    if Scope.SCIM not in principal.scopes:
        raise Forbidden(
            "Provisioning needs a key with the scope scim: an operator makes one with "
            "`sekisho key create --scopes scim`.",
            code="scope_missing",
        )


def _query(query_string: bytes, limits: ScimLimits) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=limits.parameters_max,
            errors="strict",
        )
    except ValueError as error:  # also for what is no text
        raise InvalidValueException(detail="The query cannot be read.") from error
    query = dict(pairs)
    if len(query) != len(pairs):
        raise InvalidValueException(detail="A parameter stands twice in the query.")
    for name, value in query.items():
        _bound_text(name, value, limits)
    return query


def _bound_body(body: bytes, limits: ScimLimits) -> None:
    """Refuse what two parsers may read differently, and what would cost too much to judge."""
    try:
        parsed = parse(body, limits.depth_max)
    except NotStrictJSON as error:
        raise InvalidSyntaxException(detail=f"This body cannot be read: {error}.") from error
    for name, value in _fields(parsed):
        if len(name) > limits.expression_chars_max:
            raise InvalidSyntaxException(detail="A name in the body is too long.")
        if isinstance(value, str):
            _bound_text(name, value, limits)
        elif name.lower() == "operations" and isinstance(value, list):
            _bound_operations(value, limits)


def _bound_text(name: str, value: str, limits: ScimLimits) -> None:
    """Filters and paths are judged, other texts only kept or dropped."""
    if name.lower() == "filter" and len(value) > limits.expression_chars_max:
        detail = f"A filter is at most {limits.expression_chars_max} characters."
        raise InvalidFilterException(detail=detail)
    most = limits.expression_chars_max if name.lower() in _EXPRESSIONS else limits.text_chars_max
    if len(value) > most:
        raise InvalidValueException(detail=f"{name[:64]!r} is at most {most} characters.")


def _bound_operations(operations: list[Any], limits: ScimLimits) -> None:
    if len(operations) > limits.operations_max:
        detail = f"A request has at most {limits.operations_max} operations."
        raise PayloadTooLargeException(detail=detail)


def _fields(parsed: Any) -> Iterator[tuple[str, Any]]:
    """Every value with the name it stands under. Depth was bounded before."""
    stack: list[tuple[str, Any]] = [("", parsed)]
    while stack:
        name, value = stack.pop()
        yield name, value
        if isinstance(value, Mapping):
            stack.extend(value.items())
        elif isinstance(value, list):
            stack.extend((name, inner) for inner in value)

"""Who calls a control route, and how its errors are told: shared by the routers behind FastAPI.

    async def list_holds(parts: Parts, principal: Caller) -> …

`Caller` goes through the same entrance as the data path: what is refused is recorded before it is
told. `needs` says for which purposes a credential must have been made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from sekisho.errors import Forbidden, SekishoError
from sekisho.holding.refused import refusals_noted
from sekisho.model.principal import Principal, Role, Scope
from sekisho.web.problems import problem
from sekisho.web.services import Services


class ProblemRoute(APIRoute):
    """Turns the errors of the line into OpenAI-shaped answers, for routes of this kind."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except SekishoError as error:
                status, headers, body = problem(error, exchange=error.exchange)
                plain = {name.decode(): value.decode("latin-1") for name, value in headers}
                return Response(body, status, plain)
            response.headers.setdefault("cache-control", "no-store")
            return response

        return handle


def services(request: Request) -> Services:
    """What the composition root built."""
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(services)]


async def authenticated(request: Request, parts: Parts) -> Principal:
    """The principal behind this request. Raises NotAuthenticated, TooManyFailures, Unavailable."""
    find = parts.directory.find
    principal, _ = await parts.entrance.enter(request.scope, "control route", find)
    return principal


def now_us() -> int:
    """Wall time in microseconds. For what is dated to the hour or the day."""
    return time.time_ns() // 1000


Now = Annotated[int, Depends(now_us)]
Caller = Annotated[Principal, Depends(authenticated)]


def needs(principal: Principal, *scopes: Scope) -> None:
    """Raises Forbidden (`scope_missing`) unless the credential was made for one of `scopes`."""
    if principal.scopes.isdisjoint(scopes):
        names = " or ".join(scope.value for scope in scopes)
        message = f"{principal.key_said} was not made for that (scope {names}). Use another one."
        raise Forbidden(message, code="scope_missing")


async def needs_at(
    parts: Services, principal: Principal, hold_id: str, act: str, *scopes: Scope
) -> None:
    """As `needs`, to do `act` at a hold; that it was refused is on record by then."""
    async with refusals_noted(parts.holds, parts.ledger, principal, hold_id, act):
        needs(principal, *scopes)


def needs_auditor(principal: Principal) -> None:
    """Raises Forbidden (`scope_missing`, `role_missing`) unless an auditor asks."""
    needs(principal, Scope.AUDIT)
    if Role.AUDITOR not in principal.roles:
        message = "This is for auditors. Ask an operator for the role, or use a key that has it."
        raise Forbidden(message, code="role_missing")

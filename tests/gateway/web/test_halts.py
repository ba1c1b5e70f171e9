"""`/v1/admin/halt`: who may, what is told, and that bodies say nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from sekisho.errors import Forbidden
from sekisho.model.halts import UNRECORDED, Halt, Lift
from sekisho.model.principal import Principal, Role, Scope
from sekisho.ports import Log, Searches
from sekisho.web.halts import router
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import STAFF, Desk, person
from support.memory_ledger import MemoryLedger
from support.switch import halt

ONE = person("operator-1", Role.OPERATOR)
PEOPLE = {"one": ONE, "staff": STAFF, "narrow": replace(ONE, scopes=frozenset({Scope.ASK}))}


@dataclass
class Board:
    """Satisfies `Switchboard`: notes what it is asked."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    stands: Halt = field(default_factory=halt)

    def listed(self, who: Principal) -> list[Halt]:
        if Role.OPERATOR not in who.roles:
            raise Forbidden("Not you.", code="role_missing")
        return [self.stands]

    async def set(self, who: Principal, scope: str, name: str, reason: str) -> tuple[Halt, bool]:
        self.asked.append((who.id, scope, name, reason))
        return replace(self.stands, last=UNRECORDED), False

    async def propose(self, who: Principal, halt_id: str, reason: str) -> Halt:
        self.asked.append((who.id, halt_id, reason))
        return replace(self.stands, proposed=Lift("l", who.id, 5))

    async def confirm(self, who: Principal, halt_id: str, proposed: str) -> Halt:
        self.asked.append((who.id, halt_id, proposed))
        return self.stands


class Http:
    """One app, and everybody's key."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, who: str, method: str, path: str = "", **more: Any) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {who}"}
        path = f"/v1/admin/halt{path}"
        answer = await self._client.request(method, path, headers=headers, **more)
        return answer.status_code, answer.json()


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
async def http(desk: Desk, ledger: MemoryLedger, board: Board) -> AsyncIterator[Http]:
    app = FastAPI()
    app.include_router(router)
    app.state.services = Services(
        desk.store,
        ledger,
        cast("Log", None),
        cast("Searches", None),
        StaticDirectory(PEOPLE),
        entrance(ledger),
        desk.limits,
        switchboard=board,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        yield Http(client)


async def test_each_step_reaches_the_desk_as_it_was_said(http: Http, board: Board) -> None:
    """And tells whether it is recorded, and everywhere."""
    said = {"scope": "team", "name": "sales", "reason": "x"}
    status, told = await http.ask("one", "PUT", json=said)
    assert (status, told["recorded"], told["everywhere"]) == (200, False, False)
    status, told = await http.ask("one", "POST", "/h/lift", json={"reason": "over"})
    assert (status, told["proposed"]) == (200, {"id": "l", "by": "operator-1", "at_us": 5})
    status, told = await http.ask("one", "POST", "/h/confirm", json={"proposed": "l"})
    assert (status, told) == (200, {"id": "halt-all-", "lifted": True})
    status, told = await http.ask("one", "GET")
    assert [(one["scope"], one["reason"]) for one in told["data"]] == [("all", "There is a leak.")]

    who = "operator-1"
    assert board.asked == [(who, "team", "sales", "x"), (who, "h", "over"), (who, "h", "l")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scope": "all"},
        {"scope": "everything", "reason": "x"},
        {"scope": "all", "reason": "x", "until": "tomorrow"},
        {"scope": "all", "reason": ""},
        {"scope": "team", "name": 7, "reason": "x"},
        [],
    ],
)
async def test_a_switch_says_nothing_that_is_not_understood(
    http: Http, board: Board, body: Any
) -> None:
    """Half understood it would stop something else than was meant."""
    status, _ = await http.ask("one", "PUT", json=body)

    assert status == 400
    assert not board.asked


async def test_a_key_that_was_not_made_for_it_stops_nothing(http: Http, board: Board) -> None:
    """Also an operator's; and whoever is no operator sees nothing."""
    said = {"scope": "all", "reason": "x"}
    assert (await http.ask("narrow", "PUT", json=said))[0] == 403
    assert (await http.ask("narrow", "POST", "/h/lift", json={"reason": "x"}))[0] == 403
    assert (await http.ask("narrow", "POST", "/h/confirm", json={"proposed": "l"}))[0] == 403
    assert (await http.ask("staff", "GET"))[0] == 403
    assert not board.asked

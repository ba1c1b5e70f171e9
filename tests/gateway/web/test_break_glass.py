"""`/v1/admin/break-glass`: who may, what is told, and that a body says nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from fastapi import Request
from fastapi.responses import HTMLResponse

from sekisho.model.principal import Authentication, Scope
from sekisho.web.break_glass import router
from sekisho.web.page_routes import html
from support.break_glass import (
    AUDITOR,
    CHIEF,
    FOR_CHIEF,
    OPERATOR,
    REVIEWER,
    WHY,
    Plant,
    needed,
    open_plant,
)
from support.holds import STAFF, Desk
from support.key_site import KeySite, app_of, client_of
from support.switchboards import running_auditd

PEOPLE = {
    "chief": CHIEF,
    "asks": replace(CHIEF, scopes=frozenset({Scope.ASK})),
    "stale": replace(CHIEF, authentication=Authentication.SESSION, signed_in_us=1),
    "reviewer": REVIEWER,
    "auditor": AUDITOR,
    "operator": OPERATOR,
    "staff": STAFF,
}
SAID: dict[str, Any] = {"rules": ["default.content"], "reason": WHY, "minutes": 5}
FINE = {"verdict": "justified", "reason": "It was."}


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


class Http(KeySite):
    """One app on a real ledger, and everybody's key."""

    def __init__(self, client: httpx.AsyncClient, plant: Plant) -> None:
        super().__init__(client, "/v1/admin/break-glass")
        self.plant = plant


@pytest.fixture
async def http(desk: Desk, auditd: str) -> AsyncIterator[Http]:
    plant = await open_plant(auditd)
    app = app_of(router, desk, PEOPLE, break_glass=plant.desk)
    app.state.sign_in = type("Here", (), {"public_url": "https://g", "language": "en"})()

    @app.get("/page")
    async def page(request: Request) -> HTMLResponse:
        reader = STAFF if "signed-in" in request.query_params else None
        return HTMLResponse(
            html(
                request,
                "signed_in.html" if reader else "home.html",
                reader=reader,
                public_url="https://g",
            )
        )

    async with client_of(app) as client:
        yield Http(client, plant)
    await plant.tidy()
    await plant.ledger.close()


async def test_one_opens_and_another_reviews(http: Http) -> None:
    """Open, used, ended, reviewed: each is told with what stands then."""
    status, told = await http.ask("chief", "POST", json=SAID)
    assert (status, told["status"], told["ended"], told["uses"]) == (201, "open", "", 0)
    assert {name: told[name] for name in SAID} == SAID
    path = f"/{told['id']}"
    assert await http.plant.glass.answer(FOR_CHIEF, "demo", [needed()])
    assert (await http.ask("chief", "POST", json=SAID))[0] == 409
    assert (await http.ask("reviewer", "POST", f"{path}/review", json=FINE))[0] == 409

    status, told = await http.ask("chief", "POST", f"{path}/end")
    assert (status, told["status"], told["ended"], told["uses"]) == (
        200,
        "unreviewed",
        "person",
        1,
    )
    assert (await http.ask("auditor", "GET"))[1]["data"] == [told]
    assert (await http.ask("chief", "POST", f"{path}/review", json=FINE))[0] == 403

    status, told = await http.ask("auditor", "POST", f"{path}/review", json=FINE)
    assert (status, told) == (200, {"id": path[1:], "verdict": "justified"})
    assert (await http.ask("auditor", "GET"))[1]["data"] == []


@pytest.mark.parametrize(
    "other",
    [
        {"rules": []},
        {"rules": ["r"] * 21},
        {"rules": "default.content"},
        {"reason": ""},
        {"minutes": 0},
        {"minutes": 61},
        {"minutes": "5"},
        {"principal": "staff-7"},
    ],
)
async def test_a_body_says_what_is_understood(http: Http, other: dict[str, Any]) -> None:
    """For nobody else, not for hours, and nothing that is not read."""
    status, told = await http.ask("chief", "POST", json={**SAID, **other})

    assert status in (400, 422)
    assert told["error"]["message"]
    assert (await http.ask("operator", "GET"))[1]["data"] == []


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("staff", "role_missing"),
        ("operator", "role_missing"),
        ("reviewer", "role_missing"),
        ("asks", "scope_missing"),
        ("stale", "sign_in_again"),
    ],
)
async def test_who_may_not_is_told_why(http: Http, who: str, code: str) -> None:
    """No role, a key that was made for less, a session of this morning."""
    status, told = await http.ask(who, "POST", json=SAID)

    assert (status, told["error"]["code"]) == (403, code)


async def test_an_operator_ends_it_and_a_stranger_sees_nothing(http: Http) -> None:
    """By its id, which the list has for who may see it."""
    _, told = await http.ask("chief", "POST", json=SAID)
    path = f"/{told['id']}/end"

    assert (await http.ask("staff", "GET"))[1]["data"] == []
    assert (await http.ask("staff", "POST", path))[0] == 404
    assert (await http.ask("operator", "POST", path))[1]["ended"] == "operator"
    assert (await http.ask("operator", "POST", path))[0] == 409
    assert (await http.ask("operator", "POST", "/none/end"))[0] == 404


async def test_each_page_tells_whoever_is_signed_in(http: Http) -> None:
    """While one is open, and strangers nothing."""
    assert "Break-glass" not in (await http.client.get("/page?signed-in")).text
    await http.plant.opened()

    shown = (await http.client.get("/page?signed-in")).text
    assert 'role="alert">Break-glass is open (1)' in shown
    assert WHY not in shown
    assert "Break-glass" not in (await http.client.get("/page")).text


async def test_where_there_is_none_there_is_none(http: Http) -> None:
    """A gateway without a desk says so."""
    transport = cast("Any", http.client)._transport
    services = transport.app.state.services
    transport.app.state.services = replace(services, break_glass=None)

    assert (await http.ask("chief", "GET"))[0] == 404

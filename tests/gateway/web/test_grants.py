"""`/v1/grants`: who may, what is told, and that a body says nothing that is not understood."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from sekisho.model.principal import Scope
from sekisho.web.grants import router
from support.grants import AUDITOR, FOR_STAFF, ONE, TWO, Office, open_office, wanted
from support.holds import STAFF, STRANGER, Desk
from support.key_site import KeySite, app_of, client_of
from support.switchboards import running_auditd

PEOPLE = {
    "one": ONE,
    "two": TWO,
    "staff": STAFF,
    "stranger": STRANGER,
    "auditor": AUDITOR,
    "narrow": replace(ONE, scopes=frozenset({Scope.ASK})),
}
SAID: dict[str, Any] = {
    "rules": ["default.ladder"],
    "principal": "staff-7",
    "backend": "demo",
    "tool": "kb.read",
    "arguments": {"path": {"prefix": "/reports/"}},
    "count": 2,
    "hours": 1,
    "reason": "The report of the quarter.",
}


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


class Http(KeySite):
    """One app on a real ledger, and everybody's key."""

    def __init__(self, client: httpx.AsyncClient, office: Office) -> None:
        super().__init__(client, "/v1/grants")
        self.office = office


@pytest.fixture
async def http(desk: Desk, auditd: str) -> AsyncIterator[Http]:
    office = await open_office(auditd)
    app = app_of(router, desk, PEOPLE, grants=office.desk)
    async with client_of(app) as client:
        yield Http(client, office)
    await office.close()


async def test_two_make_it_and_one_ends_it(http: Http) -> None:
    """Everything that was said is told again; after the end it is not there."""
    status, told = await http.ask("one", "POST", json=SAID)
    assert (status, told["status"]) == (201, "proposed")
    assert {name: told[name] for name in SAID} == SAID
    assert (told["other_arguments"], told["remaining"], told["group"]) == ("absent", 2, None)
    path = f"/{told['id']}"
    assert (await http.ask("one", "POST", f"{path}/confirm"))[0] == 403

    status, told = await http.ask("two", "POST", f"{path}/confirm")
    assert (status, told["status"], told["confirmed_by"]) == (200, "standing", "reviewer-2")
    assert await http.office.granting.answer(FOR_STAFF, [wanted()])
    status, told = await http.ask("auditor", "GET")
    assert [one["remaining"] for one in told["data"]] == [1]
    assert (await http.ask("stranger", "GET"))[1]["data"] == []

    status, told = await http.ask("two", "POST", f"{path}/revoke", json={"reason": "Enough."})
    assert (status, told) == (200, {"id": path[1:], "revoked": True})
    assert (await http.ask("two", "POST", f"{path}/revoke", json={"reason": "x"}))[0] == 404
    assert (await http.ask("staff", "GET"))[1]["data"] == []


@pytest.mark.parametrize(
    "other",
    [
        {"rules": []},
        {"rules": ["a"] * 17},
        {"until": "tomorrow"},
        {"count": 0},
        {"count": "2"},
        {"count": True},
        {"hours": 1.5},
        {"reason": ""},
        {"arguments": {"path": {"regex": ".*"}}},
        {"arguments": {"path": {"prefix": ""}}},
        {"arguments": {"path": "/reports/"}},
        {"arguments": []},
        {"other_arguments": "some"},
        {"tool": None},
        {"tool": None, "arguments": {}, "other_arguments": "any"},
        {"group": "sales"},
        {"principal": None},
        {"backend": "nowhere"},
        {"principal": "staff-7\u200b"},
        {"principal": "Staff-7"},
        {"principal": None, "group": "sales\u3164"},
        {"arguments": {"n": {"equals": 2**64}}},
        {"arguments": {"path": {"prefix": "/%41/"}}},
    ],
    ids=repr,
)
async def test_a_grant_says_nothing_that_is_not_understood(
    http: Http, other: dict[str, Any]
) -> None:
    """Half understood it would let something else go than was meant."""
    status, _ = await http.ask("one", "POST", json={**SAID, **other})

    assert status == 400
    await http.office.granting.consult()
    assert not http.office.granting.standing


@pytest.mark.parametrize("number", ["100.000000000000001", "1e-400", "18446744073709551617"])
async def test_a_number_is_taken_as_it_is_written(http: Http, number: str) -> None:
    """A parser's neighbour of it is not what was proposed."""
    text = json.dumps({**SAID, "arguments": {"n": {"equals": "N"}}}).replace('"N"', number)

    status, told = await http.ask("one", "POST", content=text.encode())
    assert (status, told["error"]["param"]) == (400, "arguments")
    assert "some programs read as another" in told["error"]["message"]


@pytest.mark.parametrize(
    ("other", "bound"),
    [
        ({"count": 10**30}, "count is between 1 and 100."),
        ({"hours": 10**30}, "hours is between 1 and 24."),
        ({"count": 101}, "count is between 1 and 100."),
        ({"arguments": {"path": {"prefix": ""}}}, "between 1 and 256 characters"),
        ({"arguments": {"path": {"glob": "a" * 257}}}, "between 1 and 256 characters"),
    ],
    ids=str,
)
async def test_who_asks_for_too_much_is_told_the_bound(
    http: Http, other: dict[str, Any], bound: str
) -> None:
    """Not that a number is none."""
    status, told = await http.ask("one", "POST", content=json.dumps({**SAID, **other}).encode())

    assert status == 400
    assert bound in told["error"]["message"]


async def test_a_body_that_says_a_thing_twice_is_refused(http: Http) -> None:
    """Another program would read the other one."""
    text = b'{"rules":["a"],"count":1,"count":100}'

    assert (await http.ask("one", "POST", content=text))[0] == 400


async def test_a_key_that_was_not_made_for_it_grants_nothing(http: Http) -> None:
    """Also a reviewer's."""
    assert (await http.ask("narrow", "POST", json=SAID))[0] == 403
    assert (await http.ask("narrow", "POST", "/x/confirm"))[0] == 403
    assert (await http.ask("narrow", "POST", "/x/revoke", json={"reason": "x"}))[0] == 403
    assert (await http.ask("narrow", "GET"))[0] == 403
    assert (await http.ask("staff", "POST", json=SAID))[0] == 403


async def test_where_there_are_no_grants_there_are_none(desk: Desk) -> None:
    """A worker that was built without them says 404."""
    async with client_of(app_of(router, desk, PEOPLE)) as client:
        answer = await client.get("/v1/grants", headers={"authorization": "Bearer one"})

    assert answer.status_code == 404

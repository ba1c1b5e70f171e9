"""`/v1/samples`: who may, what is told to whom, and that employees learn nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from sekisho.model.principal import Role, Scope
from sekisho.web.samples import router
from support.holds import STAFF, Desk, person
from support.key_site import KeySite, app_of, client_of
from support.line import ANSWER, CHAT_BODY
from support.samples import AUDITOR, ONE, THREE, TWO, Table, open_table
from support.switchboards import running_auditd
from support.valkey import Valkey

PEOPLE = {
    "one": ONE,
    "two": TWO,
    "three": THREE,
    "staff": STAFF,
    "auditor": AUDITOR,
    "operator": person("operator-1", Role.OPERATOR),
    "narrow": replace(ONE, scopes=frozenset({Scope.ASK})),
}
CONCERN = {"verdict": "concern", "reason": "a customer's name"}


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


class Http(KeySite):
    """One app on a real ledger and store, and everybody's key."""

    def __init__(self, client: httpx.AsyncClient, table: Table) -> None:
        super().__init__(client, "/v1/samples")
        self.table = table

    async def judge(self, who: str, path: str, said: Any = None) -> tuple[int, Any]:
        """Look, then judge."""
        await self.ask(who, "GET", path)
        return await self.ask(who, "POST", f"{path}/verdict", json=said or {"verdict": "fine"})


@pytest.fixture
async def http(desk: Desk, auditd: str, valkey: Valkey) -> AsyncIterator[Http]:
    table = await open_table(auditd, valkey.url)
    app = app_of(router, desk, PEOPLE, samples=table.desk)
    async with client_of(app) as client:
        yield Http(client, table)
    await table.close()


async def test_what_was_drawn_is_listed_shown_and_judged(http: Http) -> None:
    """The list has no content; what is shown is what left and what was given out."""
    sample = await http.table.sample()
    _, listed = await http.ask("one", "GET")
    [card] = [one for one in listed["data"] if one["id"] == sample.id]
    assert (card["principal"], card["model"], card["mine"]) == (STAFF.id, "gpt-x", None)
    assert "request" not in card
    status, shown = await http.ask("one", "GET", f"/{sample.id}")
    assert (status, shown["content"]) == (200, "whole")
    assert shown["request"] == {"bytes": len(CHAT_BODY), "text": CHAT_BODY.decode(), "base64": None}
    assert shown["answer"]["text"] == ANSWER.decode()

    status, judged = await http.judge("one", f"/{sample.id}")
    assert (status, judged["outcome"], judged["by"]) == (200, None, None)
    _, judged = await http.judge("two", f"/{sample.id}")
    assert (judged["outcome"], judged["by"]) == ("fine", "agreement")


async def test_nobody_is_told_what_others_found_before_they_said_it(http: Http) -> None:
    """Not in the list, not beside the content; afterwards they are."""
    path = f"/{(await http.table.sample()).id}"
    await http.judge("one", path, CONCERN)
    _, listed = await http.ask("two", "GET")
    _, shown = await http.ask("two", "GET", path)
    assert (shown["verdicts"], shown["mine"]) == ([], None)
    assert all(one["verdicts"] == [] for one in listed["data"])
    assert "reviewer-1" not in str(shown)
    await http.judge("two", path)
    _, shown = await http.ask("two", "GET", path)
    assert [(one["by"], one["verdict"]) for one in shown["verdicts"]] == [
        ("reviewer-1", "concern"),
        ("reviewer-2", "fine"),
    ]
    _, shown = await http.ask("three", "GET", path)
    assert shown["verdicts"] == []


@pytest.mark.parametrize("who", ["staff", "auditor", "operator", "narrow"])
async def test_only_reviewers_come_in(http: Http, who: str) -> None:
    """Who asked least of all: the same answer, whether or not it was drawn."""
    path = f"/{(await http.table.sample()).id}"
    for wanted in ("", path, "/none-of-these"):
        assert (await http.ask(who, "GET", wanted))[0] == 403
    for wanted in (path, "/none-of-these"):
        status, _ = await http.ask(who, "POST", f"{wanted}/verdict", json={"verdict": "fine"})
        assert status == 403


async def test_a_reviewer_learns_nothing_of_their_own(http: Http) -> None:
    """Drawn or not there: it is the same answer."""
    own = await http.table.sample(ONE)
    there = await http.ask("one", "GET", f"/{own.id}")
    not_there = await http.ask("one", "GET", "/none-of-these")

    assert there == not_there
    assert there[0] == 404


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"verdict": "maybe"},
        {"verdict": "fine", "for": "reviewer-2"},
        {"verdict": "concern"},
        {"verdict": "concern", "reason": "x" * 501},
        {"verdict": True},
    ],
)
async def test_a_verdict_says_nothing_that_is_not_understood(http: Http, said: Any) -> None:
    path = f"/{(await http.table.sample()).id}"
    await http.ask("one", "GET", path)

    status, _ = await http.ask("one", "POST", f"{path}/verdict", json=said)
    assert status == 400


async def test_a_click_without_a_look_is_no_verdict(http: Http) -> None:
    path = f"/{(await http.table.sample()).id}"
    status, told = await http.ask("one", "POST", f"{path}/verdict", json={"verdict": "fine"})

    assert (status, told["error"]["code"]) == (409, "not_shown")


async def test_figures_count_what_was_drawn_and_what_came_of_it(http: Http) -> None:
    """By month, for the model and for each rule; employees get none."""
    assert (await http.ask("staff", "GET", "/figures"))[0] == 403

    async def model() -> dict[str, Any]:
        _, told = await http.ask("auditor", "GET", "/figures")
        kinds = {one["kind"]: one for one in told["data"]}
        assert kinds["rule"]["name"] == "rule.a"
        found: dict[str, Any] = kinds["model"]
        return found

    path = f"/{(await http.table.sample()).id}"
    before = await model()
    await http.judge("one", path, CONCERN)
    await http.judge("two", path)
    await http.judge("three", path, CONCERN)
    after = await model()

    names = ("drawn", "judged", "concerns", "disputed", "unjudged")
    assert [after[name] - before[name] for name in names] == [0, 1, 1, 1, 0]


async def test_a_lost_content_is_said_to_be_lost(http: Http) -> None:
    sample = await http.table.sample()
    await http.table.store.drop(sample.id)
    status, shown = await http.ask("one", "GET", f"/{sample.id}")

    assert (status, shown["content"], shown["request"]) == (200, "none", None)

"""`/v1/admin/policies`: the same two persons as at the command, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.config import Settings
from sekisho.model.principal import Role, Scope
from sekisho.ports import Log, Searches
from sekisho.web.policies import BODY_BYTES_MAX, router
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import STAFF, Desk
from support.memory_ledger import MemoryLedger
from support.revisions import (
    ACTIVATOR,
    AUTHOR,
    DENY_ALL,
    Rules,
    desk_in,
    person,
    policy_leaves,
    replay,
    settings_in,
)

PEOPLE = {
    "author": AUTHOR,
    "activator": ACTIVATOR,
    "operator": person("operator-1", Role.OPERATOR),
    "auditor": person("auditor-1", Role.AUDITOR),
    "staff": STAFF,
    "narrow": replace(ACTIVATOR, scopes=frozenset({Scope.ASK})),
}


class Http:
    """One app with a real desk behind it, and everybody's key."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, who: str, method: str, path: str = "", **more: Any) -> tuple[int, Any]:
        answer = await self._client.request(
            method,
            f"/v1/admin/policies{path}",
            headers={"authorization": f"Bearer {who}"},
            **more,
        )
        return answer.status_code, answer.json()


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(tmp_path / "rules")


@pytest.fixture
def settings(tmp_path: Path, rules: Rules) -> Settings:
    return settings_in(tmp_path, rules.write())


@pytest.fixture
def policies(settings: Settings) -> PolicyDesk:
    return desk_in(settings)


@pytest.fixture
async def http(desk: Desk, ledger: MemoryLedger, policies: PolicyDesk) -> AsyncIterator[Http]:
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
        policies=policies,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield Http(client)


def sent(directory: Path) -> dict[str, Any]:
    """A bundle as it is sent."""
    files = {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }
    return {"files": files}


async def test_a_revision_lives_over_http(
    http: Http, rules: Rules, policies: PolicyDesk, settings: Settings
) -> None:
    """Drafted by one, refused to them, activated by another, rolled back; each step on record."""
    body = sent(rules.write(packs__team__closed=DENY_ALL))
    status, made = await http.ask("author", "POST", json=body)
    assert status == 201
    path = f"/{made['revision'][7:19]}"
    status, tests = await http.ask("activator", "GET", f"{path}/tests")
    assert (status, tests["tests"], tests["passed"]) == (200, 1, True)
    status, refused = await http.ask("activator", "POST", f"{path}/activate")
    assert (status, refused["error"]["code"]) == (409, "replay_missing")
    await asyncio.to_thread(replay, policies, AUTHOR, made["revision"])
    status, refused = await http.ask("author", "POST", f"{path}/activate")
    assert (status, refused["error"]["code"]) == (403, "self_activation")

    status, done = await http.ask("activator", "POST", f"{path}/activate")

    assert (status, done["activator"]) == (200, ACTIVATOR.id)
    status, shown = await http.ask("operator", "GET", path)
    assert (shown["state"], shown["authors"]) == ("active", [AUTHOR.id])
    assert shown["reports"][0]["report"]["decisions"] == 0
    status, back = await http.ask("activator", "POST", "/rollback")
    assert (status, back["revision"]) == (200, done["previous"])
    status, listed = await http.ask("author", "GET")
    assert [one["state"] for one in listed["data"]].count("active") == 1
    kinds = [leaf["type"] for leaf in await asyncio.to_thread(policy_leaves, settings)]
    assert kinds == ["policy.drafted", "policy.replayed", *["policy.activated"] * 2]


@pytest.mark.parametrize("who", ["staff", "auditor", "narrow"])
async def test_nobody_else_learns_or_changes_anything(http: Http, rules: Rules, who: str) -> None:
    """Employees, auditors and keys of another scope are refused at each door."""
    for method, path in (
        ("GET", ""),
        ("GET", "/aaaaaa"),
        ("GET", "/aaaaaa/tests"),
        ("POST", "/aaaaaa/activate"),
        ("POST", "/rollback"),
    ):
        status, _ = await http.ask(who, method, path)
        assert status == 403, path
    status, _ = await http.ask(who, "POST", json=sent(rules.write()))
    assert status == 403


async def test_what_is_no_bundle_is_refused(http: Http, rules: Rules) -> None:
    """Bad rules with their places, paths that lead out, and what is no body at all."""
    good = sent(rules.write())
    broken = {"files": {**good["files"], "packs/team/bad.rego": "package packs.team.bad\n\nx := {"}}
    status, said = await http.ask("author", "POST", json=broken)
    assert (status, said["error"]["code"]) == (422, "policy_rejected")
    assert "packs/team/bad.rego:" in said["error"]["message"]
    outside = {"files": {**good["files"], "../../outside.rego": "package lib.a\n"}}
    status, said = await http.ask("author", "POST", json=outside)
    assert (status, said["error"]["code"]) == (422, "policy_rejected")
    for body in ({"files": {}}, {"files": []}, {**good, "more": 1}, {"files": {"a.rego": 1}}):
        status, _ = await http.ask("author", "POST", json=body)
        assert status == 400
    status, _ = await http.ask("author", "POST", content=b" " * (BODY_BYTES_MAX + 1))
    assert status == 413
    assert (await http.ask("author", "GET"))[1]["data"] == []
    status, _ = await http.ask("author", "GET", "/000000")
    assert status == 404
    status, _ = await http.ask("author", "GET", "/no-digest")
    assert status == 400

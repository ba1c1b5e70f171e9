"""`/v1/admin/policies`: the same two persons as at the command, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from fastapi import FastAPI
from joserfc.jwk import ECKey

from sekisho.adapters.policy_remote import RemotePolicyDesk
from sekisho.config import Settings
from sekisho.model.principal import Role, Scope
from sekisho.ports import Log, Searches
from sekisho.web.policies import BODY_BYTES_MAX, INPUTS_BYTES_MAX, router
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import STAFF, Desk
from support.memory_ledger import MemoryLedger
from support.replays import decided, disclosed
from support.revisions import (
    ACTIVATOR,
    AUTHOR,
    DENY_ALL,
    Rules,
    person,
    policy_leaves,
    remote_desk_in,
    replay,
    settings_in,
)
from support.signed_bundles import KEYS, signed

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
def policies(settings: Settings) -> RemotePolicyDesk:
    return remote_desk_in(settings)


@pytest.fixture
async def http(desk: Desk, ledger: MemoryLedger, policies: RemotePolicyDesk) -> AsyncIterator[Http]:
    async with served(desk, ledger, policies) as made:
        yield made


@pytest.fixture
async def keyed(
    desk: Desk, ledger: MemoryLedger, settings: Settings, tmp_path: Path
) -> AsyncIterator[tuple[Http, ECKey]]:
    """The same with a key in the settings, by which bundles are believed."""
    key = KEYS["ES256"]()
    (tmp_path / "signer.pem").write_bytes(key.as_pem(private=False))
    policy = settings.policy.model_copy(update={"verification_key": tmp_path / "signer.pem"})
    policies = remote_desk_in(settings.model_copy(update={"policy": policy}))
    async with served(desk, ledger, policies) as made:
        yield made, key


@asynccontextmanager
async def served(
    desk: Desk, ledger: MemoryLedger, policies: RemotePolicyDesk
) -> AsyncIterator[Http]:
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


def members(directory: Path) -> dict[str, bytes]:
    """A bundle's files as OPA packs them, with data as JSON."""
    files = {name: text.encode() for name, text in sent(directory)["files"].items()}
    data = yaml.safe_load(files.pop("data.yaml"))
    return {**files, "data.json": json.dumps(data).encode()}


def sent(directory: Path) -> dict[str, Any]:
    """A bundle as it is sent."""
    files = {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }
    return {"files": files}


async def test_a_revision_lives_over_http(
    http: Http, rules: Rules, policies: RemotePolicyDesk, settings: Settings
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
        ("POST", "/signed"),
        ("POST", "/aaaaaa/diff"),
        ("POST", "/aaaaaa/shadow"),
        ("DELETE", "/shadow"),
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


async def test_a_shadow_is_cast_and_ended(http: Http, rules: Rules, settings: Settings) -> None:
    """By an activator who is no author; what is in force or does not exist casts none."""
    _, made = await http.ask("author", "POST", json=sent(rules.write(packs__team__closed=DENY_ALL)))
    path = f"/{made['revision'][7:19]}/shadow"
    status, said = await http.ask("author", "POST", path)
    assert (status, said["error"]["code"]) == (403, "self_activation")
    status, said = await http.ask("activator", "DELETE", "/shadow")
    assert (status, said["error"]["code"]) == (409, "no_shadow")

    status, said = await http.ask("activator", "POST", path)

    assert (status, said) == (200, {"revision": made["revision"], "ended": False})
    assert (await http.ask("operator", "GET", path[:-7]))[1]["state"] == "shadow"
    assert (await http.ask("operator", "DELETE", "/shadow"))[0] == 403
    status, said = await http.ask("activator", "DELETE", "/shadow")
    assert (status, said) == (200, {"revision": made["revision"], "ended": True})
    assert (await http.ask("activator", "POST", "/000000/shadow"))[0] == 404
    kinds = [leaf["type"] for leaf in await asyncio.to_thread(policy_leaves, settings)]
    assert kinds == ["policy.drafted", *["policy.shadow_changed"] * 2]


async def test_disclosed_inputs_are_compared(http: Http, rules: Rules, settings: Settings) -> None:
    """With what is in force or with any other revision; it goes on no record, so that nobody puts
    a revision in force by a report on inputs of their own making.
    """
    _, made = await http.ask("author", "POST", json=sent(rules.write(packs__team__closed=DENY_ALL)))
    path = f"/{made['revision'][7:19]}/diff"
    lines = disclosed(await decided(settings.policy.bundle))

    status, said = await http.ask("author", "POST", path, content=lines)

    assert status == 200, said
    assert said["revision"] == made["revision"] != said["base"]
    assert said["report"]["rules"]["team.closed"]["other"] > 0  # a bundle without packs allows none
    status, same = await http.ask(
        "operator", "POST", path, content=lines, params={"base": made["revision"]}
    )
    assert (status, same["base"], any(same["report"]["changed"].values())) == (
        200,
        made["revision"],
        False,
    )
    status, refused = await http.ask("activator", "POST", f"{path[:-5]}/activate")
    assert (status, refused["error"]["code"]) == (409, "replay_missing")
    status, refused = await http.ask("author", "POST", path, content=b"no line\n")
    assert (status, refused["error"]["code"]) == (400, "invalid_request")
    assert "inputs:1" in refused["error"]["message"]
    assert (await http.ask("author", "POST", "/000000/diff", content=lines))[0] == 404
    assert (await http.ask("author", "POST", path, params={"base": "x" * 81}))[0] == 422
    status, _ = await http.ask("author", "POST", path, content=b" " * (INPUTS_BYTES_MAX + 1))
    assert status == 413
    kinds = [leaf["type"] for leaf in await asyncio.to_thread(policy_leaves, settings)]
    assert kinds == ["policy.drafted"]


async def test_signed_bundles_are_put_in(http: Http, rules: Rules) -> None:
    """Only what the key in the settings signed: without one nothing, and nothing that was changed
    on its way. The signer is no author; whoever sends it is.
    """
    key = KEYS["ES256"]()
    packed = signed(members(rules.write(packs__team__closed=DENY_ALL)), key)
    status, said = await http.ask("author", "POST", "/signed", content=packed)
    assert (status, said["error"]["code"]) == (422, "bundle_not_trusted")
    assert "verification_key" in said["error"]["message"]


async def test_only_the_key_of_the_settings_counts(keyed: tuple[Http, ECKey], rules: Rules) -> None:
    """A good bundle is a draft like any other; another key's, a changed one and none are not."""
    http, key = keyed
    good = signed(members(rules.write(packs__team__closed=DENY_ALL)), key)

    status, made = await http.ask("author", "POST", "/signed", content=good, params={"source": "s"})

    assert status == 201, made
    _, shown = await http.ask("author", "GET", f"/{made['revision'][7:19]}")
    assert (shown["authors"], shown["source"], shown["state"]) == ([AUTHOR.id], "s", "draft")
    other = signed(members(rules.write()), KEYS["ES256"]())
    for bad in (other, good[:-20], b"", b"\x1f\x8b", b"{}"):
        status, said = await http.ask("author", "POST", "/signed", content=bad)
        assert (status, said["error"]["code"]) == (422, "bundle_not_trusted"), bad[:20]
    assert (await http.ask("activator", "POST", "/signed", content=good))[0] == 403
    status, _ = await http.ask("author", "POST", "/signed", content=b" " * (BODY_BYTES_MAX + 1))
    assert status == 413
    assert len((await http.ask("author", "GET"))[1]["data"]) == 1

"""SCIM as directories use it, over HTTP: the standard's tests, attacks, and a failing ledger."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from support.ledgers import Auditd
from support.scim import CLIENT, OWNER, Scim, scim_settings
from support.scim_server import ScimServer

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ROLES = {"Sekisho Operators": ["operator"], "Sekisho Auditors": ["auditor"]}
KNOWN_S = 1.0  # in which every worker must know
CHECKS = 68  # of scim2-tester 0.5 with the schemas that we serve


@pytest.fixture(autouse=True)
def _ready_and_quiet() -> None:
    """No whole installation is needed here: this replaces the neighbours' fixture."""


@pytest.fixture
def scim(tmp_path: Path) -> Scim:
    return Scim(tmp_path, scim_settings({"All of Sales": "sales"}, ROLES))


@pytest.fixture
def server(scim: Scim) -> Iterator[ScimServer]:
    with ScimServer(scim) as running:
        yield running


@pytest.fixture
def directory(server: ScimServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def _user(directory: httpx.Client, name: str, **more: Any) -> str:
    made = directory.post("/Users", json={"schemas": [USER], "userName": name, **more})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def _group(directory: httpx.Client, name: str, *members: str) -> httpx.Response:
    listed = [{"value": member} for member in members]
    body = {"schemas": [GROUP], "displayName": name, "members": listed}
    return directory.post("/Groups", json=body)


def _patch(directory: httpx.Client, path: str, *operations: dict[str, Any]) -> httpx.Response:
    return directory.patch(path, json={"schemas": [PATCH], "Operations": list(operations)})


def test_scim2_tester_passes(server: ScimServer) -> None:
    """Every check succeeds: none deviates, none is skipped, none was left out."""
    with httpx2.Client(
        base_url=server.url,
        headers={"authorization": f"Bearer {server.key}"},
        trust_env=False,
    ) as client:
        results = check_server(SyncSCIMClient(client))

    others = [
        (one.status.name, one.resource_type, one.title, one.reason)
        for one in results
        if one.status is not Status.SUCCESS
    ]
    assert not others
    assert len(results) == CHECKS
    assert Counter(one.resource_type for one in results).keys() >= {"User", "Group"}


def test_a_directory_in_its_own_dialect(scim: Scim, directory: httpx.Client) -> None:
    """Entra ID: strings for booleans, operations in capitals, extensions, removal by value."""
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    made = directory.post(
        "/Users",
        json={
            "schemas": [USER, enterprise],
            "externalId": "object-1",
            "userName": "Staff-7@example.com",
            "active": True,
            "emails": [{"primary": True, "type": "work", "value": "staff-7@example.com"}],
            "meta": {"resourceType": "User"},
            "name": {"formatted": "Staff 7", "familyName": "7", "givenName": "Staff"},
            "roles": [],
            enterprise: {"department": "x", "manager": {"value": "y"}},
        },
    )
    assert made.status_code == 201, made.text
    user = made.json()["id"]
    group = _group(directory, "All of Sales").json()["id"]
    _patch(
        directory, f"/Groups/{group}", {"op": "Add", "path": "members", "value": [{"value": user}]}
    )
    assert scim.principal("staff-7@example.com").groups == ("sales",)

    done = _patch(
        directory, f"/Users/{user}", {"op": "Replace", "path": "active", "value": "False"}
    )
    assert done.status_code == 204, done.text
    assert scim.principal("staff-7@example.com").disabled

    removed = {"op": "Remove", "path": "members", "value": [{"value": user}]}
    assert _patch(directory, f"/Groups/{group}", removed).status_code == 204
    assert scim.principal("staff-7@example.com").groups == ()


def test_okta_replaces_active_without_a_path(scim: Scim, directory: httpx.Client) -> None:
    """The value of the operation is the resource's part."""
    user = _user(directory, "staff-7", active=True)
    done = _patch(directory, f"/Users/{user}", {"op": "replace", "value": {"active": False}})
    assert done.status_code == 204, done.text
    assert scim.principal("staff-7").disabled


def _asks(server: ScimServer, key: str) -> int:
    with server.client(key) as client:
        return client.get("/Users").status_code


@pytest.mark.parametrize("how", ["inactive", "deleted"])
def test_who_is_shut_out_is_refused_within_a_second(
    server: ScimServer, directory: httpx.Client, how: str
) -> None:
    """A key that works (403: for something else) is no key any more (401)."""
    user = _user(directory, "staff-7", active=True)
    key = server.key_for("staff-7")
    time.sleep(KNOWN_S)
    assert _asks(server, key) == 403

    if how == "inactive":
        _patch(directory, f"/Users/{user}", {"op": "replace", "path": "active", "value": False})
    else:
        assert directory.delete(f"/Users/{user}").status_code == 204
    time.sleep(KNOWN_S)
    assert _asks(server, key) == 401


def test_the_local_operator_is_not_taken_over(scim: Scim, directory: httpx.Client) -> None:
    """Under no spelling; each attempt is recorded with the directory's account."""
    before = scim.principal(OWNER)
    for name in (OWNER, OWNER.upper(), CLIENT.id):
        answer = directory.post("/Users", json={"schemas": [USER], "userName": name})
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    for name in (f"{OWNER} ", f" {OWNER}", f"{OWNER}\u200b", "\uff4fperator-1", "operator\u2010 1"):
        answer = directory.post("/Users", json={"schemas": [USER], "userName": name})
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")

    assert scim.principal(OWNER) == before
    assert scim.told() == [(OWNER, "refused")] * 2 + [(CLIENT.id, "refused")]
    assert {event.actor for event in scim.ledger.events} == {CLIENT.id}


def test_a_patch_does_not_rename_anybody(scim: Scim, directory: httpx.Client) -> None:
    """An account is not turned into somebody else's."""
    user = _user(directory, "staff-7")
    for path in ("userName", "USERNAME", f"{USER}:userName"):
        operation = {"op": "replace", "path": path, "value": OWNER}
        assert _patch(directory, f"/Users/{user}", operation).status_code == 400
    body = {"schemas": [USER], "id": user, "userName": OWNER}
    assert directory.put(f"/Users/{user}", json=body).status_code == 400
    assert directory.get(f"/Users/{user}").json()["userName"] == "staff-7"


def test_read_only_attributes_give_nothing(scim: Scim, directory: httpx.Client) -> None:
    """Groups and roles in the body of a user are not what a user gets."""
    group = _group(directory, "Sekisho Operators").json()["id"]
    user = _user(
        directory,
        "staff-7",
        groups=[{"value": group}],
        roles=[{"value": "operator", "primary": True}],
    )
    _patch(
        directory, f"/Users/{user}", {"op": "add", "path": "groups", "value": [{"value": group}]}
    )
    _patch(directory, f"/Users/{user}", {"op": "add", "path": "roles", "value": [{"value": "x"}]})

    assert scim.principal("staff-7").roles == ("employee",)


def test_roles_that_must_not_meet_are_refused_whole(scim: Scim, directory: httpx.Client) -> None:
    """By two groups, in one PATCH with somebody else: neither gets anything."""
    both, other = _user(directory, "staff-7"), _user(directory, "staff-8")
    assert _group(directory, "Sekisho Operators", both).status_code == 201
    auditors = _group(directory, "Sekisho Auditors").json()["id"]

    adding = {"op": "add", "path": "members", "value": [{"value": other}, {"value": both}]}
    answer = _patch(directory, f"/Groups/{auditors}", adding)
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert "staff-7" in answer.json()["detail"]
    assert directory.get(f"/Groups/{auditors}").json().get("members", []) == []
    assert scim.principal("staff-8").roles == ("employee",)
    assert scim.told()[-1] == ("staff-7", "refused")


def test_two_workers_at_once_do_not_put_one_person_into_both(
    scim: Scim, server: ScimServer, directory: httpx.Client
) -> None:
    """Two requests that would each be right alone, on two workers: one is refused."""
    user = _user(directory, "staff-7")
    groups = [_group(directory, name).json()["id"] for name in ROLES]
    ready, answers = threading.Barrier(2), []

    def join(group: str, worker: ScimServer) -> None:
        with worker.client() as client:
            ready.wait(10)
            adding = {"op": "add", "path": "members", "value": [{"value": user}]}
            answers.append(_patch(client, f"/Groups/{group}", adding).status_code)

    with ScimServer(scim) as second:
        pairs = zip(groups, (server, second), strict=True)
        threads = [threading.Thread(target=join, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(answers) == [204, 400]
    assert len(scim.principal("staff-7").roles) == 2


def test_a_stale_version_changes_nothing(directory: httpx.Client) -> None:
    """If-Match is the directory's own guard, If-None-Match saves it a page."""
    user = _user(directory, "staff-7")
    etag = directory.get(f"/Users/{user}").headers["etag"]
    unchanged = directory.get(f"/Users/{user}", headers={"if-none-match": etag})
    assert unchanged.status_code == 304
    change = {"op": "replace", "path": "displayName", "value": "x"}
    _patch(directory, f"/Users/{user}", change)
    stale = directory.delete(f"/Users/{user}", headers={"if-match": etag})
    assert stale.status_code == 412


def test_a_name_is_never_given_twice(directory: httpx.Client) -> None:
    """Somebody new does not get the history and rights of who left."""
    user = _user(directory, "staff-7")
    assert directory.delete(f"/Users/{user}").status_code == 204
    assert directory.get(f"/Users/{user}").status_code == 404
    again = directory.post("/Users", json={"schemas": [USER], "userName": "STAFF-7"})
    assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")


def _changes(directory: httpx.Client, user: str, group: str) -> list[httpx.Response]:
    """One of each kind of change, all of which need evidence."""
    adding = {"op": "add", "path": "members", "value": [{"value": user}]}
    return [
        directory.post("/Users", json={"schemas": [USER], "userName": "staff-8"}),
        _patch(directory, f"/Users/{user}", {"op": "replace", "path": "active", "value": False}),
        _patch(directory, f"/Groups/{group}", adding),
        directory.delete(f"/Users/{user}"),
    ]


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
def test_without_a_ledger_nothing_changes(scim: Scim, directory: httpx.Client, fault: str) -> None:
    """The ledger fails before it took the event, or took it and its reply is lost: 503, and the
    directory does the same again when it is back.
    """
    user = _user(directory, "staff-7", active=True)
    group = _group(directory, "All of Sales").json()["id"]
    before = scim.registry.principals()

    setattr(scim.ledger, fault, 4)
    for answer in _changes(directory, user, group):
        assert answer.status_code == 503, answer.text
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert answer.headers["retry-after"]
    assert scim.registry.principals() == before
    assert directory.get("/Users").json()["totalResults"] == 1

    assert [answer.status_code for answer in _changes(directory, user, group)] == [
        201,
        204,
        204,
        204,
    ]


async def test_a_real_ledger_has_every_change_or_there_is_none(scim: Scim, tmp_path: Path) -> None:
    """With auditd killed nothing changes; what it kept before names who did what."""
    auditd = Auditd(tmp_path)
    await auditd.start()
    with ScimServer(scim, auditd_socket=auditd.socket) as server:
        async with httpx.AsyncClient(
            base_url=server.url,
            headers={"authorization": f"Bearer {server.key}"},
            timeout=20,
            trust_env=False,
        ) as directory:
            user = {"schemas": [USER], "userName": "staff-7", "displayName": "canary-name"}
            assert (await directory.post("/Users", json=user)).status_code == 201
            taken = {"schemas": [USER], "userName": OWNER}
            assert (await directory.post("/Users", json=taken)).status_code == 409
            await auditd.end(kill=True)
            other = {"schemas": [USER], "userName": "staff-8"}
            assert (await directory.post("/Users", json=other)).status_code == 503
    with scim.registry.reading() as look:
        assert look.find("staff-8") is None

    await auditd.start()
    assert await auditd.end() == (0, "")
    leaves = _leaves(auditd.ledger)
    told = [(leaf["data"]["change"], leaf["data"]["source"]) for leaf in leaves]
    assert told == [("created", "scim"), ("refused", "scim")]
    assert b"canary-name" not in b"".join(
        path.read_bytes() for path in auditd.ledger.rglob("*") if path.is_file()
    )


def _leaves(ledger: Path) -> list[dict[str, Any]]:
    shown = subprocess.run(
        [sys.executable, "-m", "sekisho_audit.cli", "show", str(ledger), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    return [line for line in lines if line["type"] == "principal.changed"]


def test_reading_needs_no_ledger(scim: Scim, directory: httpx.Client) -> None:
    """A directory can compare while changes wait."""
    _user(directory, "staff-7")
    scim.ledger.down = True
    assert directory.get('/Users?filter=userName eq "staff-7"').json()["totalResults"] == 1

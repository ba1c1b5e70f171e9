"""`/v1/approvals` over HTTP: who sees what, and every way around a review is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from sekisho.model.care import Care
from sekisho.model.decision import Threshold
from sekisho.model.hold import StoredAnswer
from sekisho.model.principal import Principal, Role, Scope
from sekisho.ports import Log, Searches
from sekisho.web.approvals import BODY_BYTES_MAX, router
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import (
    CANARY,
    LIMITS,
    REVIEWER,
    REVIEWER_2,
    ROBOT,
    STAFF,
    STRANGER,
    WHY,
    Desk,
    open_desk,
    person,
)
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

SECURITY = person("officer-1", groups=("security",))
PEOPLE = {
    "key-staff": STAFF,
    "key-staff-2": STAFF,
    "key-stranger": STRANGER,
    "key-reviewer": REVIEWER,
    "key-reviewer-2": REVIEWER_2,
    "key-robot": ROBOT,
    "key-security": SECURITY,
    "key-deputy": replace(
        person("deputy-1", Role.REVIEWER), lent=frozenset({(Role.REVIEWER, "reviewer-2")})
    ),
    "key-both": person("staff-7", Role.REVIEWER),
    "key-self-only": replace(REVIEWER, scopes=frozenset({Scope.SELF})),
    "key-ask-only": replace(REVIEWER, scopes=frozenset({Scope.ASK})),
    "key-service-reviewer": Principal(
        "robot-2", frozenset({Role.REVIEWER}), frozenset(), owner="reviewer-9"
    ),
}


class Client:
    """Asks as somebody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, key: str, path: str = "") -> httpx.Response:
        return await self._http.get(f"/v1/approvals{path}", headers=_bearer(key))

    async def post(self, key: str, path: str, said: object = None) -> httpx.Response:
        return await self._http.post(f"/v1/approvals{path}", headers=_bearer(key), json=said)

    async def post_bytes(self, key: str, path: str, body: bytes) -> httpx.Response:
        return await self._http.post(f"/v1/approvals{path}", headers=_bearer(key), content=body)

    async def review(self, key: str, shown: dict[str, object], **said: object) -> httpx.Response:
        """Approve what was shown, unless told otherwise."""
        body = {"decision": "approve", "binding": shown["binding"], "reason": "looked at", **said}
        return await self.post(key, f"/{shown['id']}/reviews", body)


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with asking(desk) as one:
        yield one


@asynccontextmanager
async def asking(desk: Desk) -> AsyncIterator[Client]:
    """Clients of the routes over this desk."""
    app = FastAPI()
    app.include_router(router)
    doors = entrance(desk.ledger)
    app.state.services = Services(
        desk.store,
        desk.ledger,
        cast("Log", None),
        cast("Searches", None),
        StaticDirectory(PEOPLE),
        doors,
        desk.limits,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Client(http)


async def shown(client: Client, desk: Desk, **terms: object) -> dict[str, object]:
    """A hold of staff-7 as the reviewer sees it."""
    view = await desk.file(**terms)  # type: ignore[arg-type]
    found: dict[str, object] = (await client.get("key-reviewer", f"/{view.hold.id}")).json()
    return found


def changes(ledger: MemoryLedger, hold: str) -> list[str]:
    """What happened to a hold, apart from being looked at and what was refused."""
    return [kind for kind in ledger.types(hold) if kind not in {"record.read", "hold.refused"}]


async def test_who_is_shown_a_hold_is_recorded_before_it_is_shown(
    client: Client, desk: Desk, ledger: MemoryLedger
) -> None:
    """Once for each reader, however often they look; not for what one asked oneself."""
    view = await desk.file()
    for key in ("key-staff", "key-reviewer", "key-reviewer", "key-reviewer-2"):
        assert (await client.get(key, f"/{view.hold.id}")).status_code == 200
    reads = [event for event in ledger.events if event.type == "record.read"]
    assert [event.actor for event in reads] == ["reviewer-1", "reviewer-2"]
    assert {event.principal for event in reads} == {"staff-7"}
    ledger.down = True
    answer = await client.get("key-security", f"/{view.hold.id}")
    assert answer.status_code in (404, 503)
    answer = await client.get("key-reviewer", f"/{view.hold.id}")
    assert (answer.status_code, CANARY in answer.text) == (503, False)


async def test_a_key_made_for_something_else_reviews_nothing(client: Client, desk: Desk) -> None:
    """A scope takes away what the role gives."""
    view = await desk.file()
    found = await shown(client, desk)
    answer = await client.review("key-ask-only", found)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope_missing")
    for path in ("", f"/{view.hold.id}"):
        assert (await client.get("key-ask-only", path)).status_code == 403


async def test_a_reviewer_sees_exactly_what_is_bound(client: Client, desk: Desk) -> None:
    """The outgoing bytes as text, the binding, rules, destination, revision and expiry."""
    view = await desk.file()
    hold = view.hold
    found = (await client.get("key-reviewer", f"/{hold.id}")).json()
    assert found["outgoing"] == {
        "bytes": len(hold.outgoing),
        "text": hold.outgoing.decode(),
        "base64": None,
        "withheld": False,
    }
    assert (found["binding"], found["version"], found["status"]) == (hold.binding, 1, "pending")
    assert (found["backend"], found["model"]) == ("demo", "gpt-x")
    assert found["rules"] == ["sekisho.hold.salary"]
    assert found["reasons"] == ["Salaries are looked at by a person first."]
    assert found["policy_revision"] == "sha256:00ff"
    assert found["expires_at"] == hold.expires_us // 1_000_000
    assert found["may_review"] is True


@pytest.mark.parametrize("stage", ["tool_call", "response"])
async def test_who_asked_cannot_read_a_held_answer_by_looking_at_its_hold(
    client: Client, desk: Desk, stage: str
) -> None:
    """Nor by withdrawing it; not under another key, nor as a reviewer who asked it themselves.
    Reviewers see it; who asked gets it when it is released.
    """
    view = await desk.file(stage=stage)
    path = f"/{view.hold.id}"

    for key in ("key-staff", "key-staff-2", "key-both"):
        answer = await client.get(key, path)
        assert answer.json()["outgoing"]["withheld"] is True
        assert CANARY not in answer.text
    assert CANARY in (await client.get("key-reviewer", path)).text
    withdrawn = await client.post("key-staff", f"{path}/withdraw")
    assert withdrawn.json()["status"] == "withdrawn"
    assert CANARY not in withdrawn.text


async def test_who_asked_sees_what_was_released_to_them(client: Client, desk: Desk) -> None:
    """It is theirs by then."""
    view = await desk.file(stage="response")
    await desk.approve(view)
    assert CANARY not in (await client.get("key-staff", f"/{view.hold.id}")).text
    assert await desk.store.claim(view.hold.id, "w") is not None
    kept = StoredAnswer(200, "application/json", view.hold.outgoing)
    assert await desk.store.finish(view.hold.id, "w", kept)

    assert CANARY in (await client.get("key-staff", f"/{view.hold.id}")).text


async def test_an_approval_with_the_shown_binding_approves(
    client: Client, desk: Desk, ledger: MemoryLedger
) -> None:
    """The reviewer's answer is recorded and the hold is approved."""
    found = await shown(client, desk)
    answer = await client.review("key-reviewer", found)
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    assert answer.headers["cache-control"] == "no-store"
    assert ledger.types()[-2:] == ["hold.review", "hold.settled"]


@pytest.mark.parametrize("key", ["", "key-nobody"])
async def test_without_a_known_key_nothing_is_said(client: Client, desk: Desk, key: str) -> None:
    """401 in the OpenAI shape, for every route."""
    view = await desk.file()
    for answer in (
        await client.get(key),
        await client.get(key, f"/{view.hold.id}"),
        await client.post(key, f"/{view.hold.id}/reviews", {}),
        await client.post(key, f"/{view.hold.id}/withdraw"),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_the_other_header_for_keys_works(client: Client, desk: Desk) -> None:
    """`x-api-key` is as good as `Authorization: Bearer`."""
    await desk.file()
    http = client._http
    answer = await http.get("/v1/approvals", headers={"x-api-key": "key-reviewer"})
    assert len(answer.json()["data"]) == 1


@pytest.mark.parametrize("key", ["key-stranger", "key-security", "key-service-reviewer"])
async def test_for_everyone_else_a_hold_does_not_exist(
    client: Client, desk: Desk, ledger: MemoryLedger, key: str
) -> None:
    """Neither list nor read nor review nor withdraw tells that there is such a hold."""
    found = await shown(client, desk)
    assert (await client.get(key)).json()["data"] == []
    absent = await client.get(key, "/hold_" + "0" * 32)
    for answer in (
        await client.get(key, f"/{found['id']}"),
        await client.review(key, found),
        await client.post(key, f"/{found['id']}/withdraw"),
    ):
        assert (answer.status_code, answer.json()) == (404, absent.json())
    assert changes(ledger, str(found["id"])) == ["hold.filed"]


@pytest.mark.parametrize("key", ["key-staff", "key-staff-2", "key-both"])
async def test_nobody_reviews_their_own_request(
    client: Client, desk: Desk, ledger: MemoryLedger, key: str
) -> None:
    """Not with the same key, not with another, not with the reviewer role as well."""
    found = await shown(client, desk)
    for decision in ("approve", "deny"):
        answer = await client.review(key, found, decision=decision)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "self_approval")
    assert changes(ledger, str(found["id"])) == ["hold.filed"]


async def test_the_owner_does_not_review_their_service_account(
    client: Client, desk: Desk, ledger: MemoryLedger
) -> None:
    """What a service account asks, its owner asks; another reviewer may answer."""
    view = await desk.file(principal=ROBOT)
    found = (await client.get("key-reviewer-2", f"/{view.hold.id}")).json()
    answer = await client.review("key-reviewer", found)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "self_approval")
    assert (await client.review("key-reviewer-2", found)).json()["status"] == "approved"


async def test_a_group_may_be_named_as_reviewers(client: Client, desk: Desk) -> None:
    """A threshold that names a group is for its members; the role reviewer does not help then."""
    view = await desk.file(thresholds=(Threshold("security", 1, 1),))
    found = (await client.get("key-security", f"/{view.hold.id}")).json()
    assert (await client.review("key-reviewer", found)).status_code == 404
    assert (await client.review("key-security", found)).json()["status"] == "approved"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"binding": "0" * 64}, (409, "binding_mismatch")),
        ({"version": 2}, (409, "binding_mismatch")),
        ({"decision": "deny", "reason": " "}, (400, "reason_required")),
        ({"decision": "edit"}, (400, "invalid_request")),
        ({"binding": ""}, (400, "invalid_request")),
        ({"binding": None}, (400, "invalid_request")),
        ({"reason": "x" * 2001}, (400, "invalid_request")),
        ({"extra": 1}, (400, "invalid_request")),
        ({"version": "1"}, (400, "invalid_request")),
    ],
)
async def test_a_review_that_is_not_about_what_was_shown(
    client: Client, desk: Desk, ledger: MemoryLedger, change: object, said: tuple[int, str]
) -> None:
    """A stale binding, another version, a missing reason or anything malformed changes nothing."""
    found = await shown(client, desk)
    answer = await client.review("key-reviewer", found, **change)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["error"]["code"]) == said
    assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
    assert changes(ledger, str(found["id"])) == ["hold.filed"]


async def test_a_review_of_another_hold_does_not_fit(client: Client, desk: Desk) -> None:
    """The binding of one hold cannot be used for another with the same bytes."""
    one = await shown(client, desk, text="same", key="k-1")
    two = await shown(client, desk, text="same", key="k-2")
    answer = await client.post(
        "key-reviewer",
        f"/{two['id']}/reviews",
        {"decision": "approve", "binding": one["binding"], "reason": "x"},
    )
    assert answer.json()["error"]["code"] == "binding_mismatch"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"approve"',
        b'{"decision":"deny","decision":"approve","binding":"%s"}' % (b"0" * 64),
        b"\xff\xfe",
        b'{"decision":{"a":{"b":1}}}',
    ],
)
async def test_a_body_that_is_no_review(client: Client, desk: Desk, body: bytes) -> None:
    """Empty, malformed or ambiguous JSON is a 400, never a 500."""
    found = await shown(client, desk)
    answer = await client.post_bytes("key-reviewer", f"/{found['id']}/reviews", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


async def test_a_review_is_bounded_in_size(client: Client, desk: Desk) -> None:
    """A huge body is refused while it is read."""
    found = await shown(client, desk)
    body = b" " * (BODY_BYTES_MAX + 1)
    answer = await client.post_bytes("key-reviewer", f"/{found['id']}/reviews", body)
    assert answer.status_code == 413


async def test_a_risky_approval_needs_a_reason(client: Client, desk: Desk) -> None:
    """From risk 40 on an approval says why."""
    found = await shown(client, desk, risk=40)
    assert (await client.review("key-reviewer", found, reason="")).status_code == 400
    assert (await client.review("key-reviewer", found)).status_code == 200


async def test_a_decided_hold_cannot_be_decided_again(client: Client, desk: Desk) -> None:
    """A replayed answer returns the same outcome; any other is a conflict."""
    found = await shown(client, desk)
    assert (await client.review("key-reviewer", found)).json()["status"] == "approved"
    assert (await client.review("key-reviewer", found)).json()["status"] == "approved"
    for key, decision in (("key-reviewer", "deny"), ("key-reviewer-2", "deny")):
        answer = await client.review(key, found, decision=decision)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "already_decided")


async def test_the_requester_withdraws(client: Client, desk: Desk) -> None:
    """Only the requester takes a hold back, and then nobody can approve it."""
    found = await shown(client, desk)
    refused = await client.post("key-reviewer", f"/{found['id']}/withdraw")
    assert refused.status_code == 404
    answer = await client.post("key-staff", f"/{found['id']}/withdraw")
    assert answer.json()["status"] == "withdrawn"
    late = await client.review("key-reviewer", found)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "already_decided")


async def test_the_list_has_what_one_may_decide_and_ones_own(client: Client, desk: Desk) -> None:
    """Open holds only; no content; marked by whether the caller may review them."""
    mine = await desk.file("a")
    other = await desk.file("b", principal=STRANGER)
    done = await desk.file("c")
    await desk.approve(done)
    answer = await client.get("key-reviewer", "?status=open")
    assert [line["id"] for line in answer.json()["data"]] == [mine.hold.id, other.hold.id]
    assert all(line["may_review"] for line in answer.json()["data"])
    own = (await client.get("key-staff")).json()["data"]
    assert [(line["id"], line["may_review"]) for line in own] == [(mine.hold.id, False)]
    assert (await client.get("key-staff", "?status=all")).status_code == 400


async def test_lists_hold_no_content(client: Client, desk: Desk) -> None:
    """The queue shows rules and destination, never the prompt."""
    await desk.file()
    assert CANARY not in (await client.get("key-reviewer")).text


@pytest.mark.parametrize("hold_id", ["x", "hold_%2e%2e", "hold_" + "0" * 31 + "Z", "%7Bx%7D"])
async def test_an_odd_id_is_not_found(client: Client, hold_id: str) -> None:
    """An id that is not one of ours never reaches the store."""
    assert (await client.get("key-reviewer", f"/{hold_id}")).status_code == 404


async def test_a_dead_part_is_a_503_with_its_code(
    client: Client, desk: Desk, ledger: MemoryLedger
) -> None:
    """Ledger away while deciding: said as such; the same answer works when it is back."""
    found = await shown(client, desk)
    ledger.lose_before = 1
    answer = await client.review("key-reviewer", found)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
    assert (await client.review("key-reviewer", found)).json()["status"] == "approved"


async def test_the_routes_are_described(client: Client) -> None:
    """The OpenAPI document names the body of a review."""
    document = (await client._http.get("/openapi.json")).json()
    post = document["paths"]["/v1/approvals/{hold_id}/reviews"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"decision", "binding"}


async def test_a_key_for_ones_own_history_shows_nobody_elses_requests(
    client: Client, desk: Desk
) -> None:
    """Also in a reviewer's hand."""
    view = await desk.file()
    assert (await client.get("key-self-only", "")).json()["data"] == []
    answer = await client.get("key-self-only", f"/{view.hold.id}")
    assert (answer.status_code, CANARY in answer.text) == (403, False)


async def test_a_service_accounts_key_does_not_act_for_its_owner(
    client: Client, desk: Desk
) -> None:
    """The owner sees what it asked; it does not see, nor take back, what the owner asked."""
    owners = await desk.file(principal=person("reviewer-1"))
    assert (await client.get("key-robot", f"/{owners.hold.id}")).status_code == 404
    assert (await client.post("key-robot", f"/{owners.hold.id}/withdraw")).status_code == 404
    its = await desk.file("other", principal=ROBOT)
    assert (await client.get("key-reviewer", f"/{its.hold.id}")).status_code == 200


async def test_whoever_asked_says_why(client: Client, desk: Desk, ledger: MemoryLedger) -> None:
    """By any of their keys; the reviewer then reads it, in the queue and in full."""
    found = await shown(client, desk, justify=True)
    assert (found["justify"], found["justified"], found["justification"]) == (True, False, None)
    early = await client.review("key-reviewer", found)
    assert early.json()["error"]["code"] == "justification_outstanding"
    path, said = f"/{found['id']}/justification", {"reason": WHY}
    for key in ("key-staff", "key-staff-2"):
        answer = await client.post(key, path, said)
        assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    (line,) = (await client.get("key-reviewer")).json()["data"]
    assert (line["justify"], line["justified"]) == (True, True)
    seen = (await client.get("key-reviewer", f"/{found['id']}")).json()
    assert (seen["justification"]["person"], seen["justification"]["reason"]) == ("staff-7", WHY)
    done = await client.review("key-reviewer", found)
    assert (done.status_code, done.json()["status"]) == (200, "approved")
    assert changes(ledger, str(found["id"])).count("hold.justified") == 1


@pytest.mark.parametrize(
    "key", ["", "key-stranger", "key-security", "key-reviewer", "key-ask-only", "key-robot"]
)
async def test_nobody_else_says_why(
    client: Client, desk: Desk, ledger: MemoryLedger, key: str
) -> None:
    """For them there is nothing to justify."""
    view = await desk.file(justify=True)
    answer = await client.post(key, f"/{view.hold.id}/justification", {"reason": WHY})
    assert answer.status_code == (404 if key else 401)
    assert changes(ledger, view.hold.id) == ["hold.filed"]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (None, 400),
        ({}, 400),
        ({"reason": ""}, 400),
        ({"reason": 7}, 400),
        ({"reason": "x" * 2001}, 400),
        ({"reason": "for \u202eyltcaxe"}, 400),
        ({"reason": WHY, "decision": "approve"}, 400),
        ({"reason": WHY, "binding": "0" * 64}, 409),
        ({"reason": WHY, "version": 2}, 409),
    ],
)
async def test_what_is_no_justification(
    client: Client, desk: Desk, said: object, status: int
) -> None:
    """The hold waits on."""
    view = await desk.file(justify=True)
    answer = await client.post("key-staff", f"/{view.hold.id}/justification", said)
    assert answer.status_code == status
    assert await desk.store.state(view.hold.id) == "pending"


CALLED = {"place": 0, "arguments": "{}"}
BOUND = {"binding": "0" * 64}


@pytest.mark.parametrize(
    "said",
    [
        {},
        BOUND,
        {**BOUND, "calls": []},
        {**BOUND, "calls": [{"place": 0}]},
        {**BOUND, "calls": [{**CALLED, "drop": True}]},
        {**BOUND, "calls": [{**CALLED, "place": -1}]},
        {**BOUND, "calls": [{"place": 0, "arguments": {}}]},
        {**BOUND, "calls": [{**CALLED, "name": "x"}]},
        {**BOUND, "calls": [CALLED], "text": "x"},
    ],
)
async def test_a_body_that_is_no_edit(client: Client, desk: Desk, said: Any) -> None:
    """Every member is named and typed; nothing else is taken."""
    view = await desk.file(stage="tool_call")

    answer = await client.post("key-reviewer", f"/{view.hold.id}/edits", said)

    assert answer.status_code == 400


@pytest.mark.parametrize(("key", "status"), [("key-ask-only", 403), ("", 401)])
async def test_edits_are_for_reviewers(client: Client, desk: Desk, key: str, status: int) -> None:
    """Before anything is looked at."""
    view = await desk.file(stage="tool_call")

    said = {**BOUND, "calls": [CALLED]}
    assert (await client.post(key, f"/{view.hold.id}/edits", said)).status_code == status


async def test_the_queue_comes_in_the_order_of_urgency_and_in_pages(
    client: Client, desk: Desk
) -> None:
    """The riskier first where the time left is alike; the pages make up the whole."""
    views = [await desk.file(f"text {n}", risk=n * 10) for n in range(5)]
    seen: list[str] = []
    query = "?limit=2"
    while True:
        said = (await client.get("key-reviewer", query)).json()
        seen += [card["id"] for card in said["data"]]
        assert said["has_more"] is (said["after"] is not None)
        if not said["has_more"]:
            break
        query = f"?limit=2&after={said['after']}"
    assert seen == [view.hold.id for view in reversed(views)]


async def test_the_queue_is_narrowed(client: Client, desk: Desk) -> None:
    """By stage, by rule, and by whose it is."""
    one = await desk.file("one", principal=person("reviewer-1", Role.REVIEWER))
    two = await desk.file("two", stage="response")

    async def ids(query: str) -> list[str]:
        return [card["id"] for card in (await client.get("key-reviewer", query)).json()["data"]]

    assert await ids("?stage=response") == [two.hold.id]
    assert await ids("?mine=true") == [one.hold.id]
    assert await ids("?mine=false") == [two.hold.id]
    assert await ids("?rule=sekisho.hold.salary&stage=request") == [one.hold.id]
    assert await ids("?rule=other") == []
    for wrong in ("?stage=later", "?limit=0", "?limit=501", "?after=x", "?status=all"):
        assert (await client.get("key-reviewer", wrong)).status_code in {400, 422}


@asynccontextmanager
async def over(
    valkey: Valkey, ledger: MemoryLedger, care: Care
) -> AsyncIterator[tuple[Client, Desk]]:
    """The same routes over a desk that asks reviewers for this care."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, care=care))
    async with asking(desk) as client:
        yield client, desk
    await desk.close()


async def test_a_hasty_approval_is_told_when_it_may_come(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """By a code, a header and, beforehand, in the hold itself; over and over, it stays refused."""
    async with over(valkey, ledger, Care(dwell_s=60)) as (client, desk):
        view = await desk.file(risk=40)
        unseen: dict[str, object] = {"id": view.hold.id, "binding": view.hold.binding}
        answer = await client.review("key-reviewer", unseen)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_shown")

        found = (await client.get("key-reviewer", f"/{view.hold.id}")).json()
        assert found["approve_from"] >= found["created_at"] + 59
        for _ in range(2):
            answer = await client.review("key-reviewer", found)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "too_soon")
            assert 50 <= int(answer.headers["retry-after"]) <= 61
            assert answer.headers["x-should-retry"] == "false"
        # Who may only have seen it for themselves was not shown it as a reviewer.
        answer = await client.review("key-reviewer-2", found)
        assert answer.json()["error"]["code"] == "not_shown"
        answer = await client.review("key-reviewer", found, decision="deny")
        assert (answer.status_code, answer.json()["status"]) == (200, "denied")


async def test_many_decisions_are_told_to_who_makes_them(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """In a header and a field, after each; then approving pauses."""
    care = Care(dwell_s=0, decisions_warn=1, decisions_max=2)
    async with over(valkey, ledger, care) as (client, desk):
        answers = []
        for n in range(3):
            view = await desk.file(f"text {n}")
            found = (await client.get("key-reviewer", f"/{view.hold.id}")).json()
            answers.append(await client.review("key-reviewer", found))
    first, second, third = answers
    assert (first.json()["warning"], "x-sekisho-review-warning" in first.headers) == (None, False)
    assert second.headers["x-sekisho-review-warning"] == second.json()["warning"]
    assert "You decided 2 holds within an hour" in second.json()["warning"]
    assert (third.status_code, third.json()["error"]["code"]) == (403, "approvals_paused")
    assert int(third.headers["retry-after"]) > 500


# -- one after the other

IN_ORDER = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))


async def test_steps_are_told_with_who_answered_at_which(client: Client, desk: Desk) -> None:
    """And whose turn it is; a delegate is named with whom they stand in for."""
    hold = await shown(client, desk, thresholds=IN_ORDER)
    assert [one["step"] for one in hold["thresholds"]] == [1, 2]  # type: ignore[attr-defined]
    assert (hold["open_step"], hold["may_review"]) == (1, False)
    first = (await client.get("key-security", f"/{hold['id']}")).json()
    assert first["may_review"] is True
    assert (await client.review("key-security", hold)).json()["open_step"] == 2
    done = (await client.review("key-deputy", hold)).json()
    assert (done["status"], done["open_step"]) == ("approved", None)
    told = [(one["reviewer"], one["person"], one["step"]) for one in done["reviews"]]
    assert told == [("officer-1", None, 1), ("deputy-1", "reviewer-2", 2)]


async def test_answering_out_of_turn_is_a_conflict(client: Client, desk: Desk) -> None:
    """Approving and denying; the hold stays as it was."""
    hold = await shown(client, desk, thresholds=IN_ORDER)
    for said in ("approve", "deny"):
        answer = await client.review("key-reviewer", hold, decision=said)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_your_turn")
    now = (await client.get("key-reviewer", f"/{hold['id']}")).json()
    assert (now["status"], now["reviews"]) == ("pending", [])


async def test_the_list_has_whose_turn_it_is(client: Client, desk: Desk) -> None:
    """With `turn=any` all that one is asked about."""
    await shown(client, desk, thresholds=IN_ORDER)
    for key, path, count in (
        ("key-reviewer", "", 0),
        ("key-reviewer", "?turn=any", 1),
        ("key-security", "", 1),
        ("key-staff", "", 1),
    ):
        found = (await client.get(key, path)).json()["data"]
        assert [one["open_step"] for one in found] == [1] * count
    assert (await client.get("key-reviewer", "?turn=both")).status_code == 422

"""Test items over HTTP: who makes them up, and that nothing reviewers can read tells it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import orjson
import pytest
from fastapi import FastAPI

from sekisho.model.principal import Principal, Role, Scope
from sekisho.ports import Log, Searches
from sekisho.web import approvals, pages, seeds
from sekisho.web import desk as desk_routes
from sekisho.web.live_queue import LiveQueue, events
from sekisho.web.services import Services
from support.entrances import entrance
from support.figure_site import Everywhere
from support.holds import REVIEWER, REVIEWER_2, STAFF, Desk, person
from support.seeds import HELD_BY, seed_desk

AUDITOR = Principal("auditor-1", frozenset({Role.AUDITOR}), frozenset(), credential="k-a")
PEOPLE = {
    "staff": STAFF,
    "reviewer": REVIEWER,
    "reviewer-2": REVIEWER_2,
    "auditor": AUDITOR,
    "operator": person("operator-1", Role.OPERATOR),
    "auditor-asks": replace(AUDITOR, scopes=frozenset({Scope.ASK})),
    "auditor-reviews": replace(AUDITOR, roles=frozenset({Role.AUDITOR, Role.REVIEWER})),
}
TEXT = "Send me the salaries of all directors."
MADE_UP: dict[str, Any] = {
    "principal": "staff-990",
    "text": TEXT,
    "model": "gpt-x",
    "backend": "demo",
    "rule": HELD_BY,
    "message": "Salaries are looked at by a person first.",
    "reviewers": "reviewer",
    "risk": 10,
}
TELLING = ("seed", "test_", "test item", "made up", AUDITOR.id)


@dataclass
class Site:
    """The routes and pages over one desk."""

    desk: Desk
    http: httpx.AsyncClient

    async def seed(self, key: str = "auditor", **changes: Any) -> httpx.Response:
        body = {**MADE_UP, **changes}
        return await self.http.post("/v1/approvals/seeds", json=body, headers=_bearer(key))

    async def get(self, path: str, key: str = "reviewer") -> httpx.Response:
        return await self.http.get(f"/v1/approvals{path}", headers=_bearer(key))

    async def page(self, hold_id: str, who: str = "reviewer") -> str:
        headers = {"cookie": f"sekisho={who}"}
        return (await self.http.get(f"/approvals/{hold_id}", headers=headers)).text

    async def answer(self, hold_id: str, decision: str, key: str = "reviewer") -> dict[str, Any]:
        shown = (await self.get(f"/{hold_id}", key)).json()
        said = {"decision": decision, "binding": shown["binding"], "reason": "looked at"}
        path = f"/v1/approvals/{hold_id}/reviews"
        found: dict[str, Any] = (await self.http.post(path, json=said, headers=_bearer(key))).json()
        return found


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
async def site(desk: Desk) -> AsyncIterator[Site]:
    app = FastAPI()
    for router in (seeds.router, desk_routes.router, approvals.router, pages.router):
        app.include_router(router)
    app.state.sign_in = SimpleNamespace(public_url="http://gateway", language="en")
    app.state.services = Services(
        *(desk.store, desk.ledger, cast("Log", None), cast("Searches", None)),
        *(Everywhere(PEOPLE), entrance(desk.ledger), desk.limits),
        seeds=seed_desk(desk, Everywhere(PEOPLE)),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Site(desk, http)


def alike(said: Any, *names: str) -> Any:
    """What is told, without what no two holds have in common."""
    text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
    for name in names:
        text = text.replace(name, "NAME")
    text = re.sub(r"[0-9a-f]{32,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return orjson.loads(re.sub(r"1[0-9]{9}", "0", text))


async def real_and_seeded(site: Site) -> tuple[str, str]:
    """A request that is held, and a test item with the same text."""
    held = await site.desk.file(TEXT, principal=STAFF)
    made = await site.seed()
    assert made.status_code == 201, made.text
    return held.hold.id, made.json()["id"]


async def test_the_interface_tells_a_reviewer_nothing(site: Site) -> None:
    """Detail, list and stream have the same members and values as of a hold that somebody asked."""
    real, seeded = await real_and_seeded(site)
    shown = [(await site.get(f"/{one}")).json() for one in (real, seeded)]
    assert shown[1]["test_item"] is None
    cards = {one["id"]: one for one in (await site.get("")).json()["data"]}

    async def reviewer() -> Principal:
        return REVIEWER

    frames = events(LiveQueue(), site.desk.store, reviewer, "")
    pushed: dict[str, Any] = {}
    while len(pushed) < 2:
        frame = await anext(frames)
        if frame.startswith(b"event: hold"):
            card = orjson.loads(frame.split(b"data: ")[1])
            pushed[card["id"]] = card
    await frames.aclose()  # type: ignore[attr-defined]
    for told in (shown, *([of[real], of[seeded]] for of in (cards, pushed))):
        first, second = (alike(one, STAFF.id, MADE_UP["principal"]) for one in told)
        for size in ("outgoing", "outgoing_bytes"):  # of the client's own bytes
            first.pop(size, None)
            second.pop(size, None)
        assert first == second
    for one in (shown[1], cards[seeded], pushed[seeded]):
        text = orjson.dumps({k: v for k, v in one.items() if k != "test_item"}).decode().lower()
        assert not [word for word in TELLING if word in text]


async def test_the_page_tells_a_reviewer_nothing(site: Site) -> None:
    """Nor does the page of the hold, which is the same but for names, times and bytes."""
    real, seeded = await real_and_seeded(site)
    said = [await site.page(one) for one in (real, seeded)]
    assert TEXT in said[1]
    assert not [word for word in TELLING if word in said[1].lower()]
    # What is bound has other members, since no client wrote it.
    around = [re.split(r'<div class="(?:sheet|side)">', one) for one in said]
    tags = [[re.findall(r"<[a-z/][a-z0-9]*", part) for part in one] for one in around]
    assert len(tags[0]) == 3
    assert (tags[0][0], tags[0][2]) == (tags[1][0], tags[1][2])


@pytest.mark.parametrize(("decision", "caught"), [("approve", False), ("deny", True)])
async def test_reviewers_are_told_when_it_is_over(
    site: Site, decision: str, *, caught: bool
) -> None:
    """Whoever answered, in the answer to the review and on the page; the others by looking."""
    _, seeded = await real_and_seeded(site)
    said = await site.answer(seeded, decision)
    assert said["test_item"] == {"rule": MADE_UP["rule"], "caught": caught}
    assert said["status"] == ("denied" if caught else "withdrawn")
    assert (await site.get(f"/{seeded}", "reviewer-2")).json()["test_item"]["caught"] is caught
    page = await site.page(seeded)
    assert "This was a test item" in page
    assert ("It was caught" in page) is caught


async def test_an_ordinary_hold_is_never_called_one(site: Site) -> None:
    """Before or after."""
    real, _ = await real_and_seeded(site)
    assert (await site.answer(real, "deny"))["test_item"] is None
    assert "test item" not in await site.page(real)


async def test_no_result_and_no_history_is_somebodys(site: Site) -> None:
    """Who made it up sees it among their own and can take it back."""
    _, seeded = await real_and_seeded(site)
    listed = (await site.get("?mine=true", "auditor-reviews")).json()["data"]
    assert [(one["id"], one["may_review"]) for one in listed] == [(seeded, False)]
    shown = (await site.get(f"/{seeded}", "auditor")).json()
    assert not shown["may_review"]
    assert (await site.get(f"/{seeded}", "staff")).status_code == 404
    taken = await site.http.post(f"/v1/approvals/{seeded}/withdraw", headers=_bearer("auditor"))
    assert taken.json()["status"] == "withdrawn"
    assert taken.json()["test_item"] is None


@pytest.mark.parametrize("key", ["staff", "reviewer", "auditor-asks"])
async def test_others_make_nothing_up(site: Site, key: str) -> None:
    """Operators and auditors, with a credential made for what they do."""
    refused = await site.seed(key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_missing")


@pytest.mark.parametrize(
    "changes",
    [
        {"text": ""},
        {"risk": 101},
        {"ttl_s": 5},
        {"approve": 0},
        {"more": 1},
        {"principal": "staff-7"},
        {"rule": "nonsense.rule"},
        {"backend": "nowhere"},
        {"model": "llama"},
        {"model": "nothing"},
        {"redact": ["salary"]},
        {"reviewers": "nobody-is-in-it"},
        {"also": [{"rule": "nonsense.rule", "message": "No."}]},
        {"also": [{"rule": "nonsense.rule"}]},
    ],
)
async def test_what_makes_no_test_item_is_refused(site: Site, changes: dict[str, Any]) -> None:
    """Members are bounded, and nobody real is named."""
    assert (await site.seed("operator", **changes)).status_code == 400
    assert await site.desk.store.list_open(10) == []

"""A reviewer's desk over HTTP: the live queue, claims, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from sekisho.model.principal import Scope
from sekisho.ports import Log, Searches
from sekisho.web import approvals, desk
from sekisho.web.live_queue import EACH_MAX, LiveQueue
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import CANARY, REVIEWER, REVIEWER_2, STAFF, STRANGER, Desk

PEOPLE = {
    "key-staff": STAFF,
    "key-stranger": STRANGER,
    "key-reviewer": REVIEWER,
    "key-reviewer-2": REVIEWER_2,
    "key-self-only": replace(REVIEWER, scopes=frozenset({Scope.SELF})),
}
LIMIT_S = 20.0


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


class Room:
    """The routes over one desk, asked as somebody."""

    def __init__(self, parts: Desk) -> None:
        self.live = LiveQueue()
        self.app = FastAPI()
        self.app.include_router(desk.router)
        self.app.include_router(approvals.router)
        self.app.state.services = Services(
            parts.store,
            parts.ledger,
            cast("Log", None),
            cast("Searches", None),
            StaticDirectory(PEOPLE),
            entrance(parts.ledger),
            parts.limits,
            live=self.live,
        )
        transport = httpx.ASGITransport(self.app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def ask(self, method: str, key: str, path: str, said: object = None) -> httpx.Response:
        url = f"/v1/approvals{path}"
        return await self.http.request(method, url, headers=bearer(key), json=said)


@pytest.fixture
async def room(desk: Desk) -> AsyncIterator[Room]:
    one = Room(desk)
    yield one
    await one.http.aclose()


async def bound(room: Room, desk: Desk, text: str = CANARY) -> dict[str, Any]:
    view = await desk.file(text)
    shown = (await room.ask("GET", "key-reviewer", f"/{view.hold.id}")).json()
    return {name: shown[name] for name in ("id", "binding", "version")}


async def test_several_are_answered_at_once(room: Room, desk: Desk) -> None:
    """Each with its own binding, each told on its own; nothing of their content comes back."""
    holds = [await bound(room, desk, f"text {n}") for n in range(2)]
    holds.append({**holds[0], "id": "hold_" + "0" * 32})
    said = {"decision": "approve", "reason": "alike", "holds": holds}

    answer = await room.ask("POST", "key-reviewer", "/bulk", said)

    assert answer.status_code == 200
    data = answer.json()["data"]
    assert [one["status"] for one in data] == ["approved", "approved", None]
    assert data[2]["error"]["code"] == "not_found"
    assert "text 0" not in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "edit"},
        {"holds": []},
        {"holds": [{"id": "hold_1", "binding": "short"}]},
        {"holds": [{"id": "hold_" + "0" * 32}]},
        {"yes": True},
    ],
)
async def test_what_is_no_answer_to_several_is_refused(
    room: Room, desk: Desk, change: dict[str, Any]
) -> None:
    """And nothing was decided."""
    said = {"decision": "deny", "reason": "no", "holds": [await bound(room, desk)], **change}
    answer = await room.ask("POST", "key-reviewer", "/bulk", said)

    assert answer.status_code == 400
    assert len(await desk.store.list_open(9)) == 1


async def test_a_key_made_for_something_else_is_no_reviewers(room: Room, desk: Desk) -> None:
    """A scope takes away what the role gives, on each of these routes."""
    said = {"decision": "deny", "reason": "no", "holds": [await bound(room, desk)]}
    hold = said["holds"][0]["id"]  # type: ignore[index]
    for method, path in (
        ("GET", "/events"),
        ("POST", "/bulk"),
        ("POST", f"/{hold}/claim"),
        ("DELETE", f"/{hold}/claim"),
    ):
        answer = await room.ask(method, "key-self-only", path, said if path == "/bulk" else None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope_missing")


async def test_a_claim_is_shown_to_the_other_reviewers(room: Room, desk: Desk) -> None:
    """And not to who asked; it can be given back."""
    hold = (await bound(room, desk))["id"]
    mine = await room.ask("POST", "key-reviewer", f"/{hold}/claim")
    assert (mine.status_code, mine.json()["claimed_by"]) == (200, REVIEWER.id)

    other = await room.ask("POST", "key-reviewer-2", f"/{hold}/claim")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "claimed")
    (card,) = (await room.ask("GET", "key-reviewer-2", "")).json()["data"]
    assert card["claimed_by"] == REVIEWER.id
    (card,) = (await room.ask("GET", "key-staff", "")).json()["data"]
    assert card["claimed_by"] is None
    assert (await room.ask("DELETE", "key-reviewer", f"/{hold}/claim")).status_code == 204
    (card,) = (await room.ask("GET", "key-reviewer-2", "")).json()["data"]
    assert card["claimed_by"] is None
    assert (await room.ask("POST", "key-stranger", f"/{hold}/claim")).status_code == 404


class Connection:
    """A client of the stream, by hand: httpx's transport waits for the end of an answer."""

    def __init__(self, room: Room, key: str) -> None:
        self.heard = b""
        self.status = 0
        self._gone = asyncio.Event()
        self._more = asyncio.Event()
        self._sent = False
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/approvals/events",
            "raw_path": b"/v1/approvals/events",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("gateway", 80),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
            "asgi": {"version": "3.0"},
        }
        self.task = asyncio.create_task(room.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.heard += message["body"]
        self._more.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(LIMIT_S):
            while text not in self.heard:
                self._more.clear()
                await self._more.wait()

    async def close(self) -> None:
        self._gone.set()
        async with asyncio.timeout(LIMIT_S):
            await self.task


async def test_the_queue_is_heard_as_it_changes(room: Room, desk: Desk) -> None:
    """Over HTTP: what is filed comes, and its content does not."""
    one = Connection(room, "key-reviewer")
    await one.until(b'{"holds":0}')
    view = await desk.file()
    await one.until(view.hold.id.encode())
    await one.until(b'{"holds":1}')
    await one.close()

    assert one.status == 200
    assert CANARY.encode() not in one.heard


async def test_a_client_that_left_gives_its_place_back(room: Room) -> None:
    """However often one comes and goes, and a place too many is refused with a status."""
    for _ in range(2):
        some = [Connection(room, "key-reviewer") for _ in range(EACH_MAX)]
        for one in some:
            await one.until(b"event: current")
        answer = await room.ask("GET", "key-reviewer", "/events")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_listeners")
        for one in some:
            await one.close()

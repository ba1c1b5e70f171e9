"""`/v1/exchanges` as people ask it, over a ledger in which exchanges have run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx
from fastapi import FastAPI

from sekisho.model import evidence
from sekisho.model.decision import Effect, Obligations
from sekisho.model.principal import Principal, Scope
from sekisho.ports import Ledger, Log, Searches
from sekisho.web import acceptance, exchanges
from sekisho.web.callers import now_us
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import REVIEWER, ROBOT, STAFF, STRANGER, Desk
from support.holds import exchange as asked_now
from support.holds import outgoing as leaving

PEOPLE = {
    "key-staff": STAFF,
    "key-stranger": STRANGER,
    "key-reviewer": REVIEWER,
    "key-robot": ROBOT,
    "key-ask-only": replace(STAFF, scopes=frozenset({Scope.ASK})),
}
NOW_US = 1_795_521_600_000_000  # 2026-11-24T12:00:00Z
ASIDE = {"tokens": 500, "spend_micros": 90, "prices": "sha256:1", "groups": ["sales"]}


class Client:
    """Asks as somebody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, key: str, path: str = "", **params: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self.http.get(f"/v1/exchanges{path}", headers=headers, params=params)

    async def post(self, key: str, path: str, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self.http.post(f"/v1/exchanges{path}", headers=headers, **body)


@asynccontextmanager
async def served(desk: Desk, ledger: Ledger, clock: Callable[[], int]) -> AsyncIterator[Client]:
    """The routers over this ledger."""
    app = FastAPI(redirect_slashes=False)
    app.include_router(exchanges.router)
    app.include_router(acceptance.router)
    app.dependency_overrides[now_us] = clock
    doors = entrance(ledger)
    app.state.services = Services(
        *(desk.store, ledger, cast("Log", None), cast("Searches", None)),
        *(StaticDirectory(PEOPLE), doors, desk.limits),
        currency=lambda: "USD",
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Client(http)


async def ran(
    ledger: Ledger,
    principal: Principal = STAFF,
    tokens: int = 40,
    session: str = "s-1",
    status: str = "released",
    *,
    drafts_max: int | None = None,
) -> str:
    """A whole exchange of somebody, let through by policy; returns its id."""
    asked = asked_now()
    out = leaving(asked, principal, None)  # type: ignore[arg-type]
    allowed = replace(
        out.decision, effect=Effect.ALLOW, obligations=Obligations(drafts_max=drafts_max)
    )
    decided = evidence.decided(asked.id, principal.id, "request", allowed, b"{}")
    out = replace(out, decision=allowed, before=(out.before[0], decided))
    sent = evidence.intent(out, session, 1, None, charged=ASIDE)
    used = {"tokens": tokens, "spend_micros": 7}
    done = evidence.outcome(out, sent.id, status, None, {"finish": "stop"}, charged=used)
    await ledger.append([*out.before, sent])
    await ledger.append([done])
    return asked.id

"""Figures as people ask for them, over a running auditd and Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.model.principal import Principal, Role, Scope, Shown
from sekisho.web import approvals, figure_pages, figures, pages
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import REVIEWER, STAFF, Desk
from support.ledgers import Auditd, HeldExchange

AUDITOR = Principal("auditor-1", frozenset({Role.AUDITOR}), frozenset(), credential="k-a")
OPERATOR = Principal("operator-1", frozenset({Role.OPERATOR}), frozenset(), credential="k-o")
PEOPLE = {
    "key-staff": replace(STAFF, scopes=frozenset({Scope.ASK, Scope.SELF})),
    "key-reviewer": REVIEWER,
    "key-auditor": AUDITOR,
    "key-operator": OPERATOR,
    "key-auditor-asks": replace(AUDITOR, scopes=frozenset({Scope.ASK})),
    "key-auditor-reviews": replace(AUDITOR, scopes=frozenset({Scope.REVIEW})),
}


class Everywhere(StaticDirectory):
    """People by key, and by the cookie of their browser."""

    async def find(self, shown: Shown) -> Principal:
        return await super().find(replace(shown, secret=shown.secret or shown.session))


@dataclass
class Site:
    """The routers over a running auditd."""

    ledger: AuditdLedger
    http: httpx.AsyncClient

    async def get(self, key: str, **asked: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return await self.http.get("/v1/approvals/figures", params=asked, headers=headers)

    async def told(self, key: str, **asked: Any) -> dict[str, Any]:
        """The answer when everything was counted."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.get(key, **asked)
                if answer.status_code == 200:
                    found: dict[str, Any] = answer.json()
                    if found["indexed"] == found["size"]:
                        return found
                await asyncio.sleep(0.02)

    async def answered(self, reviewer: str, answer: str = "approve", times: int = 1) -> None:
        """Somebody answers that many holds."""
        for _ in range(times):
            held = HeldExchange()
            review = held.review(reviewer, answer)
            await self.ledger.append(held.filing())
            await self.ledger.append([review])

    async def page(self, key: str, **asked: Any) -> httpx.Response:
        headers = {"cookie": f"sekisho={key}"} if key else {}
        return await self.http.get("/approvals/figures", params=asked, headers=headers)


@asynccontextmanager
async def figure_site(desk: Desk, home: Path) -> AsyncIterator[Site]:
    """The routers and the page over an auditd in `home`."""
    auditd = Auditd(home)
    await auditd.start()
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    app = FastAPI(redirect_slashes=False)
    for router in (figures.router, approvals.router, figure_pages.router, pages.router):
        app.include_router(router)
    app.state.sign_in = SimpleNamespace(public_url="http://gateway", language="en")
    doors = entrance(ledger)
    directory = Everywhere(PEOPLE)
    app.state.services = Services(desk.store, ledger, ledger, ledger, directory, doors, desk.limits)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Site(ledger, http)
    await ledger.close()
    await auditd.end()

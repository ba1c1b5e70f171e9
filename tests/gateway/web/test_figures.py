"""Figures over HTTP with a real auditd: who sees whose, what is withheld, what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.model.principal import Principal, Role, Scope
from sekisho.web import approvals, figures
from sekisho.web.figures import NARROW_DECISIONS
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


@pytest.fixture
async def site(desk: Desk, tmp_path: Path) -> AsyncIterator[Site]:
    auditd = Auditd(tmp_path)
    await auditd.start()
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    app = FastAPI(redirect_slashes=False)
    for router in (figures.router, approvals.router):
        app.include_router(router)
    doors = entrance(ledger)
    directory = StaticDirectory(PEOPLE)
    app.state.services = Services(desk.store, ledger, ledger, ledger, directory, doors, desk.limits)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Site(ledger, http)
    await ledger.close()
    await auditd.end()


async def test_a_group_that_is_too_small_is_told_as_one(site: Site) -> None:
    """Four people answered: nobody is named, and their rule does not tell how they work."""
    for number in range(4):
        await site.answered(f"reviewer-{number}")
    found = await site.told("key-auditor")
    assert found["people"] is None
    assert found["people_min"] == 5
    assert found["total"]["decisions"] == 4
    assert found["total"]["median_s"] is not None
    [rule] = found["rules"]
    assert (rule["decisions"], rule["approval_rate"], rule["people"]) == (4, 1.0, None)
    assert rule["median_s"] is rule["under_5_s"] is rule["decisions_per_hour"] is None
    assert found["recorded"]["index"] > 0


async def test_a_group_that_is_large_enough_is_told_by_name(site: Site) -> None:
    """With the fifth they stand in it, those with most answers first; operators see it too."""
    for number in range(5):
        await site.answered(f"reviewer-{number}", times=1 + (number == 3))
    await site.answered("reviewer-3", "deny")
    found = await site.told("key-operator")
    assert found["people"][0]["person"] == "reviewer-3"
    assert found["people"][0]["approval_rate"] == round(2 / 3, 4)
    assert len(found["people"]) == 5
    assert found["rules"][0]["people"] == 5


async def test_reviewers_see_their_own_and_nothing_else(site: Site) -> None:
    """However few they are; an answer of a colleague changes nothing in it."""
    await site.answered(REVIEWER.id, "deny")
    await site.answered("reviewer-other", times=2)
    for asked in ({}, {"mine": True}):
        found = await site.told("key-reviewer", **asked)
        assert found["own"]["decisions"] == 1
        assert found["own"]["approval_rate"] == 0
        assert found["total"] is found["rules"] is found["people"] is found["recorded"] is None
    refused = await site.get("key-reviewer", mine=False)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_missing")


@pytest.mark.parametrize("key", ["key-staff", "key-auditor-asks"])
async def test_others_and_other_credentials_see_nothing(site: Site, key: str) -> None:
    """Who does not review has no figures; a credential of an auditor must be made for it."""
    refused = await site.get(key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")


async def test_an_auditors_key_for_reviewing_shows_their_own(site: Site) -> None:
    """A scope takes away what the role gives."""
    await site.answered("reviewer-other")
    found = await site.told("key-auditor-reviews")
    assert found["own"]["decisions"] == 0
    assert found["total"] is None


async def test_a_rule_that_is_nearly_always_approved_is_to_be_narrowed(site: Site) -> None:
    """From a hundred answers on, and above 95 in a hundred: at 95 it is not yet."""
    await site.answered("reviewer-1", "deny", times=5)
    await site.answered("reviewer-1", times=NARROW_DECISIONS - 6)
    [rule] = (await site.told("key-auditor"))["rules"]
    assert not rule["narrow"]  # 94 of 99
    await site.answered("reviewer-2")
    [rule] = (await site.told("key-auditor"))["rules"]
    assert (rule["approval_rate"], rule["narrow"]) == (0.95, False)
    await site.answered("reviewer-2")
    [rule] = (await site.told("key-auditor"))["rules"]
    assert rule["narrow"]


@pytest.mark.parametrize("days", [0, 367, "x"])
async def test_only_days_that_make_sense_are_asked_about(site: Site, days: object) -> None:
    """At most a year."""
    assert (await site.get("key-auditor", days=days)).status_code == 422

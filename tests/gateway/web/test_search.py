"""Search over HTTP with a real auditd: who may, what is told, and that it is on record."""

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
from sekisho.model.ids import uuid7
from sekisho.model.principal import Principal, Role, Scope
from sekisho.web.search import router
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import STAFF, Desk
from support.ledgers import STAFF as ASKED
from support.ledgers import Auditd, decision, intent, outcome, received

AUDITOR = Principal("auditor-1", frozenset({Role.AUDITOR}), frozenset(), credential="k-a")
PEOPLE = {
    "key-staff": STAFF,
    "key-auditor": AUDITOR,
    "key-auditor-asks": replace(AUDITOR, scopes=frozenset({Scope.ASK})),
}


@dataclass
class Site:
    """The router over a running auditd."""

    ledger: AuditdLedger
    http: httpx.AsyncClient

    async def get(self, path: str, key: str = "key-auditor", **asked: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self.http.get(f"/v1/audit/{path}", params=asked, headers=headers)

    async def ran(self, body: bytes, model: str = "small") -> str:
        """A whole exchange; returns its id."""
        exchange = uuid7()
        asked = received(exchange, body)
        asked = replace(asked, data={**asked.data, "model": model})
        sent = intent(exchange, self.ledger.session, body)
        await self.ledger.append([asked, decision(exchange), sent])
        await self.ledger.append([outcome(sent)])
        return exchange

    async def complete(self, path: str, **asked: Any) -> dict[str, Any]:
        """The answer when everything was read."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.get(path, **asked)
                if answer.status_code == 200:
                    found: dict[str, Any] = answer.json()
                    if found["completeness"]["indexed"] == found["completeness"]["size"]:
                        return found
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(desk: Desk, tmp_path: Path) -> AsyncIterator[Site]:
    auditd = Auditd(tmp_path)
    await auditd.start()
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    doors = entrance(ledger)
    directory = StaticDirectory(PEOPLE)
    app.state.services = Services(desk.store, ledger, ledger, ledger, directory, doors, desk.limits)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Site(ledger, http)
    await ledger.close()
    await auditd.end()


async def test_exchanges_are_found_by_what_happened_and_by_what_was_said(site: Site) -> None:
    """The condition on the model and the word stand in different events."""
    wanted = await site.ran("请检查身份证".encode(), "gpt-4")
    await site.ran("请检查身份证".encode(), "small")
    await site.ran("请检查合同".encode(), "gpt-4")
    found = await site.complete("search", q=f'principal:{ASKED} model:gpt-* "身份证"')
    [one] = found["data"]
    assert one["exchange"] == wanted
    assert one["principal"] == ASKED
    assert one["fields"]["status"] == ["released"]
    assert len(one["events"]) == 4
    assert found["after"] is None
    assert found["completeness"]["erased"] == 0


async def test_pages_and_counts_agree(site: Site) -> None:
    """Every exchange once, though searches add events of their own meanwhile."""
    made = {await site.ran(f"number {number}".encode()) for number in range(7)}
    counted = await site.complete("search/facets", q="effect:allow")
    assert counted["total"] == 7
    assert counted["fields"]["model"]["counts"] == {"small": 7}
    seen: list[str] = []
    after = ""
    while True:
        page = (await site.get("search", q="effect:allow", limit=3, after=after)).json()
        seen += [one["exchange"] for one in page["data"]]
        if page["after"] is None:
            break
        after = page["after"]
    assert len(seen) == 7
    assert set(seen) == made


async def test_a_search_is_found_by_the_next(site: Site) -> None:
    """Who looked for whom is for the next auditor to see."""
    first = await site.complete("search", q="effect:deny")
    found = await site.complete("search", q="type:audit.search actor:auditor-1")
    places = [one["events"][0] for one in found["data"]]
    assert first["recorded"]["index"] in places
    assert found["recorded"]["index"] > max(places)


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("key-staff", 403, "role_missing"),
        ("key-auditor-asks", 403, "scope_missing"),
        ("", 401, "invalid_api_key"),
    ],
)
async def test_only_auditors_search(site: Site, key: str, status: int, code: str) -> None:
    """And their key must have been made for it."""
    for path in ("search", "search/facets"):
        answer = await site.get(path, key, q="")
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"q": "efect:deny"}, "bad_query", "did you mean `effect:`?"),
        ({"q": "effect:maybe"}, "bad_query", "never 'maybe'"),
        ({"q": 'model:gpt-4 "open'}, "bad_query", "At character 13"),
        ({"q": "after:yesterday"}, "bad_query", "2026-03-01"),
        ({"q": "", "after": "17"}, "bad_cursor", "begin without one"),
    ],
)
async def test_a_slip_is_told_with_what_to_do(
    site: Site, asked: dict[str, str], code: str, said: str
) -> None:
    """Where it is, what is wrong, what was perhaps meant."""
    await site.complete("search", q="")
    answer = await site.get("search", **asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert said in answer.json()["error"]["message"]


async def test_what_was_said_does_not_come_back(site: Site) -> None:
    """A search finds places; content is another reading, with its own record."""
    await site.ran(b"the merger is called Blue Heron")
    found = await site.get("search", q='"Blue Heron"')
    found = await site.get("search", q='"Blue Heron"')
    assert "merger" not in found.text

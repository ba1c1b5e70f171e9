"""`/v1/audit`: an auditor reads the reason of an appeal, and that they did is on record before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.model import evidence
from sekisho.model.ids import uuid7
from sekisho.model.principal import Role, Scope
from sekisho.ports import Ledger, Log, Searches
from sekisho.web.appeals import router
from sekisho.web.services import Services
from sekisho_audit.verify import Verdict, verify
from support.entrances import StaticDirectory, entrance
from support.holds import REVIEWER, STAFF, STRANGER, Desk
from support.ledgers import Auditd
from support.memory_ledger import MemoryLedger

AUDITOR = replace(STRANGER, id="auditor-1", roles=frozenset({Role.AUDITOR}))
PEOPLE = {
    "key-auditor": AUDITOR,
    "key-staff": STAFF,
    "key-reviewer": REVIEWER,
    "key-operator": replace(AUDITOR, id="operator-1", roles=frozenset({Role.OPERATOR})),
    "key-narrow": replace(AUDITOR, scopes=frozenset({Scope.SELF})),
}
REASON = "Die Liste enthält keine Namen."


@asynccontextmanager
async def served(desk: Desk, ledger: Ledger) -> AsyncIterator[httpx.AsyncClient]:
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
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield http


async def ask(
    http: httpx.AsyncClient, exchange: str, key: str, query: str = "?purpose=audit"
) -> Any:
    path = f"/v1/audit/exchanges/{exchange}/appeals{query}"
    return await http.get(path, headers={"authorization": f"Bearer {key}"})


async def appealed(ledger: Ledger) -> str:
    exchange = uuid7()
    keys = await ledger.exchange_keys(STAFF.id, exchange)
    refused = evidence.refused(exchange, STAFF.id, "policy_denied", 403, "clear")
    appeal = evidence.appealed(exchange, STAFF.id, STAFF.id, REASON, keys.commit)
    await ledger.append([refused, appeal])
    return exchange


def reads(ledger: MemoryLedger) -> list[Any]:
    return [event for event in ledger.events if event.type == "record.read"]


async def test_an_auditor_reads_a_reason_and_is_on_record(desk: Desk, ledger: MemoryLedger) -> None:
    """With who, whose, what and why; the receipt of it comes with the answer."""
    exchange = await appealed(ledger)
    async with served(desk, ledger) as http:
        answer = await ask(http, exchange, "key-auditor")
    found = answer.json()
    assert answer.status_code == 200
    assert (found["principal"], found["exchange"]) == (STAFF.id, exchange)
    assert [(one["by"], one["reason"]) for one in found["data"]] == [(STAFF.id, REASON)]
    [noted] = reads(ledger)
    assert (noted.actor, noted.principal, noted.exchange) == ("auditor-1", STAFF.id, exchange)
    assert noted.data == {"purpose": "audit", "part": "appeal"}
    assert found["read"]["index"] == ledger.events.index(noted)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("key-staff", "role_missing"),
        ("key-reviewer", "role_missing"),
        ("key-operator", "role_missing"),
        ("key-narrow", "scope_missing"),
    ],
)
async def test_nobody_else_does(desk: Desk, ledger: MemoryLedger, key: str, code: str) -> None:
    """Neither who runs the gateway, nor the reviewer, nor a key made for less."""
    exchange = await appealed(ledger)
    async with served(desk, ledger) as http:
        answer = await ask(http, exchange, key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
    assert REASON not in answer.text
    assert reads(ledger) == []


@pytest.mark.parametrize("query", ["", "?purpose=", "?purpose=curiosity"])
async def test_without_a_purpose_nothing_is_read(
    desk: Desk, ledger: MemoryLedger, query: str
) -> None:
    """It is what the record says of the reading."""
    exchange = await appealed(ledger)
    async with served(desk, ledger) as http:
        answer = await ask(http, exchange, "key-auditor", query)
    assert answer.status_code in {400, 422}
    assert reads(ledger) == []


@pytest.mark.parametrize("exchange", ["x", "01a20f81-a212-7f7b-a628-e67dcbea3ff2"])
async def test_what_is_not_there_is_not_there(
    desk: Desk, ledger: MemoryLedger, exchange: str
) -> None:
    """And an exchange without an appeal has nothing to read here."""
    async with served(desk, ledger) as http:
        assert (await ask(http, exchange, "key-auditor")).status_code == 404
    assert reads(ledger) == []


@pytest.mark.parametrize("lost", ["lose_before", "lose_after"])
async def test_without_the_record_nothing_is_shown(
    desk: Desk, ledger: MemoryLedger, lost: str
) -> None:
    """Not written, or written and the reply was lost: 503, and no reason."""
    exchange = await appealed(ledger)
    setattr(ledger, lost, 1)
    async with served(desk, ledger) as http:
        answer = await ask(http, exchange, "key-auditor")
    assert answer.status_code == 503
    assert REASON not in answer.text


async def test_the_same_with_a_real_ledger(desk: Desk, tmp_path: Path) -> None:
    """Opened by auditd for a recorded reading, which the person sees; sound afterwards."""
    auditd = Auditd(tmp_path)
    await auditd.start()
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    exchange = await appealed(ledger)
    async with served(desk, ledger) as http, asyncio.timeout(20):
        while (answer := await ask(http, exchange, "key-auditor")).status_code != 200:
            await asyncio.sleep(0.05)
        assert answer.json()["data"][0]["reason"] == REASON
        shown: Any = {"reads": []}
        while not shown["reads"]:
            shown = await ledger.exchange(STAFF.id, exchange)
    assert [(line["by"], line["part"]) for line in shown["reads"]] == [("auditor-1", "appeal")]
    await ledger.close()
    await auditd.end()
    report = verify(auditd.ledger)
    assert (report.verdict, report.types["record.read"]) == (Verdict.SOUND, 1)

"""Figures on the socket of a real auditd: everybody's are on record, one's own are one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.wire import pack_events
from support.audit_searches import AUDITOR, ask, searches
from support.ledgers import REVIEWER, Auditd, HeldExchange
from support.sockets import Client


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


@pytest.fixture
async def client(auditd: Auditd) -> AsyncIterator[Client]:
    made = Client(*await asyncio.open_unix_connection(auditd.socket))
    yield made
    await made.close()


async def answered(client: Client) -> None:
    """One hold, approved by the reviewer."""
    held = HeldExchange()
    review = held.review()
    for events in (held.filing(), [review, held.settled([review])]):
        packed, blobs = pack_events(events)
        reply = await client.ask({"op": "append", "events": packed}, blobs)
        assert reply is not None
        assert "places" in reply[0]


async def test_figures_of_everybody_are_on_record_when_they_are_told(
    auditd: Auditd, client: Client
) -> None:
    """Who asked, and how many answers were counted; people stand under their ids."""
    await answered(client)
    found = await ask(client, {"op": "figures", "since_us": 0, "people_min": 1})
    assert found["total"]["decisions"] == 1
    assert list(found["people"]) == [REVIEWER]
    [leaf] = searches(auditd.ledger)
    assert leaf["n"] == found["recorded"]["index"]
    assert leaf["data"] == {"kind": "figures", "found": 1, "indexed": found["indexed"]}


async def test_ones_own_figures_need_no_record(auditd: Auditd, client: Client) -> None:
    """They hold nothing of anybody else."""
    await answered(client)
    own = {"op": "own_figures", "since_us": 0}
    assert (await ask(client, {**own, "principal": REVIEWER}))["own"]["decisions"] == 1
    assert (await ask(client, {**own, "principal": AUDITOR}))["own"]["decisions"] == 0
    assert searches(auditd.ledger) == []


@pytest.mark.parametrize(
    "message",
    [
        {"op": "figures", "since_us": -1, "people_min": 5},
        {"op": "figures", "since_us": 0, "people_min": 0},
        {"op": "figures", "since_us": "0", "people_min": 5},
        {"op": "own_figures", "since_us": 0},
        {"op": "own_figures", "since_us": 2**62, "principal": "p"},
    ],
)
async def test_malformed_questions_end_their_connection(
    client: Client, message: dict[str, Any]
) -> None:
    """No client of ours sends them."""
    answer = await client.ask({"actor": AUDITOR, **message})
    assert answer is not None
    assert answer[0]["error"] == "malformed"

"""Searching on the socket of a real auditd: nothing is told before it is on record who asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.query import QUERY_CHARS_MAX
from sekisho_audit.wire import pack_events
from support.audit_searches import AUDITOR, ask, searches
from support.ledgers import ORIGIN, STAFF, Auditd, open_ledger, received
from support.sockets import Client, serving


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


async def test_a_search_is_on_record_when_it_is_answered(auditd: Auditd, client: Client) -> None:
    """Who, how much was told, and the query as a payload and nowhere else."""
    exchange = uuid7()
    packed, blobs = pack_events([received(exchange, "身份证 of 合同".encode())])
    assert await client.ask({"op": "append", "events": packed}, blobs)
    query = f'principal:{STAFF} "身份证"'
    answer = await ask(client, {"op": "search", "query": query, "limit": 5})
    assert [found["exchange"] for found in answer["data"]] == [exchange]
    [leaf] = searches(auditd.ledger)
    assert leaf["n"] == answer["recorded"]["index"]
    assert leaf["data"] == {"kind": "page", "found": 1, "indexed": answer["indexed"]}
    assert [entry["name"] for entry in leaf["pl"]] == ["query"]
    assert leaf["pl"][0]["len"] == len(query.encode())
    assert leaf["actor"].startswith("p-")
    raw = b"".join(path.read_bytes() for path in (auditd.ledger / "events").iterdir())
    assert STAFF.encode() not in raw
    assert "身份证".encode() not in raw


async def test_counts_are_recorded_too(auditd: Auditd, client: Client) -> None:
    """Asking how many there are is asking."""
    answer = await ask(client, {"op": "facets", "query": "type:audit.boot"})
    assert answer["total"] == 1
    [leaf] = searches(auditd.ledger)
    assert leaf["data"]["kind"] == "facets"
    assert leaf["data"]["found"] == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"op": "search", "query": "effect:maybe", "limit": 5}, "bad_query"),
        ({"op": "search", "query": "x" * (QUERY_CHARS_MAX + 1), "limit": 5}, "bad_query"),
        ({"op": "search", "query": "", "limit": 0}, "bad_request"),
        ({"op": "search", "query": "", "limit": 5, "after": "zz"}, "bad_cursor"),
        ({"op": "search", "query": "", "limit": 5, "actor": ""}, "bad_event"),
        ({"op": "facets", "query": "x:y"}, "bad_query"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    client: Client, message: dict[str, Any], code: str
) -> None:
    """The connection goes on."""
    assert (await ask(client, message))["error"] == code
    assert (await ask(client, {"op": "facets", "query": ""}))["total"] >= 1


@pytest.mark.parametrize(
    "message",
    [
        {"op": "search", "query": 7, "limit": 5},
        {"op": "search", "query": "", "limit": True},
        {"op": "search", "query": "", "limit": 5, "actor": None},
        {"op": "facets"},
    ],
)
async def test_malformed_searches_end_their_connection(
    client: Client, message: dict[str, Any]
) -> None:
    """No client of ours sends them."""
    answer = await client.ask({"actor": AUDITOR, **message})
    assert answer is not None
    assert answer[0]["error"] == "malformed"


async def test_nobody_writes_a_record_of_a_search_by_hand(client: Client) -> None:
    """A worker cannot say that somebody searched, or what was found."""
    forged = {"id": uuid7(), "type": "audit.search", "exchange": None, "principal": None}
    forged |= {"actor": AUDITOR, "data": {"kind": "page", "found": 0, "indexed": 1}, "pl": []}
    answer = await client.ask({"op": "append", "events": [forged]})
    assert answer is not None
    assert answer[0]["error"] == "reserved_type"


async def test_without_an_index_searches_are_refused(tmp_path: Path) -> None:
    """And everything else works."""
    async with serving(open_ledger(tmp_path), tmp_path / "s.sock") as socket:
        client = Client(*await asyncio.open_unix_connection(socket))
        answer = await client.ask({"op": "facets", "query": "", "actor": AUDITOR})
        assert answer is not None
        assert answer[0]["error"] == "busy"
        status = await client.ask({"op": "status"})
        assert status is not None
        assert status[0]["status"]["origin"] == ORIGIN
        await client.close()

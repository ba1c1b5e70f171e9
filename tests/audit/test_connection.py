"""Odd questions end their own connection and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support.ledgers import Auditd
from support.sockets import Client


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def connect(auditd: Auditd) -> AsyncIterator[Connect]:
    """Opens connections that are closed in the end."""
    opened: list[Client] = []

    async def made() -> Client:
        opened.append(Client(*await asyncio.open_unix_connection(auditd.socket)))
        return opened[-1]

    yield made
    for client in opened:
        await client.close()


@pytest.mark.parametrize(
    "message",
    [
        {"op": "nothing"},
        {"op": ["log"]},
        {"op": "log"},
        {"op": "log", "path": 1},
        {"op": "proofs"},
        {"op": "proofs", "indices": 3},
        {"op": "proofs", "indices": ["1"]},
        {"op": "proofs", "indices": [True]},
        {"op": "status", "req": "1"},
    ],
)
async def test_a_malformed_question_ends_its_connection(
    connect: Connect, message: dict[str, Any]
) -> None:
    other = await connect()
    one = await connect()
    answer = await one.ask(message)
    assert answer is not None
    assert answer[0]["error"] == "malformed"
    assert await one.ask({"op": "status"}) is None
    assert await other.ask({"op": "status"}) is not None

"""Questions about exchanges and the published log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.checkpoint import VerifierKey, open_note
from sekisho_audit.log_desk import PROOFS_MAX
from support.ledgers import Auditd, HeldExchange, open_ledger
from support.sockets import LIMIT_S, Client, ask, serving


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[str]:
    """A served ledger with a few holds."""
    ledger = open_ledger(tmp_path)
    for _ in range(4):
        ledger.append_batch(HeldExchange(body=b"x" * 1_000).filing())
    async with serving(ledger, tmp_path / "s.sock") as socket:
        yield socket


@pytest.mark.parametrize(
    "message",
    [
        {"op": "exchanges", "principal": "p"},
        {"op": "exchanges", "principal": "p", "limit": True},
        {"op": "exchanges", "principal": 7, "limit": 1},
        {"op": "exchanges", "principal": "p", "limit": 1, "before": 7},
        {"op": "exchange", "principal": "p"},
        {"op": "exchange", "principal": None, "exchange": "x"},
    ],
)
async def test_malformed_questions_about_history(path: str, message: dict[str, Any]) -> None:
    """Nothing of another type than it must be gets as far as the index."""
    answers = await ask(path, message)
    assert answers[0]["error"] == "malformed"


@pytest.mark.parametrize(
    ("before", "limit"), [("", 0), ("", 101), ("", -1), ("-1", 5), ("1e3", 5), ("9" * 17, 5)]
)
async def test_strange_pages_are_refused(path: str, before: str, limit: int) -> None:
    """A cursor is a number we gave, a page has a hundred at most."""
    message = {"op": "exchanges", "principal": "p", "before": before, "limit": limit}
    answers = await ask(path, message, {"op": "status"})
    assert answers[0]["error"] == "bad_request"
    assert "status" in answers[1]


async def test_without_an_index_there_is_no_history(path: str) -> None:
    """Said at once; everything else works."""
    answers = await ask(
        path, {"op": "exchange", "principal": "p", "exchange": "x"}, {"op": "status"}
    )
    assert answers[0]["error"] == "busy"
    assert "status" in answers[1]


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
    ("message", "code"),
    [
        ({"op": "proofs", "indices": [0] * (PROOFS_MAX + 1)}, "bad_request"),
        ({"op": "log", "path": "vkey"}, "no_tile"),
        ({"op": "log", "path": "tile/7/999"}, "no_tile"),
        ({"op": "proofs", "indices": [10**12]}, "no_tile"),
        ({"op": "proofs", "indices": [-(2**62)]}, "no_tile"),
    ],
)
async def test_what_is_not_there_is_refused_and_the_connection_goes_on(
    connect: Connect, message: dict[str, Any], code: str
) -> None:
    client = await connect()
    async with asyncio.timeout(LIMIT_S):
        while True:
            answer = await client.ask(dict(message))
            assert answer is not None
            if answer[0]["error"] != "busy":
                break
    assert answer[0]["error"] == code


async def test_the_log_is_asked_for_file_by_file(auditd: Auditd, connect: Connect) -> None:
    key = VerifierKey.parse((auditd.ledger / "vkey").read_text().strip())
    client = await connect()
    async with asyncio.timeout(LIMIT_S):
        while (answer := await client.ask({"op": "log", "path": "checkpoint"})) is not None:
            if "error" not in answer[0]:
                break
    assert answer is not None
    assert open_note(answer[1][0], key).size >= 1

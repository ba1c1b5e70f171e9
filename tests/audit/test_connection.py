"""What a client may ask on auditd's socket: odd questions end their own connection and no other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.checkpoint import VerifierKey, open_note
from sekisho_audit.log_desk import PROOFS_MAX
from sekisho_audit.wire import Splitter, encode, pack_events
from support.ledgers import Auditd, decision, intent, received

LIMIT_S = 20.0
Answer = tuple[dict[str, Any], list[bytes]]


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._splitter = Splitter()
        self._found: list[Answer] = []

    async def ask(self, message: dict[str, Any], blobs: list[bytes] | None = None) -> Answer | None:
        """The next answer, or None when the other end hung up."""
        self._writer.write(encode({"req": 1, **message}, blobs or ()))
        async with asyncio.timeout(LIMIT_S):
            while not self._found:
                data = b""
                with contextlib.suppress(ConnectionError):
                    data = await self._reader.read(65_536)
                if not data:
                    return None
                self._found += self._splitter.feed(data)
        return self._found.pop(0)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


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


async def test_an_intent_is_answered_with_a_note_that_covers_it(
    auditd: Auditd, connect: Connect
) -> None:
    """And only an intent: a signature costs as much as the rest of an append."""
    key = VerifierKey.parse((auditd.ledger / "vkey").read_text().strip())
    client = await connect()
    session, exchange = uuid7(), uuid7()
    assert await client.ask({"op": "hello", "session": session, "pid": 1})
    packed, blobs = pack_events([received(exchange), decision(exchange)])
    plain = await client.ask({"op": "append", "events": packed}, blobs)
    packed, blobs = pack_events([intent(exchange, session)])
    sent = await client.ask({"op": "append", "events": packed}, blobs)
    assert plain is not None
    assert sent is not None
    assert "note" not in plain[0]
    [place] = sent[0]["places"]
    assert open_note(sent[0]["note"].encode(), key).size > place[0]

"""After an erasure no file holds text or key, and whoever looks for what is gone is told so."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import LedgerRefused
from sekisho.model.ids import uuid7
from sekisho_audit import erasure
from sekisho_audit.canon import decode
from sekisho_audit.disclosure import ERASED, NOT_KEPT, OPEN, items_of, opened
from sekisho_audit.events import Payload
from sekisho_audit.index_postgres import URL_VARIABLE, PostgresDatabase
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import (
    CANARY,
    STAFF,
    Auditd,
    HeldExchange,
    decision,
    intent,
    open_ledger,
    outcome,
    received,
)
from support.officers import OFFICER, SECOND, appoint, ask, in_office
from support.postgres import Postgres, postgres
from support.raw_reading import holding, keys_of

OTHER = "staff-8@ledger.example"
THEIRS = b"canary-8842: another text that must be there still"
ERASE = {"op": "erase", "principal": STAFF, "purpose": "they left", "ticket": "T-1"}


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


@pytest.fixture
async def client(auditd: Auditd) -> AsyncIterator[AuditdLedger]:
    """A worker that has asked something for two people."""
    made = AuditdLedger(auditd.socket)
    await made.start()
    for principal, body in ((STAFF, CANARY), (OTHER, THEIRS)):
        exchange = uuid7()
        sent = intent(exchange, made.session, body)
        began = [received(exchange, body), decision(exchange), sent]
        await made.append([replace(event, principal=principal) for event in began])
        await made.append([replace(outcome(sent, body=body), principal=principal)])
        if principal == STAFF:
            await made.append(HeldExchange().filing())
            assert (await made.exchanges(STAFF, "", 10)).data
            await made.exchange_keys(STAFF, exchange)
    yield made
    await made.close()


def leaves(auditd: Auditd) -> list[dict[str, Any]]:
    return [
        decode(frame.body)
        for part in segments(auditd.ledger, EVENTS)
        for frame in frames(part, EVENTS)
    ]


async def test_nothing_of_somebody_is_left(
    auditd: Auditd, client: AuditdLedger, tmp_path: Path
) -> None:
    """No text, no key, no name in any file; the ledger verifies; others have all of theirs."""
    secret, keys = appoint(tmp_path), keys_of(tmp_path, STAFF)
    (answer, _), *_ = await ask(auditd, secret, ERASE)
    report = answer["erasure"]
    assert report["left"] == {}
    assert report["named"] == []
    assert (report["keys"], report["rows"]["history.db"]) == (len(keys), 2)
    assert report["samples"] > 0
    assert report["scanned"] > 10_000
    for text in (
        CANARY,
        STAFF.encode(),
        *keys.values(),
        *(k.hex().encode() for k in keys.values()),
    ):
        assert holding(tmp_path, text) == []
    assert (await client.exchanges(STAFF, "", 10)).data == []
    assert len((await client.exchanges(OTHER, "", 10)).data) == 1
    assert keys_of(tmp_path, STAFF) == {}
    assert keys_of(tmp_path, OTHER)
    await auditd.end()
    assert verify(auditd.ledger).verdict is Verdict.SOUND
    # Also of what SQLite wrote at its end.
    assert holding(tmp_path / "data" / "index", report["pseudonym"].encode()) == []


async def test_what_was_erased_is_told_so(
    auditd: Auditd, client: AuditdLedger, tmp_path: Path
) -> None:
    """Whoever wants it disclosed later, or holds a key to it, learns that it is gone."""
    exchange = next(leaf["exchange"] for leaf in leaves(auditd) if leaf["exchange"])
    secret = appoint(tmp_path)
    (_, _), told = await ask(
        auditd,
        secret,
        ERASE,
        {"op": "disclose", "exchanges": [exchange], "purpose": "p", "ticket": "t"},
    )
    answer, blobs = told
    assert blobs == []
    assert {one["state"] for one in answer["payloads"]} == {ERASED, NOT_KEPT}
    with pytest.raises(LedgerRefused) as error:
        await client.exchange_keys(STAFF, exchange)
    assert error.value.code == "erased"
    assert client.connected


async def test_a_backup_of_the_data_does_not_bring_it_back(
    auditd: Auditd, client: AuditdLedger, tmp_path: Path
) -> None:
    """With the keys of today nothing of it opens; with those of that day it does."""
    assert client.connected
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "data", old / "data", ignore=shutil.ignore_patterns("*.sock"))
    shutil.copytree(tmp_path / "keys", old / "keys")
    await ask(auditd, appoint(tmp_path), ERASE)
    await auditd.end()
    shutil.copytree(old / "data", tmp_path / "restored" / "data")
    shutil.copytree(tmp_path / "keys", tmp_path / "restored" / "keys")
    # It says that the data is an old copy, and would not let us look.
    (tmp_path / "restored" / "keys" / "last-signed").unlink()
    assert _opened(tmp_path / "restored") == {THEIRS}
    assert _opened(old) == {CANARY, THEIRS, b"record:" + CANARY}


def _opened(home: Path) -> set[bytes]:
    """All texts that a directory of data gives with the keys beside it."""
    ledger = open_ledger(home)
    found = {
        one.content
        for part in segments(ledger.directory, EVENTS)
        for frame in frames(part, EVENTS)
        for one in opened(ledger.directory, items_of([decode(frame.body)]), ledger.secret_of)
        if one.state == OPEN
    }
    ledger.close()
    return found


async def test_a_file_of_keys_that_was_left_by_a_crash_goes_too(
    auditd: Auditd, client: AuditdLedger, tmp_path: Path
) -> None:
    """`.new` and `.cut` beside it, and an index that nobody serves."""
    assert client.connected
    path = tmp_path / "keys" / "principals.keys"
    for name in ("principals.keys.new", "principals.keys.cut"):
        shutil.copy(path, path.with_name(name))
    unserved = tmp_path / "data" / "index" / "other.db"
    for name in ("other.db", "other.db-wal"):
        unserved.with_name(name).write_bytes(CANARY)
    [(answer, _)] = await ask(auditd, appoint(tmp_path), ERASE)
    assert answer["erasure"]["left"] == {}
    assert sorted(one.name for one in path.parent.glob("principals.keys*")) == [path.name]
    assert not list(unserved.parent.glob("other.db*"))


async def test_what_is_left_is_told(auditd: Auditd, client: AuditdLedger, tmp_path: Path) -> None:
    """Somebody keeps copies in the directories: the report says which file has what."""
    assert client.connected
    keys = keys_of(tmp_path, STAFF)
    [(month, key)] = keys.items()
    note = tmp_path / "data" / "notes.txt"
    note.write_bytes(bytes(300_000) + b"x" + CANARY + STAFF.encode())
    backup = tmp_path / "keys" / "backup"
    backup.write_bytes(key + STAFF.encode())
    [(answer, _)] = await ask(auditd, appoint(tmp_path), ERASE)
    left = answer["erasure"]["left"]
    assert left.pop(f"key {month}") == [str(backup)]
    assert left.pop("name") == [str(backup)]
    assert set().union(*left.values()) == {str(note)}
    assert all(name.startswith("text ") for name in left)
    assert answer["erasure"]["named"] == [str(note)]


async def test_an_erasure_that_was_cut_off_is_finished_by_the_next_start(tmp_path: Path) -> None:
    """Rows, keys and the record of it, though nobody asks again."""
    auditd = Auditd(tmp_path)
    await auditd.start()
    client = AuditdLedger(auditd.socket)
    await client.start()
    await client.append([received(uuid7())])
    assert (await client.exchanges(STAFF, "", 10)).data
    await client.close()
    await auditd.end()
    ledger = open_ledger(tmp_path)
    why = (Payload("purpose", b"p", b"p"), Payload("ticket", b"t", b"t"))
    in_office(ledger, OFFICER)
    begun = erasure.begin(ledger, STAFF, (OFFICER,), why)
    ledger.close()
    await auditd.start()
    async with asyncio.timeout(20):
        while not [leaf for leaf in leaves(auditd) if leaf["type"] == "erasure.done"]:
            await asyncio.sleep(0.05)
    _, said = await auditd.end()
    assert "finished an erasure (restart): 1 keys" in said
    assert keys_of(tmp_path, STAFF) == {}
    with sqlite3.connect(tmp_path / "data" / "index" / "history.db") as rows:
        found = rows.execute("SELECT count(*) FROM exchanges").fetchone()
    rows.close()
    assert found == (0,)
    assert begun.begun
    assert verify(auditd.ledger).verdict is Verdict.SOUND


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


async def test_an_index_out_of_reach_keeps_an_erasure_open(
    tmp_path: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys go at once, but nobody is told that all is done before the rows are gone too. The
    file that kept the index before PostgreSQL did goes as well.
    """
    before = tmp_path / "data" / "index" / "search.db"
    monkeypatch.setenv(URL_VARIABLE, server.url)
    auditd = Auditd(tmp_path)
    await auditd.start()
    secret = appoint(tmp_path)
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(PostgresDatabase(server.url).indexed):
            await asyncio.sleep(0.05)
    before.write_bytes(b"rows of somebody")
    server.stop()
    client = AuditdLedger(auditd.socket)
    await client.start()
    await client.append([received(uuid7())])
    await client.close()
    (refused,) = await ask(auditd, secret, ERASE)
    assert refused.code == "busy"
    assert "keys are destroyed" in str(refused)
    assert keys_of(tmp_path, STAFF) == {}
    assert not [leaf for leaf in leaves(auditd) if leaf["type"] == "erasure.done"]
    await asyncio.to_thread(server.start)
    await auditd.end()
    await auditd.start()
    async with asyncio.timeout(40):
        while not [leaf for leaf in leaves(auditd) if leaf["type"] == "erasure.done"]:
            await asyncio.sleep(0.05)
    await auditd.end()
    assert not before.exists()
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def test_one_officer_is_not_two(auditd: Auditd, client: AuditdLedger, tmp_path: Path) -> None:
    """Refusals are told by their codes, and leave the person whole."""
    secret = appoint(tmp_path, OFFICER, ["disclose", "erase"])
    appoint(tmp_path, SECOND, ["erase"])
    own = {**ERASE, "principal": OFFICER}
    second = {**ERASE, "principal": SECOND}
    nobody = {**ERASE, "principal": "nobody"}
    found = await ask(auditd, secret, own, second, nobody, {**ERASE, "principal": ""})
    codes = [error.code for error in found]
    assert codes == ["still_officer", "still_officer", "not_found", "bad_request"]
    assert client.connected
    assert len((await client.exchanges(STAFF, "", 10)).data) == 2

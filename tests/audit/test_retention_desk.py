"""A running auditd ends what is over, leaves no text of it anywhere, and all else as it was."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import LedgerRefused
from sekisho.model.ids import uuid7
from sekisho_audit import retention_run
from sekisho_audit.disclosure import EXPIRED, NOT_KEPT, OPEN
from sekisho_audit.errors import Refused
from sekisho_audit.events import Payload
from sekisho_audit.form import epochs_of
from sekisho_audit.history_file import remove
from sekisho_audit.index_file import SqliteDatabase
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.retention import KEEP, parse
from sekisho_audit.retention_desk import RetentionDesk
from sekisho_audit.verify import verify
from support.clocks import Clock, ledger_at
from support.ledgers import (
    STAFF,
    Auditd,
    HeldExchange,
    decision,
    intent,
    open_ledger,
    outcome,
    received,
)
from support.officers import OFFICER, appoint, ask, in_office
from support.raw_reading import holding, keys_of, leaves

DAY_MS = 86_400_000
OLD = b"canary-4411: an old text that nobody may read any more"
REASON = b"reviewer's words that are kept for seven years"
YOUNG = b"canary-9931: a text of today"
LONG = ("--retention", "content=keep,input=keep,reason=keep,query=keep")
SHORT = ("--retention", "content=180,input=keep,reason=keep,query=keep")


def days_ago(days: int) -> str:
    return uuid7(time.time_ns() // 1_000_000 - days * DAY_MS)


async def findable(auditd: Auditd, secret: str, query: str) -> None:
    """Wait until the index has come so far that this finds one exchange."""
    async with asyncio.timeout(60):
        while True:
            [(found, _)] = await ask(auditd, secret, {"op": "search", "query": query, "limit": 10})
            if len(found["data"]) == 1:
                return
            await asyncio.sleep(0.05)


async def written(home: Path) -> str:
    """An old exchange with all classes, and a young one; returns the old one's id."""
    auditd = Auditd(home, *LONG)
    await auditd.start()
    await applied(auditd, "keep")  # until it is on record, the ceilings are those of no settings
    client = AuditdLedger(auditd.socket)
    await client.start()
    held = HeldExchange(exchange=days_ago(240), body=OLD)
    await client.append(held.filing())
    review = replace(held.review(), payloads=(Payload("reason", REASON, REASON),))
    await client.append([review, held.settled([review])])
    facts = Payload("input", b'{"facts": 4411}', b'{"facts": 4411}')
    young = uuid7()
    sent = intent(young, client.session, YOUNG)
    asked = replace(decision(young), payloads=(facts,))
    await client.append([received(young, YOUNG), asked, sent])
    await client.append([outcome(sent, body=YOUNG)])
    secret = appoint(home)
    await findable(auditd, secret, '"old text"')
    await client.close()
    await auditd.end()
    return held.exchange


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    home = tmp_path_factory.mktemp("old")
    return home, asyncio.run(written(home))


@pytest.fixture
def old(prepared: tuple[Path, str], tmp_path: Path) -> str:
    home, exchange = prepared
    for folder in ("data", "keys"):
        shutil.copytree(home / folder, tmp_path / folder)
    return exchange


@pytest.fixture
async def auditd(tmp_path: Path, old: str) -> AsyncIterator[Auditd]:
    """The same ledger under a ceiling that the old exchange is beyond."""
    assert old
    made = Auditd(tmp_path, *SHORT)
    await made.start()
    yield made
    await made.end()
    assert verify(made.ledger).verdict is Verdict.SOUND


async def applied(auditd: Auditd, days: int | str = 180) -> dict[str, Any]:
    """The record of the run that a start makes by itself, with this ceiling of content."""
    async with asyncio.timeout(20):
        while True:
            found = [leaf for leaf in leaves(auditd.ledger) if leaf["type"] == "retention.applied"]
            if found and found[-1]["data"]["classes"][0]["days"] == days:
                return found[-1]
            await asyncio.sleep(0.05)


async def test_of_a_dead_class_nothing_is_left(old: str, tmp_path: Path) -> None:
    """No key and no text in any file; other classes and other months open as before."""
    keys = keys_of(tmp_path, STAFF)
    auditd = Auditd(tmp_path, *SHORT)
    await auditd.start()
    leaf = await applied(auditd)
    [row, *others] = leaf["data"]["classes"]
    assert (row["class"], row["days"], row["keys"], row["held"]) == ("content", 180, 1, 0)
    assert [(one["days"], one["keys"]) for one in others] == [(KEEP, 0)] * 3
    assert leaf["data"]["texts"] == 1
    left = keys_of(tmp_path, STAFF)
    [dead] = keys.keys() - left.keys()
    assert "/" not in dead
    assert {where: keys[where] for where in left} == left
    assert {where.partition("/")[2] for where in left} == {"", "input", "reason"}
    for text in (OLD, keys[dead], keys[dead].hex().encode()):
        assert holding(tmp_path, text) == []
    secret = appoint(tmp_path)
    await findable(auditd, secret, '"seven years"')
    why = {"op": "disclose", "purpose": "p", "ticket": "t"}
    (answer, blobs), (found, _), (gone, _) = await ask(
        auditd,
        secret,
        {**why, "exchanges": [old]},
        {"op": "search", "query": '"seven years"', "limit": 10},
        {"op": "search", "query": '"old text"', "limit": 10},
    )
    told = {
        one["name"]: (one["state"], one.get("class"), one.get("days")) for one in answer["payloads"]
    }
    assert told["prompt"] == told["hold"] == (EXPIRED, "content", 180)
    assert told["outgoing"][0] == NOT_KEPT
    assert told["reason"] == (OPEN, None, None)
    assert blobs == [REASON]
    assert len(found["data"]) == 1
    # It says that there is something it could not look into.
    assert (gone["data"], gone["erased"]) == ([], 1)
    _, said = await auditd.end()
    assert "retention destroyed 1 keys and took 1 texts" in said
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def test_an_index_that_is_built_anew_says_the_same(auditd: Auditd, tmp_path: Path) -> None:
    """What was taken out is not put in again, and is counted alike."""
    await applied(auditd)
    secret = appoint(tmp_path)
    questions = [
        {"op": "search", "query": query, "limit": 10}
        for query in ('"old text"', '"seven years"', "type:hold.filed", '-"old text"')
    ]
    before = await ask(auditd, secret, *questions)
    await auditd.end()
    remove(tmp_path / "data" / "index" / "search.db")
    await auditd.start()
    after = await ask(auditd, secret, *questions)
    for (one, _), (other, _) in zip(before, after, strict=True):
        assert [found["exchange"] for found in one["data"]] == [
            found["exchange"] for found in other["data"]
        ]
        assert one["erased"] == other["erased"]


async def test_the_second_start_has_nothing_to_do(auditd: Auditd) -> None:
    """A day without anything that is over leaves no event."""
    await applied(auditd)
    await auditd.end()
    await auditd.start()
    await asyncio.sleep(0.3)
    await auditd.end()
    kinds = [leaf["type"] for leaf in leaves(auditd.ledger)]
    assert kinds.count("retention.begun") == kinds.count("retention.applied") == 2
    await auditd.start()


@pytest.mark.parametrize("step", ["begun", "destroyed"])
async def test_a_run_that_was_cut_off_is_finished_by_the_next_start(
    old: str, tmp_path: Path, step: str
) -> None:
    """Keys, texts of the index and the record of it, though the ceiling is a longer one by then."""
    ledger = open_ledger(tmp_path)
    run = retention_run.begin(ledger, parse(SHORT[1]), time.time_ns() // 1000)
    assert run is not None
    if step == "destroyed":
        assert len(retention_run.destroy(ledger, run).due.keys) == 1
    ledger.close()
    auditd = Auditd(tmp_path, *LONG)
    await auditd.start()
    async with asyncio.timeout(20):
        while not [one for one in leaves(auditd.ledger) if one["data"].get("begun") == run.begun]:
            await asyncio.sleep(0.05)
    [done] = [one for one in leaves(auditd.ledger) if one["data"].get("begun") == run.begun]
    assert done["data"]["cause"] == "restart"
    assert done["data"]["texts"] == 1
    await auditd.end()
    [young] = [where for where in keys_of(tmp_path, STAFF) if "/" not in where]
    assert young != epochs_of(old)[0]
    with sqlite3.connect(tmp_path / "data" / "index" / "search.db") as rows:
        texts = rows.execute("SELECT count(*) FROM texts").fetchone()
    rows.close()
    # The reason, and the young prompt and its answer.
    assert texts == (3,)
    assert verify(auditd.ledger).verdict is Verdict.SOUND


class Silent:
    """An index's thread that has ended."""

    def submit(self, question: Any) -> None:
        """Say so."""
        question.failed(Refused("busy", "it is over"))


def desk_of(ledger: Ledger, home: Path, ceilings: str) -> tuple[RetentionDesk, Any]:
    """A desk without an index, and the way to its writer."""
    silent: Any = Silent()
    index = home / "data" / "index" / "search.db"
    desk = RetentionDesk(ledger, home / "keys", parse(ceilings), silent, SqliteDatabase(index))

    async def written(run: Any) -> Any:
        return run(ledger)

    return desk, written


async def test_an_index_that_does_not_answer_is_removed(old: str, tmp_path: Path) -> None:
    """It must not be what keeps texts alive: it is built again without them."""
    assert old
    ledger = open_ledger(tmp_path)
    path = tmp_path / "data" / "index" / "search.db"
    assert path.exists()
    desk, written = desk_of(ledger, tmp_path, SHORT[1])
    report = await desk.run(written)
    assert (report["texts"], path.exists()) == (0, False)
    assert report["classes"][0]["keys"] == 1
    ledger.close()


async def test_a_run_that_failed_on_the_way_is_finished_by_the_next(
    old: str, tmp_path: Path
) -> None:
    """Also without a start between: no `retention.begun` stays without its other half."""
    assert old
    ledger = open_ledger(tmp_path)
    cut = retention_run.begin(ledger, parse(SHORT[1]), time.time_ns() // 1000)
    assert cut is not None
    desk, written = desk_of(ledger, tmp_path, "content=100,input=keep,reason=keep,query=keep")
    report = await desk.run(written)
    ledger.close()
    done = [one["data"] for one in leaves(ledger.directory) if one["type"] == "retention.applied"]
    assert [one["begun"] for one in done[-2:]] == [cut.begun, report["begun"]]
    assert [one["classes"][0]["keys"] for one in done[-2:]] == [1, 0]


async def test_workers_drop_what_they_have_cached(old: str, tmp_path: Path) -> None:
    """A worker that has the key of an exchange cannot use it after the run."""
    auditd = Auditd(tmp_path, *LONG)
    await auditd.start()
    secret = appoint(tmp_path)
    hold = {"op": "legal_hold_set", "principal": STAFF, "authority": "court order 12"}
    [(held, _)] = await ask(auditd, secret, hold)
    await auditd.end()
    auditd = Auditd(tmp_path, *SHORT)
    await auditd.start()
    assert (await applied(auditd))["data"]["classes"][0]["held"] == 1
    client = AuditdLedger(auditd.socket)
    await client.start()
    keys = await client.exchange_keys(STAFF, old)
    free = {"op": "legal_hold_release", "hold": held["holds"][0], "authority": "court order 13"}
    now = {"op": "retention", "now": True}
    _, (shown, _), (done, _) = await ask(auditd, secret, free, {"op": "retention"}, now)
    assert (shown["retention"]["classes"][0]["keys"], done["retention"]["texts"]) == (1, 1)
    begun = [leaf for leaf in leaves(auditd.ledger) if leaf["type"] == "retention.begun"][-1]
    assert begun["actor"] is not None
    with pytest.raises(LedgerRefused) as error:
        await client.exchange_keys(STAFF, old)
    assert (error.value.code, client.connected, bool(keys)) == ("erased", True, True)
    await client.close()
    await auditd.end()


async def told(desk: RetentionDesk, written: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """What a desk says that runs by itself."""
    running = asyncio.create_task(desk.keep(written))
    said = ""
    async with asyncio.timeout(10):
        while "auditd:" not in said:
            await asyncio.sleep(0.01)
            said += capsys.readouterr().err
    running.cancel()
    return said


async def test_a_clock_far_ahead_destroys_nothing_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be wrong, and what is destroyed is gone: an officer looks first. Also after a start
    whose events have that time already.
    """
    clock = Clock("2026-11-10")
    ledger = ledger_at(tmp_path, clock)
    in_office(ledger, OFFICER)
    ledger.append_batch([received(clock.exchange())])
    clock.set("2036-11-10")
    desk, written = desk_of(ledger, tmp_path, SHORT[1])
    assert "the clock says 2036-11-10" in await told(desk, written, capsys)
    ledger.close()
    ledger = ledger_at(tmp_path, clock)
    desk, written = desk_of(ledger, tmp_path, SHORT[1])
    assert "the clock says 2036-11-10" in await told(desk, written, capsys)
    assert len(keys_of(tmp_path, STAFF)) == 1
    clock.set("2036-11-11")
    await desk.run(written, (OFFICER,))
    assert keys_of(tmp_path, STAFF) == {}
    assert not ledger.custody.leapt(clock())
    ledger.close()


async def test_a_run_by_itself_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the first second of a day what fell due at midnight is destroyed."""
    clock = Clock("2026-11-10")
    ledger = ledger_at(tmp_path, clock)
    ledger.append_batch([received(clock.exchange())])
    for day in ("2026-12-05", "2027-01-01", "2027-01-30", "2027-02-25", "2027-03-20", "2027-04-15"):
        clock.set(day)
        ledger.open_session(day, 1)
        ledger.close_session(day, "ended")
    clock.set("2027-04-30T00:00:01")
    desk, written = desk_of(ledger, tmp_path, SHORT[1])
    assert "destroyed 1 keys" in await told(desk, written, capsys)
    assert keys_of(tmp_path, STAFF) == {}
    ledger.close()


async def test_no_run_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file of keys is written anew: on a full disk that would stop the writer for good."""
    clock = Clock("2026-11-10")
    ledger = ledger_at(tmp_path, clock)
    ledger.append_batch([received(clock.exchange())])
    clock.set("2026-12-01")
    desk, written = desk_of(ledger, tmp_path, "content=2")
    monkeypatch.setattr("sekisho_audit.retention_desk._ROOM_BYTES", 2**62)
    assert "no room" in await told(desk, written, capsys)
    assert len(keys_of(tmp_path, STAFF)) == 1
    ledger.close()

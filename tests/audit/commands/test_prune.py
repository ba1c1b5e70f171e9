"""`sekisho-audit prune` on a running auditd: shows, asks, removes, and everything still answers."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.prune_plan import day
from sekisho_audit.rules import DAY_US
from sekisho_audit.scan import EVENTS, held_from
from support.ledgers import STAFF, Auditd, run_exchange
from support.officers import OFFICER, SECOND, appoint, ask, socket_of
from support.old_ledgers import Clock, live, open_at, recorded

YEARS_US = 4_000 * DAY_US


def old(home: Path) -> int:
    """A ledger of eleven years that ends today; returns how many events it has."""
    clock = Clock(time.time_ns() // 1000 - YEARS_US)
    ledger = open_at(home, clock)
    live(ledger, clock, 60, step=60)
    live(ledger, clock, 40, step=9)
    ledger.close()
    return ledger.size


def secret_file(home: Path, name: str, secret: str) -> str:
    path = home / f"{name}.secret"
    path.write_text(secret)
    path.chmod(0o600)
    return str(path)


class Installed:
    """A running auditd over an old ledger, with an officer."""

    def __init__(self, home: Path, auditd: Auditd) -> None:
        self.home = home
        self.auditd = auditd
        self.secret = appoint(home, OFFICER)
        self.ledger = auditd.ledger

    def arguments(self, before: str, *more: str) -> list[str]:
        return [
            *("prune", str(self.home / "data"), "--officer", OFFICER),
            *("--secret-file", secret_file(self.home, "first", self.secret)),
            *("--socket", str(socket_of(self.auditd)), "--before", before),
            *("--authority", "schedule 7", *more),
        ]

    async def prune(self, before: str, *more: str) -> int:
        return await asyncio.to_thread(main, self.arguments(before, *more))


BEFORE = day(time.time_ns() // 1000 - 3_000 * DAY_US)


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installed]:
    old(tmp_path)
    auditd = Auditd(tmp_path, "--segment-bytes", "16384")
    await auditd.start()
    yield Installed(tmp_path, auditd)
    await auditd.end()


async def test_it_shows_and_asks_first(
    installed: Installed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert await installed.prune(BEFORE) == 2
    said = capsys.readouterr()
    assert "Would go" in said.out
    assert "Remove them for good? [y/N]" in said.out
    assert "nothing was removed" in said.err
    assert held_from(installed.ledger, EVENTS) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert await installed.prune(BEFORE) == 0
    first = held_from(installed.ledger, EVENTS)
    assert f"{first:,} events are gone" in capsys.readouterr().out
    assert first > 0
    assert await asyncio.to_thread(main, ["verify", str(installed.home / "data")]) == 0
    assert f"The first {first} events" in capsys.readouterr().out


async def test_refusals_say_what_to_do(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    for before, word in (
        (day(time.time_ns() // 1000), "can be 20"),
        ("1999-01-01", "not old enough"),
    ):
        assert await installed.prune(before, "--yes") == 2
        assert word in capsys.readouterr().err
    assert await installed.prune(BEFORE, "--json") == 2
    assert "--yes" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        await installed.prune("soon")
    assert "is no day" in capsys.readouterr().err
    hold = {"op": "legal_hold_set", "principal": STAFF, "authority": "court"}
    [(answer, _)] = await ask(installed.auditd, installed.secret, hold)
    assert await installed.prune(BEFORE, "--yes") == 2
    assert answer["holds"][0] in capsys.readouterr().err
    assert held_from(installed.ledger, EVENTS) == 0


async def test_two_officers_where_two_must(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """And who has not the duty cannot."""
    keys = installed.home / "keys"
    second = appoint(installed.home, SECOND, ["retention"])
    assert main(["officers", "two", str(keys), "--duty", "retention"]) == 0
    assert await installed.prune(BEFORE, "--yes") == 2
    assert "needs two officers" in capsys.readouterr().err
    both = ("--second", SECOND, "--second-secret-file")
    file = secret_file(installed.home, "second", second)
    assert await installed.prune(BEFORE, "--yes", "--json", *both, file) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["size"] == held_from(installed.ledger, EVENTS)
    installed.secret = appoint(installed.home, OFFICER, ["erase"])
    assert await installed.prune(BEFORE, "--yes", *both, file) == 2
    assert "has not the duty" in capsys.readouterr().err


async def test_what_is_derived_is_built_from_what_stays(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Search, index, proofs, export and a restart, all on the pruned ledger."""
    data = str(installed.home / "data")
    wait = ["index", data, "--wait-s", "30"]
    assert await asyncio.to_thread(main, wait) == 0
    officer = ["--officer", OFFICER, "--socket", str(socket_of(installed.auditd))]
    officer += ["--secret-file", secret_file(installed.home, "first", installed.secret)]
    everything = ["search", data, *officer, "", "--limit", "1000", "--json"]
    capsys.readouterr()
    assert await asyncio.to_thread(main, everything) == 0
    before = json.loads(capsys.readouterr().out)
    assert await installed.prune(BEFORE, "--yes") == 0
    capsys.readouterr()
    first = held_from(installed.ledger, EVENTS)
    assert await asyncio.to_thread(main, wait) == 0
    assert f"The first {first:,} events were pruned" in capsys.readouterr().out
    assert await asyncio.to_thread(main, everything) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["first"] == first
    assert len(after["data"]) < len(before["data"])
    assert all(n >= first for one in after["data"] for n in one["events"])
    out = installed.home / "all.zip"
    export = ["export", data, *officer, "--query", "", "--format", "bundle", "--out", str(out)]
    assert await asyncio.to_thread(main, [*export, "--purpose", "audit"]) == 0
    assert main(["verify", str(out), "--key", str(installed.ledger / "vkey")]) == 0
    capsys.readouterr()
    assert main(["prove", data, "--index", "3"]) == 2
    assert f"first {first} events were pruned" in capsys.readouterr().err
    assert main(["prove", data, "--index", str(first)]) == 0
    await installed.auditd.end()
    await installed.auditd.start()
    assert await asyncio.to_thread(main, wait) == 0
    assert main(["verify", data]) == 0


async def test_an_auditd_that_was_killed_on_the_way_finishes_it(tmp_path: Path) -> None:
    """Recorded and not done: done before anybody is served."""
    old(tmp_path)
    clock = Clock(time.time_ns() // 1000)
    ledger = open_at(tmp_path, clock)
    ledger.open_session("s-9", 1)
    run_exchange(ledger, "s-9")
    plan = recorded(ledger, clock, time.time_ns() // 1000 - 3_000 * DAY_US)
    ledger.close()
    assert held_from(ledger.directory, EVENTS) == 0
    auditd = Auditd(tmp_path, "--segment-bytes", "16384")
    await auditd.start()
    assert held_from(ledger.directory, EVENTS) == plan.size
    assert "finished a pruning" in (await auditd.end())[1]
    assert main(["verify", str(tmp_path / "data")]) == 0


async def test_indexes_of_before_are_not_believed_after(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where auditd was killed before it could delete them."""
    data = str(installed.home / "data")
    wait = ["index", data, "--wait-s", "30"]
    assert await asyncio.to_thread(main, wait) == 0
    await installed.auditd.end()
    shutil.copytree(installed.home / "data" / "index", installed.home / "kept")
    await installed.auditd.start()
    assert await installed.prune(BEFORE, "--yes") == 0
    await installed.auditd.end()
    shutil.rmtree(installed.home / "data" / "index")
    shutil.copytree(installed.home / "kept", installed.home / "data" / "index")
    await installed.auditd.start()
    deadline = asyncio.get_running_loop().time() + 60
    first = held_from(installed.ledger, EVENTS)
    while any(oldest < first for oldest in oldest_rows(installed.home / "data" / "index")):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.1)
    assert await asyncio.to_thread(main, wait) == 0
    assert "events were pruned" in capsys.readouterr().out


def oldest_rows(folder: Path) -> list[int]:
    """The oldest event that each index tells of; none of one that is being made."""
    found = []
    for name, asked in (
        ("history", "SELECT min(first) FROM exchanges"),
        ("search", "SELECT min(first) FROM trails"),
    ):
        try:
            with closing(sqlite3.connect(f"{(folder / name).as_uri()}.db?mode=ro", uri=True)) as db:
                ((oldest,),) = db.execute(asked).fetchall()
        except sqlite3.Error:
            oldest = None
        found.append(0 if oldest is None else int(oldest))
    return found


async def test_nobody_runs_it_with_less_than_half_a_year(tmp_path: Path) -> None:
    auditd = Auditd(tmp_path, "--retention", "leaves=183")
    with pytest.raises(RuntimeError, match="184"):
        await auditd.start()

"""`sekisho-audit erase`: says what was destroyed, what was looked for, and what is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.officer_client import SECRET_VARIABLE
from support.ledgers import CANARY, STAFF, Auditd, open_ledger, run_exchange
from support.officers import OFFICER, appoint, socket_of


@pytest.fixture
async def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.close()
    auditd = Auditd(tmp_path)
    await auditd.start()
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
    yield [
        *("erase", str(tmp_path / "data"), "--socket", str(socket_of(auditd))),
        *("--officer", OFFICER, "--principal", STAFF, "--purpose", "p", "--ticket", "T-1"),
    ]
    await auditd.end()


async def test_the_report_says_what_was_done(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And once more: nobody of this name is there any more."""
    assert await asyncio.to_thread(main, words) == 0
    said = capsys.readouterr().out
    assert "1 destroyed" in said
    assert "Found       nothing of it" in said
    assert "Backups of the directory of keys" in said
    assert await asyncio.to_thread(main, words) == 2
    assert "not_found" in capsys.readouterr().err


async def test_what_is_left_is_an_exit_code(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "note").write_bytes(CANARY)
    assert await asyncio.to_thread(main, [*words, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {str(tmp_path / "data" / "note")} == set().union(*report["left"].values())


async def test_what_is_left_is_shown_harmlessly(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "no\x1bte").write_bytes(CANARY + STAFF.encode())
    assert await asyncio.to_thread(main, words) == 1
    said = capsys.readouterr().out
    assert "LEFT" in said
    assert "no\\x1bte" in said
    assert "sekisho principal leave" in said

"""`sekisho-audit legal-hold`: set, listed, in the way of erasure, released."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.officer_client import SECRET_VARIABLE
from support.ledgers import STAFF, Auditd, open_ledger, run_exchange
from support.officers import OFFICER, appoint, socket_of


async def test_a_hold_is_set_listed_and_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    sent = run_exchange(ledger, "s-1")
    ledger.close()
    auditd = Auditd(tmp_path)
    await auditd.start()
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
    where = [str(tmp_path / "data"), "--socket", str(socket_of(auditd)), "--officer", OFFICER]
    why = ["--authority", "court order 12"]

    async def run(act: str, *more: str) -> int:
        return await asyncio.to_thread(main, ["legal-hold", act, *where, *more])

    assert await run("set", "--exchange", str(sent.exchange), *why) == 0
    hold = capsys.readouterr().out.strip()
    erase = ["erase", *where, "--principal", STAFF, "--purpose", "p", "--ticket", "t"]
    assert await asyncio.to_thread(main, erase) == 2
    assert hold in capsys.readouterr().err
    assert await run("list") == 0
    assert capsys.readouterr().out == f"{hold}  {STAFF}  {sent.exchange}\n"
    assert await run("release", "--hold", hold, *why) == 0
    assert await run("release", "--hold", hold, *why) == 2
    capsys.readouterr()
    assert await run("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert await run("set", "--principal", STAFF, *why) == 0
    assert await run("set", "--principal", "nobody", *why) == 2
    await auditd.end()

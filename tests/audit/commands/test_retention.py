"""`sekisho-audit retention`: told, run, refused."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.cli import main
from sekisho_audit.officer_client import SECRET_VARIABLE
from support.ledgers import Auditd, open_ledger, received
from support.officers import OFFICER, appoint, socket_of

DAY_MS = 86_400_000


async def test_what_is_over_is_told_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under a legal hold it is told as held; when that is released, a run ends it."""
    ledger = open_ledger(tmp_path)
    old = uuid7(time.time_ns() // 1_000_000 - 100 * DAY_MS)
    ledger.append_batch([received(old)])
    ledger.close()
    auditd = Auditd(tmp_path)
    await auditd.start()
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
    where = [str(tmp_path / "data"), "--socket", str(socket_of(auditd)), "--officer", OFFICER]
    why = ["--authority", "court order 12"]

    async def run(*command: str) -> int:
        return await asyncio.to_thread(main, [*command[:1], *command[1:], *where])

    async def hold(act: str, *more: str) -> str:
        assert await asyncio.to_thread(main, ["legal-hold", act, *where, *why, *more]) == 0
        return capsys.readouterr().out.strip()

    held = await hold("set", "--exchange", old)
    await auditd.end()
    auditd = Auditd(tmp_path, "--retention", "content=2,reason=keep")
    await auditd.start()
    where[2] = str(socket_of(auditd))
    assert await run("retention", "--show", "--json") == 0
    row = json.loads(capsys.readouterr().out)["classes"][0]
    assert (row["class"], row["days"], row["keys"], row["held"]) == ("content", 2, 0, 1)
    await hold("release", "--hold", held)
    assert await run("retention", "--show") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[:3] == ["content", "2", "days"]
    assert said[1].split()[4:] == ["1", "0", "1"]
    assert said[3].split()[:3] == ["reason", "for", "good"]
    assert await run("retention", "--now") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[4:] == ["1", "0"]
    assert "On record" in said[-1]
    assert await run("retention", "--now") == 0
    assert "Nothing was over" in capsys.readouterr().out
    asked = ["--exchange", old, "--purpose", "p", "--ticket", "t"]
    assert await asyncio.to_thread(main, ["disclose", *where, *asked]) == 0
    assert "(not kept any more: retention (class content, 2 days))" in capsys.readouterr().out
    await auditd.end()
    assert await run("retention", "--now") == 2
    assert "no_auditd" in capsys.readouterr().err

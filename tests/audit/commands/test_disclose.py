"""`sekisho-audit disclose`: text that cannot steer a terminal, keys in a private file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.officer_client import SECRET_VARIABLE
from support.ledgers import Auditd, open_ledger, run_exchange
from support.officers import OFFICER, appoint, socket_of

HOSTILE = "wire \x1b]0;owned\x07 it\nover\u202e\r\x9b2J".encode() + b"\xff"


@pytest.fixture
async def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    sent = run_exchange(ledger, "s-1", HOSTILE)
    ledger.close()
    auditd = Auditd(tmp_path)
    await auditd.start()
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
    yield [
        *("disclose", str(tmp_path / "data"), "--socket", str(socket_of(auditd))),
        *("--officer", OFFICER, "--purpose", "complaint", "--ticket", "T-1"),
        *("--exchange", str(sent.exchange)),
    ]
    await auditd.end()


async def test_texts_are_printed_harmlessly(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines stay lines; nothing else that a terminal would obey or hide."""
    assert await asyncio.to_thread(main, words) == 0
    said = capsys.readouterr().out
    assert "wire \\x1b]0;owned\\x07 it\nover\\x202e\\x0d" in said
    assert all(char.isprintable() or char == "\n" for char in said)
    assert "only committed to" in said
    assert await asyncio.to_thread(main, [*words, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    content = [line["content"] for line in lines if line["content"] is not None]
    assert [text.encode("utf-8", "surrogateescape") for text in content] == [HOSTILE, HOSTILE]


async def test_keys_go_to_a_private_file(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed, and no file is overwritten: then nothing is disclosed either."""
    out = tmp_path / "keys.json"
    assert await asyncio.to_thread(main, [*words, "--keys", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(out.read_text())["format"] == "sekisho-disclosure/v1"
    before = out.read_bytes()
    assert await asyncio.to_thread(main, [*words, "--keys", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_bytes() == before


async def test_a_refusal_is_told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE)
    assert await asyncio.to_thread(main, words) == 2
    assert "--secret-file" in capsys.readouterr().err

"""`sekisho-audit search` with a real auditd: pages as one list, counts, what could not be seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.cli import main
from sekisho_audit.officer_client import SECRET_VARIABLE
from support.ledgers import STAFF, Auditd, open_ledger, run_exchange, run_held_exchange
from support.officers import OFFICER, appoint, socket_of

LIMIT_S = 20.0


@pytest.fixture
async def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    for number in range(5):
        run_exchange(ledger, "s-1", f"number {number}: 合同".encode())
    run_held_exchange(ledger, "s-1")
    ledger.close()
    auditd = Auditd(tmp_path)
    await auditd.start()
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path))
    base = ["search", str(tmp_path / "data"), "--socket", str(socket_of(auditd))]
    yield [*base, "--officer", OFFICER]
    await auditd.end()


async def ran(words: list[str], capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What is printed, when the index is there."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            code = await asyncio.to_thread(main, [*words, *more])
            said = capsys.readouterr()
            if code == 0:
                return said.out
            assert "being built" in said.err


async def complete(
    words: list[str], capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT_S):
        while True:
            found: dict[str, Any] = json.loads(await ran(words, capsys, *more, "--json"))
            if found["indexed"] == found["size"]:
                return found


async def test_exchanges_are_listed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, with who, what became of it, and where its events are."""
    await complete(words, capsys, "")
    said = await ran(words, capsys, f'principal:{STAFF} "合同" -"number 3"')
    lines = [line for line in said.splitlines() if STAFF in line]
    assert len(lines) == 4
    assert all("effect=allow" in line and "status=released" in line for line in lines)
    assert "Complete up to event" in said
    assert "合同" not in said


async def test_more_than_a_page_is_one_list(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is behind the limit is told how to get."""
    await complete(words, capsys, "")
    said = await ran(words, capsys, "effect:allow", "--limit", "2")
    [more] = [line for line in said.splitlines() if line.startswith("More: ")]
    rest = await ran(words, capsys, "effect:allow", *more.removeprefix("More: ").split())
    listed = [line.split()[2] for line in (said + rest).splitlines() if STAFF in line]
    assert len(listed) == len(set(listed)) == 5


async def test_counts(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exact, by field."""
    await complete(words, capsys, "", "--facets")
    said = await ran(words, capsys, f"principal:{STAFF}", "--facets")
    assert said.startswith("6 found")
    assert "         5  allow" in said
    assert "         1  hold" in said


async def test_nothing_found_says_how_far_it_looked(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No results are an answer only with their completeness."""
    await complete(words, capsys, "")
    said = await ran(words, capsys, "effect:deny")
    assert said.startswith("Nothing found.\n\nComplete up to event")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["efect:deny"], "did you mean `effect:`?"),
        (["", "--limit", "0"], "--limit is 1 or more"),
        (["", "--after", "zz"], "is not a cursor"),
    ],
)
async def test_a_slip_is_told(
    words: list[str], capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    await complete(words, capsys, "")
    assert await asyncio.to_thread(main, [*words, *more]) == 2
    assert says in capsys.readouterr().err


async def test_an_officer_without_the_duty_finds_nothing(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Erasing is no searching."""
    monkeypatch.setenv(SECRET_VARIABLE, appoint(tmp_path, duties=["erase"]))
    assert await asyncio.to_thread(main, [*words, ""]) == 2
    assert "search" in capsys.readouterr().err

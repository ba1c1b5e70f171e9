"""`sekisho-audit index`: one command builds the indexes anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.index_postgres import URL_VARIABLE, PostgresDatabase
from support.ledgers import Auditd, small_ledger
from support.postgres import postgres


async def test_indexes_are_built_anew_while_auditd_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told when they are complete."""
    small_ledger(tmp_path)
    auditd = Auditd(tmp_path)
    await auditd.start()
    words = ["index", str(tmp_path / "data"), "--wait-s", "20"]
    assert await asyncio.to_thread(main, words) == 0
    path = tmp_path / "data" / "index" / "search.db"
    old = tmp_path / "old.db"
    old.hardlink_to(path)
    assert await asyncio.to_thread(main, [*words, "--rebuild"]) == 0
    assert not path.samefile(old)
    assert "search: has read" in capsys.readouterr().out
    await auditd.end()


def test_without_auditd_nothing_builds_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, with what to do."""
    ledger = small_ledger(tmp_path)
    assert main(["index", str(ledger)]) == 2
    said = capsys.readouterr()
    assert "history: is not there" in said.out
    assert "auditd builds them while it runs" in said.err


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_what_cannot_be_read_is_not_there(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Looking makes no file and mends none."""
    ledger = small_ledger(tmp_path)
    index = ledger.parent / "index"
    index.mkdir()
    (index / "search.db").write_bytes(content)
    assert main(["index", str(ledger)]) == 2
    assert "search: is not there" in capsys.readouterr().out
    assert (index / "search.db").read_bytes() == content
    assert [path.name for path in index.iterdir()] == ["search.db"]


def test_an_index_in_postgresql(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the variable, removed there, and out of reach when it is."""
    ledger = small_ledger(tmp_path)
    with postgres() as server:
        monkeypatch.setenv(URL_VARIABLE, server.url)
        database = PostgresDatabase(server.url)
        database.open("o", b"k").close()
        assert main(["index", str(ledger)]) == 2
        assert "search: has read 0 events" in capsys.readouterr().out
        assert main(["index", str(ledger), "--rebuild"]) == 2
        assert database.indexed() is None
    assert main(["index", str(ledger)]) == 2
    said = capsys.readouterr().err
    assert "cannot be used" in said
    assert server.password not in said


def test_no_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(tmp_path)]) == 2
    assert "there is no ledger" in capsys.readouterr().err

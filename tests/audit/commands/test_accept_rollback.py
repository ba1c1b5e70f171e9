"""Giving up lost events by command: it takes the size, so that nobody does it by habit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sekisho_audit.checkpoint import read_unverified
from sekisho_audit.cli import main
from sekisho_audit.errors import SecondLedger
from support.ledgers import open_ledger, small_ledger


def test_the_size_must_be_the_one_that_was_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_ledger(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "old")
    open_ledger(tmp_path).close()
    shutil.rmtree(tmp_path / "data")
    shutil.move(tmp_path / "old", tmp_path / "data")
    with pytest.raises(SecondLedger):
        open_ledger(tmp_path)
    keys = tmp_path / "keys"
    size = read_unverified((keys / "last-signed").read_bytes()).size
    assert main(["accept-rollback", "--keys", str(keys), "--size", str(size - 1)]) == 2
    with pytest.raises(SecondLedger):
        open_ledger(tmp_path)
    assert main(["accept-rollback", "--keys", str(keys), "--size", str(size)]) == 0
    assert "given up" in capsys.readouterr().out
    open_ledger(tmp_path).close()


def test_there_may_be_nothing_to_give_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accept-rollback", "--keys", str(tmp_path), "--size", "3"]) == 2
    (tmp_path / "last-signed").write_bytes(b"x")
    assert main(["accept-rollback", "--keys", str(tmp_path), "--size", "3"]) == 2
    assert "no signature" in capsys.readouterr().err

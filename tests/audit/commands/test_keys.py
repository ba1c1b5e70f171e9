"""The keys of a ledger in words, and the changes as a file for whoever checks bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.bundle_keys import read_changes
from sekisho_audit.cli import main
from support.ledgers import ORIGIN, open_ledger, small_ledger


def test_each_key_is_told_and_each_change_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = open_ledger(tmp_path)
    for _ in range(2):
        ledger.rotate_key()
    ledger.close()
    out = tmp_path / "changes"
    assert main(["keys", str(tmp_path / "data"), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0:5:2] == [key.line() for key in ledger.keys]
    rotations = read_changes(out.read_bytes(), ORIGIN)
    assert [one.new for one in rotations] == list(ledger.keys[1:])
    assert lines[3] == f"  from event {rotations[0].index} on"


def test_without_a_change_the_file_is_empty(tmp_path: Path) -> None:
    small_ledger(tmp_path)
    out = tmp_path / "changes"
    assert main(["keys", str(tmp_path / "data"), "--out", str(out)]) == 0
    assert out.read_bytes() == b""


def test_what_does_not_hold_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = small_ledger(tmp_path)
    (directory / "vkey").write_text("x")
    assert main(["keys", str(tmp_path / "data")]) == 2
    assert main(["keys", str(tmp_path / "none")]) == 2
    assert "do not hold" in capsys.readouterr().err

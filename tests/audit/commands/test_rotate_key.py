"""Rotating by command: the new key is printed, a running writer is not disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.cli import main
from support.ledgers import open_ledger, small_ledger


def test_the_new_key_is_printed_and_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = small_ledger(tmp_path)
    arguments = ["rotate-key", str(tmp_path / "data"), "--keys", str(tmp_path / "keys")]
    assert main(arguments) == 0
    new = VerifierKey.parse(capsys.readouterr().out.split("\n")[0])
    assert (directory / "vkey").read_text() == f"{new.line()}\n"
    ledger = open_ledger(tmp_path)
    assert ledger.key == new
    assert main(arguments) == 2
    assert "auditd is running" in capsys.readouterr().err
    ledger.close()
    assert open_ledger(tmp_path).key == new


def test_without_a_ledger_or_its_keys_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other keys than the ledger's are refused, none are invented."""
    assert main(["rotate-key", str(tmp_path), "--keys", str(tmp_path / "keys")]) == 2
    small_ledger(tmp_path)
    other = tmp_path / "other"
    small_ledger(other)
    assert main(["rotate-key", str(tmp_path / "data"), "--keys", str(other / "keys")]) == 2
    assert main(["rotate-key", str(tmp_path / "data"), "--keys", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()
    assert "another key" in capsys.readouterr().err

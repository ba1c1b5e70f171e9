"""`sekisho-audit reconcile`: the words, the exit codes, and files that are meant to harm."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sekisho_audit import retention, retention_run
from sekisho_audit.cli import main
from support.ledgers import open_ledger, small_ledger


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with two calls of the model `small`."""
    made = tmp_path_factory.mktemp("r")
    small_ledger(made)
    return made


def export(tmp_path: Path, *rows: str) -> str:
    path = tmp_path / "usage.csv"
    path.write_text("\n".join(["time,model,requests,cost,currency", *rows]) + "\n")
    return str(path)


def now(offset_s: int = 0) -> int:
    return int(time.time()) + offset_s


def test_nothing_around(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = export(tmp_path, f"{now()},small,2,0.10,usd")
    assert main(["reconcile", str(home / "data"), "--usage", usage]) == 0
    said = capsys.readouterr().out
    assert said.startswith("NOTHING AROUND")
    assert "Matched     2 calls" in said
    assert "erased or expired content: none is on record" in said


def test_what_retention_ended_is_told_and_still_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class, up to when, and how many keys; the calls themselves are compared as before."""
    small_ledger(tmp_path)
    ledger = open_ledger(tmp_path)
    later_us = (now() + 60 * 86_400) * 1_000_000
    run = retention_run.begin(ledger, retention.parse("content=2"), later_us)
    assert run is not None
    ended = retention_run.destroy(ledger, run)
    retention_run.finish(ledger, run, ended, texts=0)
    ledger.close()
    usage = export(tmp_path, f"{now()},small,2,0.10,usd")
    assert main(["reconcile", str(tmp_path / "data"), "--usage", usage]) == 0
    said = capsys.readouterr().out
    assert "Matched     2 calls" in said
    up_to = retention.day_text(retention.day_of(later_us) - 2)
    assert (
        f"nothing for class content that began on {up_to} or before, 1 keys of which retention "
        "ended: content went, figures stand and are compared"
    ) in said


def test_calls_around_the_gate_are_counted_with_their_cost(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = export(tmp_path, f"{now()},small,5,0.50,usd", f"{now()},\x1b[31mred,1,2,usd")
    assert main(["reconcile", str(home / "data"), "--usage", usage]) == 1
    said = capsys.readouterr().out
    assert said.startswith("AROUND THE GATE")
    assert "Around      4 calls, 2.3 USD" in said
    assert "\x1b" not in said
    assert main(["reconcile", str(home / "data"), "--usage", usage, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["around_calls"] == 4


def test_a_backend_that_is_not_known_accuses_nobody(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that it counted would seem to have gone around the gate."""
    usage = export(tmp_path, f"{now()},small,5,0.50,usd")
    asked = ["reconcile", str(home / "data"), "--usage", usage, "--backend", "lokal"]
    assert main(asked) == 2
    said = capsys.readouterr()
    assert "the ledger knows no backend 'lokal'; there are: local" in said.err
    assert said.out == ""


def test_times_outside_of_the_ledger_are_not_judged(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = export(tmp_path, f"{now()},small,1,,", f"{now(9_000_000)},small,7,,")
    assert main(["reconcile", str(home / "data"), "--usage", later]) == 2
    assert "7 calls of a time before" in capsys.readouterr().out
    assert main(["reconcile", str(home / "data"), "--usage", later, "--to", "1999-01-01"]) == 2
    assert "no row of the export" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "time,cost\n1,NaN\n", "\x00\x01", "time\n\x1b[2J\n"])
def test_a_file_that_cannot_be_read_says_nothing_about_the_gate(
    text: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "usage"
    path.write_text(text)
    assert main(["reconcile", str(home / "data"), "--usage", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "\x1b" not in said.err


def test_without_a_ledger_or_an_export_nobody_can_tell(home: Path, tmp_path: Path) -> None:
    usage = export(tmp_path, f"{now()},small,1,,")
    assert main(["reconcile", str(tmp_path), "--usage", usage]) == 2
    assert main(["reconcile", str(home / "data"), "--usage", str(tmp_path / "missing")]) == 2

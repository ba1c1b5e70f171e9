"""Proofs for somebody without the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.scan import EVENTS, frames, segments
from support.ledgers import small_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return small_ledger(tmp_path)


def damage(ledger: Path) -> None:
    path = ledger / "events" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def exchange_of(ledger: Path, capsys: pytest.CaptureFixture[str]) -> str:
    main(["show", str(ledger), "--json", "--type", "backend.intent", "--last", "1"])
    return str(json.loads(capsys.readouterr().out)["exchange"])


def test_a_proof_is_made_and_checked_without_the_ledger(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One event to standard output; an auditor with the key alone finds it sound."""
    key = (ledger / "vkey").read_text().strip()
    assert main(["prove", str(ledger), "--index", "2"]) == 0
    file = tmp_path / "two.tlog-proof"
    file.write_text(capsys.readouterr().out)
    assert main(["verify", str(file), "--key", key]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SOUND: the ledger's key signed a tree with exactly these events")
    assert main(["verify", str(file)]) == 2
    assert "No key was given" in capsys.readouterr().out
    file.write_text(file.read_text().replace("index 2", "index 3"))
    assert main(["verify", str(file), "--key", key]) == 1
    assert capsys.readouterr().out.startswith("TAMPERED: this file does not prove")


def test_all_proofs_of_an_exchange_go_to_files(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = exchange_of(ledger, capsys)
    assert main(["prove", str(ledger), "--exchange", exchange]) == 2
    assert "give --out" in capsys.readouterr().err
    assert main(["prove", str(ledger), "--exchange", exchange, "--out", str(tmp_path / "p")]) == 0
    files = sorted((tmp_path / "p").iterdir())
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    assert len(files) >= 4
    key = (ledger / "vkey").read_text().strip()
    for file in files:
        assert main(["verify", str(file), "--key", key]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index", "99999"], "no such event"),
        (["--index", "-1"], "no such event"),
        (["--exchange", "nobody's"], "no such event"),
    ],
)
def test_what_cannot_be_proved_is_said(
    ledger: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["prove", str(ledger), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_nothing_is_proved_under_a_checkpoint_that_does_not_fit(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An event was taken away at the end: the tree does not lead to the signed root."""
    segment = ledger / "events" / "000000000000.seg"
    [*_, last] = list(frames(segments(ledger, EVENTS)[0], EVENTS))
    segment.write_bytes(segment.read_bytes()[: last.offset])
    assert main(["prove", str(ledger), "--index", "1"]) == 2
    assert "do not lead to the checkpoint" in capsys.readouterr().err

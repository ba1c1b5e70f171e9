"""`sekisho-audit officers`: the secret is printed once, the file says the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from sekisho_audit.officers import FILE, load, well_formed
from support.ledgers import small_ledger

NAME = "officer-1@ledger.example"


@pytest.fixture
def keys(tmp_path: Path) -> str:
    small_ledger(tmp_path)
    return str(tmp_path / "keys")


def test_an_officer_is_added_shown_and_removed(
    keys: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["officers", "add", keys, NAME, "--duty", "erase", "--duty", "disclose"]) == 0
    secret = capsys.readouterr().out.strip()
    assert well_formed(secret)
    assert load(Path(keys)).officers[NAME].opens(secret)
    assert main(["officers", "two", keys, "--duty", "erase"]) == 0
    assert main(["officers", "list", keys]) == 0
    said = capsys.readouterr().out
    assert NAME in said
    assert "two officers are needed for: erase" in said
    assert secret not in said
    assert main(["officers", "list", keys, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["officers"][NAME]["duties"] == ["disclose", "erase"]
    assert main(["officers", "remove", keys, NAME]) == 0
    assert load(Path(keys)).officers == {}


@pytest.mark.parametrize(
    "words",
    [
        ["add", "KEYS", "Officer", "--duty", "erase"],
        ["add", "KEYS", NAME],
        ["remove", "KEYS", NAME],
        ["list", "/nowhere"],
    ],
)
def test_what_cannot_be_is_told(
    keys: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    given = [keys if word == "KEYS" else word for word in words]
    assert main(["officers", *given]) == 2
    assert capsys.readouterr().err.startswith("sekisho-audit: ")
    assert not (Path(keys) / FILE).exists()

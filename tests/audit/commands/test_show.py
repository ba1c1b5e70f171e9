"""Events as lines: filters, and what a stranger wrote into them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from support.ledgers import small_ledger
from support.old_ledgers import pruned_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return small_ledger(tmp_path)


def damage(ledger: Path) -> None:
    path = ledger / "events" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def test_show_filters(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By type, by exchange, the last ones."""
    assert main(["show", str(ledger), "--type", "hold.", "--json"]) == 0
    leaves = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {leaf["type"].split(".")[0] for leaf in leaves} == {"hold"}
    exchange = leaves[0]["exchange"]
    assert main(["show", str(ledger), "--exchange", exchange, "--last", "2", "--json"]) == 0
    last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [leaf["type"] for leaf in last] == ["backend.outcome", "hold.delivered"]


def test_a_type_that_does_not_exist_is_told_with_those_that_do(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip must not look like a ledger in which nothing happened."""
    assert main(["show", str(ledger), "--type", "bogus"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "'bogus'" in said.err
    assert {"hold.filed", "key.revoked"} <= set(said.err.split())


@pytest.mark.parametrize("words", [("--type", "principal."), ("--type", "erasure.begun")])
def test_finding_nothing_is_told(
    ledger: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """No slip and no error: there is no such event yet."""
    assert main(["show", str(ledger), *words]) == 0
    said = capsys.readouterr()
    assert not said.out
    assert "no such event" in said.err


def test_an_exchange_that_is_not_there_is_no_success(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be a slip; one that is there, without such events, is none."""
    assert main(["show", str(ledger), "--exchange", "NOPE\x1b"]) == 2
    said = capsys.readouterr()
    assert (said.out, "\x1b" in said.err) == ("", False)
    assert "no event is of the exchange 'NOPE" in said.err
    assert main(["show", str(ledger), "--type", "backend.intent", "--json"]) == 0
    exchange = json.loads(capsys.readouterr().out.splitlines()[0])["exchange"]
    assert main(["show", str(ledger), "--exchange", exchange, "--type", "officer.changed"]) == 0
    assert "no such event" in capsys.readouterr().err
    assert main(["show", str(ledger), "--exchange", exchange, "--last", "0"]) == 0
    old = pruned_ledger(ledger.parent / "old")
    assert main(["show", str(old), "--exchange", exchange]) == 2
    assert "were pruned" in capsys.readouterr().err


def test_show_is_safe_on_a_terminal(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are plain ASCII: no event can move the reader's cursor."""
    assert main(["show", str(ledger)]) == 0
    said = capsys.readouterr().out
    assert said.isascii()
    assert all(char.isprintable() or char == "\n" for char in said)


def test_show_of_a_damaged_ledger_says_so(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be trusted is not shown in silence."""
    damage(ledger)
    for words in ((), ("--last", "1000")):
        assert main(["show", str(ledger), *words]) == 2
        assert "verify" in capsys.readouterr().err


def test_show_of_nothing(tmp_path: Path) -> None:
    """No ledger: exit 2."""
    assert main(["show", str(tmp_path)]) == 2

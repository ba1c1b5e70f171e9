"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sekisho_audit.cli import COMMANDS, main
from support.ledgers import small_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return small_ledger(tmp_path)


def damage(ledger: Path) -> None:
    path = ledger / "events" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def test_a_reader_that_has_enough_gets_no_traceback(ledger: Path) -> None:
    """`show … | head -1`"""
    command = [sys.executable, "-m", "sekisho_audit.cli", "show", str(ledger), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("words", [[], ["nonsense"], ["--json"]])
def test_what_is_no_command_is_told_with_those_that_are(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody needs the documentation to find a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in COMMANDS)


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each says what it takes."""
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert "options:" in capsys.readouterr().out


def test_an_argument_of_another_encoding_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """As a terminal of GBK sends it; nothing could be found by it, and nothing printed."""
    assert main(["search", "nowhere", "--query", "\udcd6\udcd0"]) == 2
    assert "not UTF-8" in capsys.readouterr().err

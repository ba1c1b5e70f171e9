"""`sekisho-audit` as an auditor uses it: words, exit codes, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sekisho_audit.cli import main
from support.ledgers import small_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return small_ledger(tmp_path)


def damage(ledger: Path) -> None:
    path = ledger / "events" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def test_sound(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sound ledger: exit 0, and plainly what the verdict does not say."""
    assert main(["verify", str(ledger)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SOUND")
    assert "key found in the directory was trusted" in said


def test_tampered(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed byte: exit 1, with file and byte."""
    damage(ledger)
    assert main(["verify", str(ledger)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("TAMPERED")
    assert "events/000000000000.seg, byte" in said


@pytest.mark.parametrize("arguments", [["/nowhere"], ["."]])
def test_cannot_tell(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No ledger: exit 2, and why."""
    assert main(["verify", *arguments]) == 2
    assert "there is no ledger" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--key", "nonsense"], ["--key", "a+b+c"], ["--pinned", "/x"]])
def test_wrong_arguments(ledger: Path, option: list[str]) -> None:
    """A key or checkpoint that cannot be read is no verdict."""
    assert main(["verify", str(ledger), *option]) == 2


def test_key_and_pinned_from_files(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given key and checkpoint, nothing is left unsaid."""
    line = (ledger / "vkey").read_text().strip()
    pinned = ["--pinned", str(ledger / "checkpoint")]
    for key in (str(ledger / "vkey"), line):
        assert main(["verify", str(ledger), "--key", key, *pinned]) == 0
        assert "What this verdict does not say" not in capsys.readouterr().out


def test_json(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Machines get the same verdict with its facts."""
    assert main(["verify", str(ledger), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["says"]) == (0, "sound")
    assert report["types"]["hold.review"] == 1
    damage(ledger)
    assert main(["verify", str(ledger), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["offset"] > 0


def test_show_filters(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By type, by exchange, the last ones."""
    assert main(["show", str(ledger), "--type", "hold.", "--json"]) == 0
    leaves = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {leaf["type"].split(".")[0] for leaf in leaves} == {"hold"}
    exchange = leaves[0]["exchange"]
    assert main(["show", str(ledger), "--exchange", exchange, "--last", "2", "--json"]) == 0
    last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [leaf["type"] for leaf in last] == ["backend.outcome", "hold.delivered"]


def test_show_is_safe_on_a_terminal(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are plain ASCII: no event can move the reader's cursor."""
    assert main(["show", str(ledger)]) == 0
    said = capsys.readouterr().out
    assert said.isascii()
    assert all(char.isprintable() or char == "\n" for char in said)


def test_names_of_foreign_files_are_made_harmless(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file name with escape codes is printed as text."""
    (ledger / "x\x1b[2Jy").write_text("x")
    assert main(["verify", str(ledger)]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "x\\x1b[2Jy" in said


def test_show_of_a_damaged_ledger_says_so(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be trusted is not shown in silence."""
    damage(ledger)
    assert main(["show", str(ledger)]) == 2
    assert "verify" in capsys.readouterr().err


def test_show_of_nothing(tmp_path: Path) -> None:
    """No ledger: exit 2."""
    assert main(["show", str(tmp_path)]) == 2


def test_verifier_needs_no_writer(ledger: Path) -> None:
    """The command runs without the writer's modules and without their dependencies."""
    script = (
        "import sys; sys.modules['orjson'] = None; from sekisho_audit.cli import main; "
        "code = main(sys.argv[1:]); "
        "writer = {'ledger', 'store', 'keyring', 'seal', 'auditd', 'writer', 'server', 'recover', "
        "'leaves', 'wire'}; "
        "loaded = {name.removeprefix('sekisho_audit.') for name in sys.modules}; "
        "sys.exit(99 if loaded & writer or 'sekisho' in loaded else code)"
    )
    command = [sys.executable, "-c", script, "verify", str(ledger)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0

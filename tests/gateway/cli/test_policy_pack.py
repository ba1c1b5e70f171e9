"""`sekisho policy pack`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.cli import main
from support.rules import SHIPPED, bundle


def test_it_writes_the_file_and_tells_the_revision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The revision is what every decision will cite; a second run gives the same bytes."""
    file = tmp_path / "sekisho.tar.gz"
    assert main(["policy", "pack", "--output", str(file)]) == 0
    assert read_bundle(SHIPPED).revision in capsys.readouterr().out
    first = file.read_bytes()

    assert main(["policy", "pack", str(SHIPPED), "--output", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"file": str(file), "revision": told["revision"], "bytes": len(first)} == told
    assert first == file.read_bytes()
    assert [file] == list(tmp_path.iterdir())


def test_rules_that_would_not_run_are_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the server had before stays."""
    file = tmp_path / "sekisho.tar.gz"
    file.write_bytes(b"old")
    bad = bundle(tmp_path, packs__team__a="package packs.team.a\n\nx := nosuch(1)\n")
    assert main(["policy", "pack", str(bad), "--output", str(file)]) == 1
    assert "packs/team/a.rego:3" in capsys.readouterr().err
    assert b"old" == file.read_bytes()


def test_a_dash_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of that name would be no help to whoever reads standard output."""
    monkeypatch.chdir(tmp_path)
    for words in (["pack", "--output", "-"], ["diff", "--against", "x", "--save", "-"]):
        with pytest.raises(SystemExit) as ended:
            main(["policy", *words])
        assert ended.value.code == 2
        assert "not written to standard output" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, with the reason."""
    file = tmp_path / "no" / "sekisho.tar.gz"
    assert main(["policy", "pack", "--output", str(file)]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err

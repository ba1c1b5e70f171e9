from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho.cli import main
from support.authority import Authority
from support.installation import free_port


def test_a_fresh_installation_has_nothing_to_mend(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What serve will make by itself is no fault; every line says ok."""
    monkeypatch.setenv("SEKISHO_SERVER__PORT", str(free_port()))
    assert main(["doctor", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert any("sekisho key create" in line for line in lines)


def test_what_has_time_is_a_warning(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that ends soon: said with what to do, and the installation is still sound."""
    pair = Authority(config.parent).server()
    monkeypatch.setenv("SEKISHO_SERVER__PORT", str(free_port()))
    monkeypatch.setenv("SEKISHO_SERVER__TLS_CERTIFICATE", str(pair.certificate))
    monkeypatch.setenv("SEKISHO_SERVER__TLS_KEY", str(pair.key))
    assert main(["doctor", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.startswith("warn   tls "))
    assert "mend: renew it" in lines[place + 1]


def test_wrong_settings_are_findings(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault of the file is a line with what to edit; as JSON it is a document."""
    config.write_text(config.read_text() + "[server]\nport = 0\nworkerz = 1\n")
    assert main(["doctor", "--config", str(config)]) == 1
    out = capsys.readouterr().out
    assert out.count("wrong  settings") == 2
    assert f"mend: edit {config}" in out
    assert main(["doctor", "--json", "--config", str(config)]) == 1
    assert [one["ok"] for one in json.loads(capsys.readouterr().out)] == [False, False]

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.cli import main, serve


def test_serve_gets_the_settings_of_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor is given settings and the file, which its workers read again."""
    seen: list[object] = []
    monkeypatch.setattr(serve, "serve", lambda *given: seen.extend(given) or 7)
    monkeypatch.setattr(serve.telemetry, "configure", lambda *given: seen.extend(given))
    assert main(["serve", "--config", str(config)]) == 7
    assert seen[:2] == ["info", "json"]
    assert seen[3] == config


def test_serve_without_its_file_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path that was looked at is named."""
    assert main(["serve", "--config", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err

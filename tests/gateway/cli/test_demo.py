from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.cli import demo, main


def test_demo_has_its_folder_and_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options: `.demo`, the shipped rules, the default port."""
    seen: list[object] = []
    monkeypatch.setattr(demo.telemetry, "configure", lambda *_: None)
    monkeypatch.setattr(demo.demo, "run", lambda *given: seen.extend(given) or 0)
    assert main(["demo"]) == 0
    folder, bundle, port = seen
    assert folder == Path(".demo")
    assert isinstance(bundle, Path)
    assert (bundle / "data.yaml").exists()
    assert port is None

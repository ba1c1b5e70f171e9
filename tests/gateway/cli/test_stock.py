from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.cli.stock import desk_of
from sekisho.config import load


def test_without_any_activation_the_settings_are_in_force(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking makes no store."""
    monkeypatch.chdir(config.parent)
    settings = load(config)
    desk = desk_of(settings)
    assert desk.active().revision == read_bundle(settings.policy.bundle).revision
    assert desk.place_of(None) == settings.policy.bundle
    assert not settings.policies_dir.exists()

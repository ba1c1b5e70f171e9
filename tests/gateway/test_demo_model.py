from __future__ import annotations

import importlib.util

import pytest

from sekisho import demo_model


def test_the_weights_are_there_and_are_weights() -> None:
    """A GGUF file of the expected size, found without importing the package around it."""
    file = demo_model.weights()

    with file.open("rb") as opened:
        assert b"GGUF" == opened.read(4)
    assert file.stat().st_size > 50_000_000


def test_missing_weights_are_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo without its model is not another demo: it stops."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="make env"):
        demo_model.weights()


def test_the_model_listens_on_loopback_only() -> None:
    """Nobody else on the network reaches it past the gate."""
    params = demo_model.parameters(8124)

    assert ["127.0.0.1"] == list(params.hostnames)
    assert 8124 == params.port
    assert str(demo_model.weights()) == params.model.path

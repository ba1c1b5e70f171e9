from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sekisho.adapters.key_desk import KeyDesk
from sekisho.cli.gate import GateFailed
from sekisho.cli.person import person_of
from sekisho.config import load
from sekisho.errors import NotAuthenticated


def test_a_key_says_who_runs_a_command(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry knows, without a gateway; a revoked key is nobody's."""
    monkeypatch.chdir(config.parent)
    settings = load(config)
    desk = KeyDesk(settings)
    monkeypatch.setenv("SEKISHO_KEY", desk.create("author-1", roles=["policy_author"]))
    options = argparse.Namespace(key_file=None)

    who = person_of(options, settings)

    assert (who.id, set(who.roles)) == ("author-1", {"policy_author"})
    desk.revoke(who.credential)
    with pytest.raises(NotAuthenticated):
        person_of(options, settings)
    monkeypatch.delenv("SEKISHO_KEY")
    with pytest.raises(GateFailed):
        person_of(options, settings)

"""An installation that does not run, with the persons who change its rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho.adapters.key_desk import KeyDesk
from sekisho.cli import main
from sekisho.config import load
from support.revisions import ACTIVATOR, AUTHOR, Rules


class House:
    """An installation that does not run, with an author and an activator."""

    def __init__(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self.rules = config, Rules(config.parent / "rules")
        first = json.dumps(str(self.rules.write()))
        config.write_text(config.read_text() + f"\n[policy]\nbundle = {first}\n")
        monkeypatch.chdir(config.parent)
        desk = KeyDesk(load(config))
        self.keys = {
            name: desk.create(name, roles=[f"policy_{role}"])
            for name, role in ((AUTHOR.id, "author"), (ACTIVATOR.id, "activator"))
        }
        self._set = monkeypatch.setenv

    def run(self, who: str, *words: str) -> int:
        self._set("SEKISHO_KEY", self.keys.get(who, who))
        return main(["policy", words[0], "--config", str(self.config), *words[1:]])

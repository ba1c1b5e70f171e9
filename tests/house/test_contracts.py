"""The import contracts of pyproject.toml hold, and still say what they are meant to say."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path


def test_the_contracts_hold(root: Path) -> None:
    """import-linter finds no broken contract."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_nobody_took_a_contract_away(root: Path) -> None:
    """The seven contracts are named here a second time, so that dropping one shows in review."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["name"] for contract in settings["contracts"]} == {
        "gateway layers",
        "stages do not know one another",
        "who may touch a Clearance",
        "only web and app know the web framework",
        "only adapters talk to the outside",
        "audit stands alone",
        "the verifier never touches the writer",
    }
    assert settings["contracts"][0]["exhaustive"] is True
    assert not any("ignore_imports" in contract for contract in settings["contracts"])

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the tree."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """Files that git keeps or would keep: what strangers get."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = done.stdout.decode().split("\0")
    return [root / name for name in names if name and (root / name).is_file()]


@pytest.fixture(scope="session")
def sources(root: Path) -> list[Path]:
    """Every module of the two packages."""
    folders = (root / "gateway" / "sekisho", root / "audit" / "sekisho_audit")
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]

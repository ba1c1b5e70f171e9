"""What strangers get holds nothing of the machine it was written on."""

from __future__ import annotations

import re
from pathlib import Path

# Home and scratch directories of one machine, and addresses that packages were fetched from.
_PLACES = re.compile(
    rb"(?<![\w.{}$*-])/(?:work|root|home/[a-z]+|Users/\w+|tmp/\w)"
    rb"|(?:files\.)?pythonhosted\.org|pypi\.org/simple|/simple/|artifactory|index-url\s*="
    rb"|extra-index-url\s*=|registry\.npmjs"
)
_OURSELVES = "tests/house/test_tree.py"
_LOCKS = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock"}


def test_no_file_names_a_place_of_this_machine_or_a_registry(
    root: Path, tracked: list[Path]
) -> None:
    """No home directory, no package index: neither means anything elsewhere."""
    found = {
        f"{path.relative_to(root)}: {match.group().decode()}"
        for path in tracked
        if path.relative_to(root).as_posix() != _OURSELVES
        for match in _PLACES.finditer(path.read_bytes())
    }
    assert not found, sorted(found)


def test_there_is_no_lock_file_of_a_tool(tracked: list[Path]) -> None:
    """They record where packages were fetched from; constraints.txt has names and hashes only."""
    assert not [path for path in tracked if path.name in _LOCKS]


def test_every_pinned_package_has_a_hash(root: Path) -> None:
    """Pip refuses what does not match, but only if every line has one."""
    for name in ("constraints.txt", "deploy/clients.txt", "deploy/wheels.txt"):
        text = (root / name).read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert lines
        assert not [line for line in lines if "==" not in line or "--hash=sha256:" not in line]


def test_the_readme_has_the_two_commands(root: Path) -> None:
    """They are the first thing a stranger types."""
    text = (root / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text


def test_the_build_server_runs_what_people_run(root: Path) -> None:
    """One way to test: no step that only a server does."""
    lines = (root / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test"]

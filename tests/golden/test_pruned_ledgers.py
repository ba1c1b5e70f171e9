"""Pruned ledgers as earlier releases left them: still sound, still the same, still written on.

Made by `python -m support.golden_pruned`; one that a release has made is never changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.verify import verify
from support.old_ledgers import Clock, after_days, live, open_at, prune

HERE = Path(__file__).resolve().parent / "pruned"
# First event held, size and root, as the release wrote them.
GOLDEN = {
    "v1": (30, 212, "a8a23fdb3ba44bc9f776659d06293fe8e4bd78d9ac114b1e498212ed0a71451b"),
}


@pytest.fixture(params=GOLDEN)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, with the modes that the writer asks for and a repository does not keep."""
    copy = tmp_path / "golden"
    shutil.copytree(HERE / request.param, copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


def test_it_is_what_it_was(home: Path, request: pytest.FixtureRequest) -> None:
    report = verify(home / "data" / "ledger")
    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
    said = (report.pruned, report.size, report.root)
    assert said == GOLDEN[request.node.callspec.params["home"]]
    assert len(report.keys) == 1


def test_it_is_written_and_pruned_on(home: Path) -> None:
    clock = Clock(after_days(1_000))
    ledger = open_at(home, clock)
    assert "s-open" not in ledger.sessions
    live(ledger, clock, 40)
    before = held_from(ledger.directory, EVENTS)
    assert prune(ledger, clock, after_days(200)).size > before
    ledger.close()
    assert verify(ledger.directory).verdict is Verdict.SOUND

"""A golden ledger can be made at any time, so that a release finds its maker in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.events import TYPES
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support import golden_ledger, golden_pruned


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a release of today would keep it."""
    home = tmp_path_factory.mktemp("g") / "today"
    golden_ledger.make(home)
    return home


def test_a_ledger_of_today_has_every_type_of_event(made: Path) -> None:
    """But those that the pruned one has. Whoever adds a type extends `support/golden_ledger.py` or
    `golden_reviews.py` with it, where rules let it not stand alone.
    """
    report = verify(made / "data" / "ledger")

    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
    assert sorted(TYPES.keys() - report.types.keys()) == sorted(golden_ledger.IN_PRUNED)


def test_it_has_what_few_events_have(made: Path) -> None:
    """Members that are optional and that rules compare occur in it, too."""
    leaves = b"".join(one.read_bytes() for one in (made / "data" / "ledger" / "events").iterdir())
    for member in (b'"opening":', b'"editor":', b'"step":2', b'"justify":true', b'"drafts_max":1'):
        assert member in leaves, member


def test_a_pruned_ledger_of_today_is_sound(tmp_path: Path) -> None:
    """What was agreed, drawn and opened before the cut is carried over it; and it has the rest of
    the types.
    """
    golden_pruned.make(tmp_path / "today")
    where = tmp_path / "today" / "data" / "ledger"
    report = verify(where)

    assert (report.verdict, report.faults) == (Verdict.SOUND, [])
    assert report.pruned > 0
    assert report.types.keys() >= golden_ledger.IN_PRUNED
    carried = (where / "pruned" / "state").read_bytes()
    assert all(one in carried for one in (b'"samples":', b'"tallies":', b'"terms":'))

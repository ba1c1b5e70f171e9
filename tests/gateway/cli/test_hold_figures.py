from __future__ import annotations

import argparse
from typing import Any

import httpx
import pytest

from sekisho.cli.gate import Gate
from sekisho.cli.hold_figures import show, text

ONE: dict[str, Any] = {
    "decisions": 120,
    "approvals": 119,
    "approval_rate": 0.9917,
    "median_s": 4.25,
    "under_5_s": 60,
    "under_5_s_rate": 0.5,
    "edits": 0,
    "edit_rate": 0.0,
    "together": 0,
    "agreement": None,
    "decisions_per_hour": 31.5,
    "people": 3,
    "caught": 2,
    "missed": 1,
}
ALL: dict[str, Any] = {
    "days": 30,
    "own": None,
    "total": ONE,
    "rules": [{"rule": "dlp.\u202email", "narrow": True, **ONE, "median_s": None}],
    "people": None,
    "people_min": 5,
    "indexed": 90,
    "size": 100,
}


def test_all_figures_are_tables_that_tell_what_to_do() -> None:
    """What is not told is a dash; a rule to be narrowed is named, with what it hides."""
    said = text(ALL)
    lines = said.splitlines()
    assert lines[0] == "Answers of the last 30 days; 10 events of the ledger are not counted yet"
    assert lines[2].split() == ["120", "99%", "4.2", "50%", "0%", "-", "31.5", "3", "2/3"]
    assert lines[5].split()[:4] == ["dlp.<U+202E>mail", "120", "99%", "-"]
    assert "People are named where at least 5 of them answered." in lines
    assert lines[-1].startswith("dlp.<U+202E>mail: nearly all it asks about is approved.")
    assert "\u202e" not in said


def test_people_stand_in_a_table_of_their_own() -> None:
    """Where they are told."""
    said = text({**ALL, "people": [{"person": "reviewer-1", **ONE}], "size": 90})
    assert "People are named" not in said
    assert "reviewer-1" in said.splitlines()[8]


@pytest.mark.parametrize(("mine", "asked"), [(True, {"days": "7", "mine": "true"}), (False, {})])
def test_what_is_asked(
    mine: bool,
    asked: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One's own figures are one line; without --mine the gateway decides whose are told."""
    seen: list[httpx.QueryParams] = []

    def answered(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.params)
        return httpx.Response(200, json={**ALL, "own": ONE, "total": None, "rules": None})

    gate = Gate("http://gateway", "k", httpx.MockTransport(answered))
    show(gate, argparse.Namespace(days=7, mine=mine, json=False))
    assert dict(seen[0]) == {"days": "7", **asked}
    assert len(capsys.readouterr().out.splitlines()) == 3

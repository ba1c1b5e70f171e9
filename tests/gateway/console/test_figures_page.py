from __future__ import annotations

from typing import Any

import pytest

from sekisho.console.figures_page import figures_page
from sekisho.console.render import page
from sekisho.model.principal import Principal, Role

ONE: dict[str, Any] = {
    "decisions": 1200,
    "approval_rate": 0.9917,
    "median_s": 4.25,
    "under_5_s_rate": 0.5,
    "edit_rate": None,
    "agreement": None,
    "decisions_per_hour": 31.5,
    "caught": 2,
    "missed": 1,
}
WITHHELD = {**dict.fromkeys(ONE), "decisions": 3, "approval_rate": 1.0}
ALL: dict[str, Any] = {
    "days": 30,
    "own": None,
    "total": ONE,
    "rules": [{**WITHHELD, "rule": "r.a", "narrow": True}],
    "people": None,
    "people_min": 5,
    "indexed": 90,
    "size": 100,
}
READER = Principal("auditor-1", frozenset({Role.AUDITOR}), frozenset(), credential="k")


def test_what_is_told_makes_groups() -> None:
    """All together and rules; people where they are named, nothing empty."""
    shown = figures_page(ALL, oversees=True)
    assert [group.kind for group in shown.groups] == ["total", "rules"]
    assert (shown.few, shown.behind, shown.mine) == (True, 10, False)
    named = figures_page({**ALL, "people": [{**ONE, "person": "p"}]}, oversees=True)
    assert [group.kind for group in named.groups] == ["total", "rules", "people"]
    assert not named.few
    own = figures_page({**ALL, "own": ONE, "total": None, "rules": None}, oversees=False)
    assert [group.kind for group in own.groups] == ["own"]
    assert not own.few


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_what_is_not_told_is_a_dash(language: str) -> None:
    """In every language; what there is, is a number beside a bar."""
    shown = figures_page(ALL, oversees=True)
    made = page("figures.html", language, "", page=shown, reader=READER)
    assert "1,200" in made
    assert "2/3" in made
    assert 'value="0.9917"' in made
    assert made.count("<td>–</td>") >= 6
    assert "None" not in made

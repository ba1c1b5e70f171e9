"""Openings read back from a carried state are what they were, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.break_glass_rules import BreakGlassRules
from sekisho_audit.carried_openings import read_break_glass
from sekisho_audit.carried_values import BadCarried
from sekisho_audit.rules import Book

LEAF = {"id": "o-1", "ts": 1, "actor": "p-1", "data": {"minutes": 5, "review_hours": 24}}
USE = {"id": "u-1", "ts": 2, "data": {"decision": "d-1"}}
ONE = {"leaf": LEAF, "used": 1, "ended": None, "halted_us": 9}
TOLD: dict[str, Any] = {
    "standing": [ONE],
    "named": [{"use": USE, "opening": ONE}],
    "cleared": [["x-1", ["o-1", "local"]], ["x-2", None]],
}


def _read(told: Any) -> BreakGlassRules:
    rules, kinds = Book().break_glass, list[str]()

    def leaf(found: Any, kind: str) -> Any:
        kinds.append(kind)
        return found

    read_break_glass(rules, told, leaf)
    assert set(kinds) == {"break_glass.opened", "break_glass.used"}
    return rules


def test_what_was_told_is_read() -> None:
    """Each leaf by its type, each use with the opening as it stood then."""
    assert _read(TOLD).told() == TOLD


@pytest.mark.parametrize(
    "other",
    [
        {"standing": [{**ONE, "used": "1"}]},
        {"standing": [{**ONE, "halted_us": 1.5}]},
        {"standing": [{**ONE, "more": 1}]},
        {"named": [{"use": USE}]},
        {"cleared": [["x-1", ["o-1"]]]},
        {"cleared": [["x-1", "o-1"]]},
        {"more": []},
    ],
)
def test_what_is_nearly_that_is_refused(other: dict[str, Any]) -> None:
    """Whoever wrote it."""
    with pytest.raises(BadCarried):
        _read({**TOLD, **other})

"""Timelines count everything and keep what can be read."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.exports import timeline
from sekisho_audit.exports.timeline import Timeline


def leaf(number: int, exchange: str | None, kind: str = "policy.decision") -> dict[str, Any]:
    data = {"effect": "deny"} if kind == "policy.decision" else {"status": "released"}
    return {
        "n": number,
        "type": kind,
        "exchange": exchange,
        "principal": "p-1",
        "actor": None,
        "data": data,
    }


def test_everything_is_counted_and_the_rest_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXCHANGES_SHOWN_MAX", "EVENTS_SHOWN_MAX", "SINGLES_SHOWN_MAX"):
        monkeypatch.setattr(timeline, name, 2)
    found = Timeline()
    for number in range(12):
        found.take(leaf(number, f"x-{number % 3}"))
    for number in range(12, 16):
        found.take(leaf(number, None, "backend.outcome"))
    assert (found.events, len(found.trails), found.singles_count, found.found) == (16, 3, 4, 7)
    assert found.effects == {"deny": 12}
    assert found.statuses == {"released": 4}
    assert [(one.exchange, len(one.leaves), one.unshown) for one in found.shown] == [
        ("x-0", 2, 2),
        ("x-1", 2, 2),
    ]
    assert len(found.singles) == 2


def test_an_exchange_of_two_owners_is_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a search counts them: nobody sees what is another's."""
    found = Timeline()
    found.take(leaf(0, "x"))
    found.take({**leaf(1, "x"), "principal": "p-2"})
    found.take({**leaf(2, "x"), "principal": None, "actor": "p-2"})
    assert found.found == 2

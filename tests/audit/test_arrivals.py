"""Who was named first after an erasure: only they are too new for what began before it."""

from __future__ import annotations

from typing import Any

from sekisho_audit.arrivals import Arrivals


def leaf(ts: int, kind: str = "request.received", **named: str | None) -> dict[str, Any]:
    return {"ts": ts, "type": kind, "principal": None, "actor": None, **named}


def arrivals(*leaves: dict[str, Any]) -> Arrivals:
    made = Arrivals()
    for one in leaves:
        made.apply(one)
    return made


def test_nobody_is_too_new_without_an_erasure() -> None:
    assert not arrivals(leaf(10, principal="p-1")).too_new("p-1", 1)


def test_who_was_there_before_goes_on() -> None:
    """Others, whose requests are under way while somebody is erased."""
    told = arrivals(leaf(10, principal="p-1"), leaf(20, "erasure.begun", actor="p-9"))
    assert not told.too_new("p-1", 15)


def test_who_came_after_has_no_part_in_what_began_before() -> None:
    told = arrivals(leaf(20, "erasure.begun"), leaf(30, principal="p-2"))
    assert told.too_new("p-2", 20)
    assert not told.too_new("p-2", 21)
    assert told.too_new("p-3", 15)  # no event has named them yet


def test_each_erasure_counts_by_itself() -> None:
    """One between a beginning and a first event, whatever came later."""
    told = arrivals(leaf(20, "erasure.begun"), leaf(30, actor="p-2"), leaf(40, "erasure.begun"))
    assert told.too_new("p-2", 10)
    assert not told.too_new("p-2", 25)
    assert not told.too_new("p-2", 35)

"""Exports under way belong to one connection; what they hold is one state of the ledger."""

from __future__ import annotations

import gc
from typing import Any, cast

import pytest

from sekisho_audit import export_desk
from sekisho_audit.errors import Refused
from sekisho_audit.export_desk import (
    EVENTS_MAX,
    Export,
    ExportDesk,
    Selection,
    covered,
    packed,
    page_of,
    selected,
)
from sekisho_audit.exports import bundle_form
from sekisho_audit.following import Question
from sekisho_audit.published import Excerpt


class Connection:
    """Something that can be forgotten."""


def export(*indices: int) -> Export:
    return Export(Selection(indices, 1, 9, 0, 0), 9, cast("Any", None), b"k")


def test_an_export_ends_with_its_connection() -> None:
    desk, one, other = ExportDesk(), Connection(), Connection()
    desk.begin(cast("Any", one), export(1))
    assert desk.of(cast("Any", one)).index == 9
    with pytest.raises(Refused, match="not recorded"):
        desk.of(cast("Any", other))
    del one
    gc.collect()
    assert not desk._open


def test_pages_end_with_the_event_of_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_desk, "PAGE_EVENTS", 2)
    one = export(1, 3, 5)
    assert [page_of(one, first) for first in (0, 2, 4)] == [(1, 3), (5, 9), ()]


def test_a_page_is_packed_in_two_pieces() -> None:
    lengths, leaves, paths = packed([Excerpt(1, b"ab", [b"x" * 32]), Excerpt(2, b"c", [])])
    assert (lengths, leaves, paths) == ([2, 1, 1, 0], b"abc", b"x" * 32)


def test_a_bundle_takes_what_an_export_may_be() -> None:
    assert EVENTS_MAX == bundle_form.EVENTS_MAX


class Pages:
    """A search index that answers from a list of pages, each in turn."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[tuple[str, str]] = []

    def submit(self, question: Question[Any]) -> None:
        question.answered(question.ask(self))

    def page(self, query: str, after: str, limit: int) -> dict[str, Any]:
        self.asked.append((query, after))
        return self.pages.pop(0)


def page(*events: list[int], after: str = "", indexed: int = 20) -> dict[str, Any]:
    data = [{"events": one} for one in events]
    return {"data": data, "after": after, "indexed": indexed, "erased": 2, "forgotten": 3}


async def test_all_pages_of_one_state_are_taken() -> None:
    """When the index is as far as the ledger was; later pages go by the first one's cursor."""
    search = Pages(
        page([1], indexed=9),
        page([8, 9], [5], after="20.5"),
        page([2, 4], indexed=25),
    )
    found = await selected(cast("Any", search), "q", 20)
    assert found == Selection((2, 4, 5, 8, 9), 3, 20, 2, 3)
    assert search.asked == [("q", ""), ("q", ""), ("q", "20.5")]


async def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_desk, "EVENTS_MAX", 3)
    with pytest.raises(Refused, match="narrow the query"):
        await selected(cast("Any", Pages(page([1, 2], [3, 4]))), "", 20)


async def test_what_is_late_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_desk, "SHOWN_S", 0.0)
    monkeypatch.setattr(export_desk, "_POLL_S", 0.001)
    behind = Pages(*[page(indexed=1) for _ in range(50)])
    with pytest.raises(Refused, match="behind the ledger"):
        await selected(cast("Any", behind), "", 20)


class Building:
    """A published log that has nothing to show."""

    async def shown(self) -> None:
        raise Refused("busy", "being built")


async def test_tiles_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_desk, "SHOWN_S", 0.02)
    with pytest.raises(Refused, match="late"):
        await covered(cast("Any", Building()), 5)

"""A query against the index: the whole set and the walk agree, now and as of an earlier size."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_audit import bits, index, index_query
from sekisho_audit.bits import descending
from sekisho_audit.index_query import Plan, TooBroad, words_known, words_of, words_then
from sekisho_audit.query import Query, Term, parse, resolved
from support.searches import (
    DAY_US,
    EXCHANGES,
    NAMES,
    PEOPLE,
    START_US,
    World,
    expected,
    leaf_of,
    open_index,
    queries,
    received,
    unsearched,
    worlds,
)

pytestmark = pytest.mark.long

ALL = 2**62


@settings(max_examples=200, deadline=None)
@given(
    worlds(),
    queries(),
    st.integers(0, 14),
    st.sampled_from([(-1, 0), (99, 0), (99, 0.5), (99, 99)]),
)
def test_the_set_the_walk_and_the_past_agree_with_reading_everything(
    world: World, asked: Query, size: int, looked_up: tuple[int, float]
) -> None:
    """For fields, times and phrases, negated or not, by sets of trails or trail by trail."""
    size = min(size, len(world.leaves))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_query, "_FEW", looked_up[0])
        patch.setattr(index_query, "_READ_PER_WORD", looked_up[1])
        rows, built, _ = open_index(Path(folder) / "search.db", world)
        built.take(world.numbered())
        plan = Plan(rows, built._blind, resolved(asked, NAMES.get))

        def events(trail: int, end: int) -> tuple[int, ...]:
            sql = "SELECT n FROM events WHERE trail = ? AND n < ? ORDER BY n"
            return tuple(n for (n,) in rows.read(sql, (trail, end)))

        now = expected(world, asked)
        assert [events(trail, ALL) for trail in descending(plan.found(0))] == now
        walked = plan.newest(0, ALL, frozenset(), len(world.leaves))
        assert [events(trail, ALL) for trail in walked] == now
        assert plan.unsearched(0).bit_count() == unsearched(world, asked)
        (below,) = rows.read("SELECT COUNT(*) FROM trails WHERE first < ?", (size,))[0]
        changed = frozenset(
            t for (t,) in rows.read("SELECT trail FROM events WHERE n >= ?", (size,))
        )
        then = plan.newest(0, below, changed, size)
        assert [events(trail, size) for trail in then] == expected(world, asked, size)
        rows.close()


def test_trails_of_several_blocks_and_spans_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 16 and spans of 4, so that a small world has many; clocks that jump included."""
    for module in (bits, index, index_query):
        monkeypatch.setattr(module, "BLOCK_BITS", 16)
    monkeypatch.setattr(bits, "BITMAP_BYTES", 2)
    for module in (index, index_query):
        monkeypatch.setattr(module, "SPAN_TRAILS", 4)
    monkeypatch.setattr(bits, "_LISTED_MAX", 0)
    leaves = tuple(
        leaf_of(
            n,
            "request.received",
            received(f"m-{n % 5}"),
            exchange=f"01a0b1c2-0000-7000-8000-{n:012x}",
            ts=START_US + (n * 7 % 50) * DAY_US // 10,
        )
        for n in range(50)
    )
    world = World(leaves, {})
    rows, built, _ = open_index(tmp_path / "search.db", world)
    built.take(world.numbered(0, 21))
    built.take(world.numbered(21))
    for text in (
        "model:m-1",
        "-model:m-1",
        "after:2024-10-05",
        "after:2024-10-05T12:00 before:2024-10-06T18:00 -model:m-*1",
        f"exchange:{leaves[37]['exchange']} exchange:{leaves[3]['exchange']}",
        f"-exchange:{leaves[37]['exchange']}",
    ):
        asked = parse(text)
        plan = Plan(rows, built._blind, asked)
        found = [
            block * 16 + place
            for block in range(3, -1, -1)
            for place in descending(plan.found(block))
        ]
        assert [(trail,) for trail in found] == expected(world, asked)
        assert found
    rows.close()


def test_a_pattern_that_means_too_many_words_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients name models: their number is not ours to choose."""
    monkeypatch.setattr(index_query, "PATTERN_WORDS_MAX", 2)
    leaves = tuple(leaf_of(n, "request.received", received(f"m-{n}")) for n in range(3))
    rows, built, search = open_index(tmp_path / "search.db", World(leaves, {}))
    built.take(World(leaves, {}).numbered())
    with pytest.raises(TooBroad, match="3 words"):
        Plan(rows, built._blind, parse("model:m*"))
    with pytest.raises(TooBroad):
        search.page(parse("model:m*"), "", 1)
    assert search.page(parse("model:m-1"), "", 1).found
    rows.close()


def test_our_own_signs_cannot_be_asked_for_and_are_not_shown(tmp_path: Path) -> None:
    """They are no words of the ledger."""
    world = World((leaf_of(0, "hold.review", unstored=("reason",)),), {})
    rows, built, _ = open_index(tmp_path / "search.db", world)
    built.take(world.numbered())
    assert words_of(words_known(rows, words_then(rows, 0)), words_then(rows, 0)) == {
        "principal": (PEOPLE[0],),
        "type": ("hold.review",),
    }
    assert Plan(rows, built._blind, Query((Term("exchange", EXCHANGES[0]),))).found(0) == 1
    rows.close()

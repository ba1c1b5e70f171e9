"""Searching: what a scan of everything finds, page by page while the ledger grows, and counts."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_audit import search as module
from sekisho_audit.bad_query import BadQuery
from sekisho_audit.index_file import SqliteRows
from sekisho_audit.query import FIELDS, Phrase, Query, Term, parse, text_of
from sekisho_audit.search import FACETS, BadCursor, Facet, Search
from sekisho_audit.tokens import Blind
from support.searches import (
    EXCHANGES,
    KEY,
    NAMES,
    ORIGIN,
    PEOPLE,
    START_US,
    World,
    all_pages,
    counted,
    decided,
    expected,
    leaf_of,
    open_index,
    outcome,
    places,
    queries,
    received,
    unsearched,
    worlds,
)


@settings(max_examples=200, deadline=None)
@given(worlds(), queries(), st.integers(1, 4))
def test_a_search_finds_what_a_scan_of_everything_finds(
    world: World, asked: Query, limit: int
) -> None:
    """All pages together, in order, with how far and how many could not be searched."""
    with tempfile.TemporaryDirectory() as folder:
        rows, index, search = open_index(Path(folder) / "search.db", world)
        index.take(world.numbered())
        assert places(all_pages(search, asked, limit)) == expected(world, asked)
        page = search.page(asked, "", limit)
        assert page.indexed == len(world.leaves)
        assert page.erased == unsearched(world, asked)
        assert page.forgotten == 0
        assert bool(page.after) is (len(expected(world, asked)) > limit)
        rows.close()


@settings(deadline=None)
@given(worlds(), queries(), st.sampled_from([0, 10_000]))
def test_counts_are_those_of_a_scan(world: World, asked: Query, few: int) -> None:
    """On both ways of counting: trail by trail, and word by word."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        rows, index, search = open_index(Path(folder) / "search.db", world)
        index.take(world.numbered())
        facets = search.facets(asked)
        assert facets.total == len(expected(world, asked))
        assert facets.erased == unsearched(world, asked)
        for name in FACETS:
            assert dict(facets.fields[name].counts) == counted(world, asked, name)
            numbers = [number for _, number in facets.fields[name].counts]
            assert numbers == sorted(numbers, reverse=True)
        rows.close()


@settings(max_examples=200, deadline=None)
@given(worlds(), queries(), st.integers(1, 3), st.lists(st.integers(0, 14), max_size=5))
def test_pages_tell_the_state_of_the_first_while_events_are_appended(
    world: World, asked: Query, limit: int, sizes: list[int]
) -> None:
    """Between any two pages the ledger may grow, also within exchanges that are yet to come."""
    with tempfile.TemporaryDirectory() as folder:
        rows, index, search = open_index(Path(folder) / "search.db", world)
        grown = sorted(min(size, len(world.leaves)) for size in sizes)
        first = grown.pop(0) if grown else len(world.leaves)
        index.take(world.numbered(0, first))
        page = search.page(asked, "", limit)
        found = [*page.found]
        while page.after:
            if grown:
                index.take(world.numbered(index.indexed, grown.pop(0)))
            page = search.page(asked, page.after, limit)
            assert page.indexed == first
            found += page.found
        assert places(found) == expected(world, asked, first)
        rows.close()


@pytest.mark.parametrize("text", ["-effect:deny", "effect:deny"])
def test_the_very_next_event_does_not_reach_into_pages_under_way(tmp_path: Path, text: str) -> None:
    """One exchange that began early is denied right after the first page."""
    leaves = tuple(
        leaf_of(n, "policy.decision", decided(effect), exchange=EXCHANGES[at])
        for n, (at, effect) in enumerate(
            [
                *[(0, "allow"), (1, "allow"), (2, "deny"), (3, "allow"), (4, "deny")],
                *[(2, "hold"), (0, "deny")],
            ]
        )
    )
    world = World(leaves, {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered(0, 6))
    page = search.page(parse(text), "", 1)
    index.take(world.numbered(6))
    rest = search.page(parse(text), page.after, 9)
    assert places([*page.found, *rest.found]) == expected(world, parse(text), 6)
    rows.close()


def test_pages_are_whole_while_another_connection_appends_all_the_time(tmp_path: Path) -> None:
    """Every walk equals a scan of what its first page had seen."""
    count = 4_000
    leaves = tuple(
        leaf_of(
            n,
            "policy.decision",
            decided(["allow", "deny", "hold"][n % 3], [f"r{n % 4}"]),
            # Exchanges go on long after they began.
            exchange=f"01a0b1c2-0000-7000-8000-{n * 7919 % 600:012x}",
        )
        for n in range(count)
    )
    world = World(leaves, {})
    path = tmp_path / "search.db"
    rows, index, _ = open_index(path, world)
    index.take(world.numbered(0, 500))
    rows.close()
    walked = threading.Event()

    def append() -> None:
        writing, growing, _ = open_index(path, world)
        while growing.indexed < count and not walked.wait(0.003):
            growing.take(world.numbered(growing.indexed, growing.indexed + 5))
        writing.close()

    thread = threading.Thread(target=append)
    thread.start()
    blind = Blind(KEY)
    rows = SqliteRows(path, ORIGIN, blind.check)
    search = Search(rows, blind, NAMES.get)
    sizes = set()
    for text in ("effect:deny -rule:r1", "-effect:allow", "rule:r2 effect:hold") * 2:
        asked = parse(text)
        page = search.page(asked, "", 7)
        size, found = page.indexed, [*page.found]
        while page.after:
            page = search.page(asked, page.after, 7)
            found += page.found
        assert places(found) == expected(world, asked, size)
        sizes.add(size)
    walked.set()
    thread.join()
    rows.close()
    assert len(sizes) > 3, "nothing was appended meanwhile: the test shows nothing"


def test_a_cursor_outlives_forgetting_and_building_anew(tmp_path: Path) -> None:
    """It names a place in the ledger, not a row."""
    leaves = tuple(
        leaf_of(n, "hold.review", exchange=EXCHANGES[n], principal=PEOPLE[n % 3]) for n in range(5)
    )
    world = World(leaves, {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    page = search.page(Query(), "", 2)
    assert places(page.found) == [(4,), (3,)]
    index.forget([PEOPLE[0]])
    assert places(search.page(Query(), page.after, 9).found) == [(2,), (1,)]
    rows.close()
    gone = {PEOPLE[0]}
    rows, index, search = open_index(tmp_path / "new.db", world, lambda name: name not in gone)
    index.take(world.numbered())
    assert places(search.page(Query(), page.after, 9).found) == [(2,), (1,)]
    rows.close()


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3", "9.0", "-1.0", "1.0 ", "1.0; DROP TABLE x"])
def test_what_is_no_cursor_is_refused(tmp_path: Path, cursor: str) -> None:
    """Also one of an index that knows less."""
    world = World((leaf_of(0, "hold.review"),), {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    with pytest.raises(BadCursor):
        search.page(Query(), cursor, 1)
    rows.close()


def test_what_is_found_says_what_the_exchange_did(tmp_path: Path) -> None:
    """Its events, its words, when it began and what it cost, over all its events."""
    leaves = (
        leaf_of(0, "request.received", received()),
        leaf_of(1, "key.created", {"key": "k"}, exchange=None, principal=None),
        leaf_of(2, "policy.decision", decided("hold", ["b", "a"]), actor=PEOPLE[2]),
        leaf_of(3, "backend.outcome", outcome(spend=5)),
        leaf_of(4, "backend.outcome", outcome("failed", spend=2)),
    )
    world = World(leaves, {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    alone, whole = search.page(Query(), "", 9).found
    assert (alone.exchange, alone.owner, alone.events) == (None, None, (1,))
    assert (whole.exchange, whole.owner, whole.begun_us) == (EXCHANGES[0], PEOPLE[0], START_US)
    assert whole.events == (0, 2, 3, 4)
    assert (whole.spend_micros, whole.tokens) == (7, 14)
    assert whole.words["rule"] == ("a", "b")
    assert whole.words["status"] == ("failed", "released")
    assert whole.words["actor"] == (PEOPLE[2],)
    rows.close()


def test_a_long_list_of_counts_is_cut_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most frequent ones are kept."""
    monkeypatch.setattr(module, "FACET_WORDS_MAX", 1)
    leaves = tuple(
        leaf_of(n, "request.received", received(f"m-{n % 2}"), exchange=EXCHANGES[n])
        for n in range(3)
    )
    world = World(leaves, {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    assert search.facets(Query()).fields["model"] == Facet((("m-0", 2),), 1)
    rows.close()


def test_a_page_is_never_longer_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor empty because somebody asked for none."""
    monkeypatch.setattr(module, "PAGE_MAX", 2)
    leaves = tuple(leaf_of(n, "hold.review", exchange=EXCHANGES[n]) for n in range(4))
    world = World(leaves, {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    assert len(search.page(Query(), "", 99).found) == 2
    assert len(search.page(Query(), "", 0).found) == 1
    rows.close()


_ATTACKS = (
    "' OR '1'='1",
    "'; DROP TABLE events; --",
    '" OR 1=1 --',
    "x') UNION SELECT owner FROM trails --",
    "%",
    "_",
    "\\",
    "a\0b",
    "?1",
    ":name",
    "$(id)",
    "NULL",
)


@pytest.mark.parametrize("attack", _ATTACKS)
def test_nothing_asked_is_ever_run(tmp_path: Path, attack: str) -> None:
    """In every field, as a value, a pattern and a phrase: it is a word like others, or refused."""
    leaves = (
        leaf_of(0, "request.received", received(attack), texts=("prompt",)),
        leaf_of(1, "request.received", received("m"), exchange=EXCHANGES[1]),
    )
    world = World(leaves, {(0, "prompt"): attack})
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    dump = list(rows._db.iterdump())
    for name in FIELDS:
        for pattern in (False, True):
            term = Term(name, attack + "*" * pattern, pattern)
            asked = Query((term,))
            assert places(all_pages(search, asked)) == ([(0,)] if name == "model" else [])
            search.facets(asked)
            negated = Query((Term(name, term.value, pattern, negated=True),))
            assert len(all_pages(search, negated)) == (1 if name == "model" else 2)
    assert places(all_pages(search, parse(text_of(Query((Term("model", attack),)))))) == [(0,)]
    try:
        asked = parse(text_of(Query((), (Phrase(attack),))))
    except BadQuery as refused:
        # Signs only: there is no letter in it.
        assert not any(char.isalnum() for char in attack), refused  # noqa: PT017 - both may happen
    else:
        assert places(all_pages(search, asked)) == [(0,)]
    index.forget([attack])
    assert list(rows._db.iterdump()) == dump
    rows.close()

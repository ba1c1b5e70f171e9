"""Building the index: in any steps, again, killed anywhere, without those who were forgotten."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_audit import index as module
from sekisho_audit.index import Gap
from sekisho_audit.query import Query, parse
from support.searches import (
    EXCHANGES,
    PEOPLE,
    World,
    all_pages,
    decided,
    expected,
    knows_all,
    leaf_of,
    open_index,
    places,
    queries,
    received,
    unsearched,
    worlds,
)

EVERYTHING = Query()


@contextmanager
def opened(world: World, knows: Callable[[str], bool] = knows_all) -> Iterator[tuple]:
    """A new index with nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        rows, index, search = open_index(Path(folder) / "search.db", world, knows)
        yield rows, index, search
        rows.close()


@settings(deadline=None)
@given(worlds(), st.lists(st.integers(0, 14), max_size=4), queries())
def test_steps_of_any_size_and_repetitions_build_the_same(
    world: World, steps: list[int], asked: Query
) -> None:
    """What is known is passed over; the result is that of one step."""
    with opened(world) as (_, index, search):
        for end in steps:
            index.take(world.numbered(0, end))
        index.take(world.numbered())
        assert index.indexed == len(world.leaves)
        assert places(all_pages(search, asked)) == expected(world, asked)


def test_a_gap_is_refused_and_nothing_of_the_step_is_kept(tmp_path: Path) -> None:
    """An index with a hole would answer as if it were whole."""
    world = World(tuple(leaf_of(n, "hold.review") for n in range(4)), {})
    rows, index, _ = open_index(tmp_path / "search.db", world)
    index.take(world.numbered(0, 1), lambda: b"one")
    with pytest.raises(Gap, match="wants event 2, not 3"):
        index.take([*world.numbered(1, 2), *world.numbered(3)], lambda: b"bad")
    rows.close()
    rows, index, _ = open_index(tmp_path / "search.db", world)
    assert (index.indexed, index.place) == (1, b"one")
    index.take(world.numbered(1), lambda: b"all")
    assert (index.indexed, index.place) == (4, b"all")
    rows.close()


class Killed(BaseException):
    """As if the process ended here."""


@settings(max_examples=40, deadline=None)
@given(worlds(events_max=8), st.integers(0, 60), queries())
def test_ended_at_any_statement_the_index_goes_on_as_if_built_anew(
    world: World, statements: int, asked: Query
) -> None:
    """Nothing of the step is there, and reading on gives what one step would have given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "search.db"
        rows, index, _ = open_index(path, world)
        half = len(world.leaves) // 2
        index.take(world.numbered(0, half))
        left = statements

        def count(_what: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        write, read = rows.write, rows.read
        rows.write = lambda sql, values: (count(sql), write(sql, values))[1]
        rows.read = lambda sql, values=(): (count(sql), read(sql, values))[1]
        ended = False
        try:
            index.take(world.numbered(half))
        except Killed:
            ended = True
        rows.close()
        rows, index, search = open_index(path, world)
        assert index.indexed == (half if ended else len(world.leaves))
        index.take(world.numbered(index.indexed))
        assert places(all_pages(search, asked)) == expected(world, asked)
        rows.close()


_BUILDER = """
import itertools, pathlib, sys
from support.searches import World, leaf_of, open_index, received, EXCHANGES
path = pathlib.Path(sys.argv[1])
leaves = tuple(
    leaf_of(n, "request.received", received(f"m-{n % 7}"),
            exchange=f"01a0b1c2-0000-7000-8000-{n // 2:012x}", texts=("prompt",))
    for n in range(4_000))
world = World(leaves, {(n, "prompt"): f"身份证 {n}" for n in range(4_000)})
rows, index, search = open_index(path, world)
print("ready", flush=True)
while index.indexed < 4_000:
    index.take(world.numbered(index.indexed, index.indexed + 13))
    print(index.indexed, flush=True)
"""


def test_killed_for_good_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL at some moment of building; what it had said was done is there, and all is whole."""
    path = tmp_path / "search.db"
    leaves = tuple(
        leaf_of(
            n,
            "request.received",
            received(f"m-{n % 7}"),
            exchange=f"01a0b1c2-0000-7000-8000-{n // 2:012x}",
            texts=("prompt",),
        )
        for n in range(4_000)
    )
    world = World(leaves, {(n, "prompt"): f"身份证 {n}" for n in range(4_000)})
    tests = Path(__file__).parents[1]
    told = 0
    for lines in (1, 3, 9, 20):
        process = subprocess.Popen(
            [sys.executable, "-c", _BUILDER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tests)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(lines):
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    rows, index, search = open_index(path, world)
    assert told <= index.indexed < 4_000
    index.take(world.numbered(index.indexed))
    for text in ("model:m-3", '"证 77"', '"身份证" -model:m-*'):
        asked = parse(text)
        assert places(all_pages(search, asked, 200)) == expected(world, asked)
    assert len(expected(world, parse('"证 77"'))) == 1
    rows.close()


# -- forgetting


@settings(deadline=None)
@given(worlds(), st.sampled_from(PEOPLE), queries(), st.integers(0, 14))
def test_after_forgetting_it_answers_as_if_the_person_had_never_been(
    world: World, who: str, asked: Query, before: int
) -> None:
    """Whether the rows were deleted, left out while reading on, or by building anew."""
    gone: set[str] = set()
    with opened(world, lambda name: name not in gone) as (_, index, search):
        index.take(world.numbered(0, before))
        gone.add(who)
        index.forget([who])
        assert index.forget([who]) == 0
        index.take(world.numbered(before))
        deleted = [search.page(asked, "", 200), search.facets(asked)]
    with opened(world, lambda name: name not in gone) as (_, index, search):
        index.take(world.numbered())
        assert [search.page(asked, "", 200), search.facets(asked)] == deleted
    page = deleted[0]
    assert places(page.found) == expected(world, asked, gone=gone)
    assert page.erased == unsearched(world, asked, gone=gone)
    owned = [leaf for leaf in world.leaves if (leaf["principal"] or leaf["actor"]) in gone]
    assert page.forgotten == len(owned)


def _secrets(world: World, index: module.Index, who: str) -> list[bytes]:
    """Bytes that stand for one person in an index: ids, words, labels of their texts."""
    mine = [leaf for leaf in world.leaves if leaf["principal"] == who]
    blind = index._blind
    labels: set[bytes] = set()
    others: set[bytes] = set()
    for (n, _), text in world.texts.items():
        kept = labels if world.leaves[n]["principal"] == who else others
        kept |= blind.labels_of(blind.tokens_of(text or ""))
    return [
        who.encode(),
        *(leaf["exchange"].encode() for leaf in mine),
        *(leaf["data"]["model"].encode() for leaf in mine),
        *(labels - others),
    ]


def test_no_byte_of_a_forgotten_person_remains(tmp_path: Path) -> None:
    """Not in the file, not in its log: ids, words nobody else used, labels, sealed sequences."""
    leaves, texts = [], {}
    for n in range(1_200):
        who = n % 3
        leaves.append(
            leaf_of(
                n,
                "request.received",
                received(f"model-of-{who}"),
                exchange=f"01a0b1c2-0000-7000-8000-{n:012x}",
                principal=PEOPLE[who],
                actor=PEOPLE[(n + 1) % 3],
                texts=("prompt",),
            )
        )
        texts[n, "prompt"] = f"共同的文字 word{n} 号{'甲乙丙'[who]}{chr(0x4E00 + n)}"
    world = World(tuple(leaves), texts)
    path = tmp_path / "search.db"
    rows, index, search = open_index(path, world)
    for start in range(0, 1_200, 70):
        index.take(world.numbered(start, start + 70))
    secrets = _secrets(world, index, PEOPLE[1])
    sealed = [row[0] for row in rows.read("SELECT sequence FROM texts WHERE n % 3 = 1")]
    rows.scrub()
    before = path.read_bytes()
    assert len(sealed) == 400
    assert all(secret in before for secret in [*secrets, *sealed])

    assert index.forget([PEOPLE[1]]) == 400

    after = b"".join(item.read_bytes() for item in tmp_path.iterdir() if "-shm" not in item.name)
    assert [secret for secret in [*secrets, *sealed] if secret in after] == []
    assert search.facets(EVERYTHING).total == 800
    assert PEOPLE[0].encode() in after
    rows.close()


def test_what_a_forgotten_person_did_for_others_stays_without_the_name(tmp_path: Path) -> None:
    """The review is there, the reviewer is not."""
    leaves = (leaf_of(0, "hold.review", actor=PEOPLE[2]), leaf_of(1, "hold.review"))
    rows, index, search = open_index(tmp_path / "search.db", World(leaves, {}))
    index.take(World(leaves, {}).numbered())
    assert places(all_pages(search, parse("actor:reviewer-1"))) == [(0, 1)]
    index.forget([PEOPLE[2]])
    assert all_pages(search, parse("actor:reviewer-1")) == []
    (found,) = all_pages(search, EVERYTHING)
    assert found.events == (0, 1)
    assert "actor" not in found.words
    rows.close()


def test_numbers_of_the_forgotten_are_not_given_again(tmp_path: Path) -> None:
    """A word that comes later must not be taken for one that was deleted."""
    leaves = (
        leaf_of(0, "hold.review", actor=PEOPLE[1]),
        leaf_of(1, "hold.review", principal=PEOPLE[1], exchange=EXCHANGES[1]),
        leaf_of(2, "hold.review", principal=PEOPLE[2], exchange=EXCHANGES[2], actor=PEOPLE[3]),
    )
    world = World(leaves, {})
    rows, index, _ = open_index(tmp_path / "search.db", world)
    index.take(world.numbered(0, 2))
    index.forget([PEOPLE[1]])
    rows.close()
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered(2))
    assert [found.words.get("actor") for found in all_pages(search, EVERYTHING)] == [
        (PEOPLE[3],),
        None,
    ]
    assert rows.read("SELECT trail FROM trails ORDER BY trail") == [(0,), (2,)]
    rows.close()


# -- bounds and texts


def test_a_text_that_is_too_long_counts_as_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not searched in half."""
    monkeypatch.setattr(module, "TEXT_CHARS_MAX", 10)
    world = World(
        (leaf_of(0, "request.received", received(), texts=("prompt",)),), {(0, "prompt"): "x" * 11}
    )
    rows, index, search = open_index(tmp_path / "search.db", world)
    index.take(world.numbered())
    assert search.page(parse("y"), "", 9).erased == 1
    rows.close()


def test_the_opener_is_asked_only_for_texts_that_were_stored(tmp_path: Path) -> None:
    """Nothing is decrypted that nobody searches."""
    leaf = leaf_of(0, "policy.decision", decided(), texts=("input", "answer"), unstored=("prompt",))
    asked: list[str] = []
    world = World((leaf,), {(0, "answer"): "x"})
    rows, index, _ = open_index(tmp_path / "search.db", world)
    index._opener = lambda of, name: (asked.append(name), world.opener(of, name))[1]
    index.take(world.numbered())
    assert asked == ["answer"]
    rows.close()


def test_small_caches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that goes on after it fell out of the cache is the same trail."""
    monkeypatch.setattr(module, "_EXCHANGES_CACHED", 1)
    monkeypatch.setattr(module, "_WORDS_CACHED", 1)
    leaves = tuple(leaf_of(n, "hold.review", exchange=EXCHANGES[n % 3]) for n in range(9))
    world = World(leaves, {})
    rows, index, search = open_index(tmp_path / "search.db", world)
    for n in range(9):
        index.take(world.numbered(n, n + 1))
        assert len(index._exchanges) <= 1
        assert len(index._words) <= 3
    assert places(all_pages(search, EVERYTHING)) == [(2, 5, 8), (1, 4, 7), (0, 3, 6)]
    assert rows.read("SELECT COUNT(*) FROM words WHERE field = 'type'") == [(1,)]
    rows.close()


def test_an_error_of_the_database_comes_through(tmp_path: Path) -> None:
    """The caller throws the file away; nothing is swallowed."""
    world = World((leaf_of(0, "hold.review"),), {})
    rows, index, _ = open_index(tmp_path / "search.db", world)
    rows.write("DROP TABLE spans", [()])
    with pytest.raises(sqlite3.OperationalError):
        index.take(world.numbered())
    rows.close()

"""Hashes by level: the same files however often it was broken off; nothing beyond what is there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho_audit.ledger import Ledger
from sekisho_audit.level_files import Damaged, LevelFiles, remove
from sekisho_audit.scan import EVENTS, BrokenSegment, frames, segments
from sekisho_audit.tiles import WIDTH, NoTile, Tree
from sekisho_audit.tree import leaf_hash, root_of
from support.ledgers import open_ledger, run_exchange

SEGMENT_BYTES = 100_000


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path_factory.mktemp("l"), segment_bytes=SEGMENT_BYTES)
    opened.open_session("s-1", 1)
    while opened.size < 2 * WIDTH + 90:
        run_exchange(opened, "s-1")
    yield opened
    opened.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tiles"


def bodies(ledger: Ledger) -> list[bytes]:
    return [
        frame.body
        for segment in segments(ledger.directory, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


@pytest.mark.parametrize("step", [1, 7, 255, 256, 257, 10_000])
def test_any_step_and_any_break_gives_the_same_files(
    directory: Path, ledger: Ledger, step: int
) -> None:
    """Opened anew after each few steps, as after a crash."""
    whole = LevelFiles(directory / "whole", ledger.directory)
    whole.advance(ledger.size, 10_000)
    chance, more = random.Random(step), True  # noqa: S311 - where it breaks
    while more:
        files = LevelFiles(directory / "steps", ledger.directory)
        for _ in range(chance.randrange(1, 40)):
            more = files.advance(ledger.size, step)
        files.close()
    for path in (directory / "whole").iterdir():
        assert path.read_bytes() == (directory / "steps" / path.name).read_bytes(), path.name
    whole.close()


def test_the_tree_is_not_read_beyond_what_is_durable(directory: Path, ledger: Ledger) -> None:
    files = LevelFiles(directory, ledger.directory)
    assert files.advance(10, 10_000)
    assert files.size == 10
    assert not files.advance(10, 10_000)
    with pytest.raises(NoTile):
        files.hashes(0, 10, 1)
    assert Tree(files).root(10) == root_of([leaf_hash(body) for body in bodies(ledger)[:10]])
    files.close()


@pytest.mark.parametrize("first", [0, 1, 255, 256, 257, 511, 512, 2 * WIDTH + 80])
def test_events_are_found_wherever_they_stand(directory: Path, ledger: Ledger, first: int) -> None:
    """At borders of blocks and of segments alike."""
    files = LevelFiles(directory, ledger.directory)
    files.advance(ledger.size, 10_000)
    wanted = bodies(ledger)[first : first + 5]
    assert [event.body for event in files.events(first, 5)] == wanted
    with pytest.raises(BrokenSegment, match="not all there"):
        files.events(ledger.size - 2, 5)
    files.close()


def test_a_ledger_shorter_than_told_is_noticed(directory: Path, ledger: Ledger) -> None:
    files = LevelFiles(directory, ledger.directory)
    with pytest.raises(Damaged, match="shorter than it says"):
        files.advance(ledger.size + 1, 10_000)
    files.close()


def test_removed_files_are_begun_anew(directory: Path, ledger: Ledger) -> None:
    files = LevelFiles(directory, ledger.directory)
    files.advance(ledger.size, 300)
    files.close()
    remove(directory)
    remove(directory)
    fresh = LevelFiles(directory, ledger.directory)
    assert fresh.size == 0
    fresh.close()

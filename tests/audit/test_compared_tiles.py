"""Tiles are those of the entries or are named, and roots of any size can be told afterwards."""

from __future__ import annotations

import pytest

from sekisho_audit.compared_tiles import ComparedTiles, WrongTile
from sekisho_audit.tiles import WIDTH, MemoryLevels, NoTile, TilePath, Tree, tile_paths
from sekisho_audit.tree import HASH_BYTES, leaf_hash


class Served:
    """A log in memory."""

    def __init__(self, size: int) -> None:
        self.size, self.levels = size, MemoryLevels()
        self.asked: list[TilePath] = []
        self.wrong: TilePath | None = None
        for number in range(size):
            self.levels.append(leaf_hash(b"%d" % number))

    def get(self, path: TilePath) -> bytes:
        self.asked.append(path)
        found = self.levels.hashes(path.level or 0, path.index * WIDTH, path.width)
        return found[:-1] + b"?" if path == self.wrong else found

    def read(self) -> ComparedTiles:
        tiles = ComparedTiles(self.get)
        for first in range(0, self.size, WIDTH):
            count = min(WIDTH, self.size - first)
            hashes = self.levels.hashes(0, first, count)
            tiles.append(hashes[: 3 * HASH_BYTES])
            if count > 3:
                tiles.append(hashes[3 * HASH_BYTES :])
        tiles.finish()
        return tiles


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 700, 1_024])
def test_every_tile_is_asked_once_and_every_root_told(size: int) -> None:
    served = Served(size)
    tiles = served.read()
    assert sorted(map(str, served.asked)) == sorted(map(str, tile_paths(size)))
    whole = Tree(served.levels)
    for asked in {0, 1, 2, 3, 255, 256, 257, 300, 511, 512, 513, size - 1, size}:
        if 0 <= asked <= size:
            assert tiles.root(asked) == whole.root(asked)
    with pytest.raises(NoTile):
        tiles.root(size + 1)


def test_three_levels_are_compared() -> None:
    served = Served(WIDTH * WIDTH + 3)
    tiles = served.read()
    assert TilePath(2, 0, 1) in served.asked
    assert tiles.root(WIDTH * WIDTH + 2) == Tree(served.levels).root(WIDTH * WIDTH + 2)
    served.wrong = TilePath(2, 0, 1)
    with pytest.raises(WrongTile):
        served.read()


@pytest.mark.parametrize("wrong", list(tile_paths(600)))
def test_a_wrong_tile_is_named(wrong: TilePath) -> None:
    served = Served(600)
    served.wrong = wrong
    with pytest.raises(WrongTile) as caught:
        served.read()
    assert caught.value.file == f"tile/{wrong}"


def test_a_tile_that_is_another_when_asked_again() -> None:
    """A root is told from what was compared, and of nothing that came later."""
    served = Served(600)
    tiles = served.read()
    served.wrong = TilePath(0, 1)
    assert tiles.root(256) == Tree(served.levels).root(256)
    with pytest.raises(WrongTile):
        tiles.root(300)

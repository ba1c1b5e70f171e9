"""Proofs from tiles against the plain recursion of RFC 6962 and against forged paths."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.tiles import (
    WIDTH,
    MemoryLevels,
    NoTile,
    TilePath,
    Tree,
    tile_paths,
    tile_root,
)
from sekisho_audit.tree import (
    HASH_BYTES,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

SIZE = 4_096
LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(SIZE + 1)]


@pytest.fixture(scope="module")
def levels() -> MemoryLevels:
    made = MemoryLevels()
    for leaf in LEAVES:
        made.append(leaf)
    return made


@pytest.fixture(scope="module")
def tree(levels: MemoryLevels) -> Tree:
    return Tree(levels)


def test_every_size_has_the_root_and_proofs_of_the_plain_recursion(tree: Tree) -> None:
    """All sizes up to 4,096; the last, the first and some leaves between, and some old sizes."""
    chance = random.Random(6962)  # noqa: S311 - which leaves are tried
    root_before = root_of([])
    for size in range(1, SIZE + 1):
        root = tree.root(size)
        for index in {0, size - 1, chance.randrange(size)}:
            verify_inclusion(LEAVES[index], index, size, tree.inclusion(index, size), root)
        for old in {max(1, size - 1), chance.randrange(1, size + 1)}:
            before = root_before if old == size - 1 else tree.root(old)
            verify_consistency(old, size, before, root, tree.consistency(old, size))
        root_before = root


@pytest.mark.parametrize("size", [1, 2, 3, 7, 255, 256, 257, 300, 511, 512, 513, 1_000])
def test_proofs_are_the_ones_of_the_rfc_hash_for_hash(tree: Tree, size: int) -> None:
    """Not only valid, but the same path."""
    leaves = LEAVES[:size]
    assert tree.root(size) == root_of(leaves)
    for index in {0, 1 % size, size // 2, size - 1}:
        assert tree.inclusion(index, size) == inclusion_proof(leaves, index)
    for old in {1, size // 2 or 1, max(1, size - 1), size}:
        assert tree.consistency(old, size) == consistency_proof(leaves, old)


def test_three_levels(tree: Tree) -> None:
    """65,536 leaves and some more fill a tile of level 1."""
    levels = MemoryLevels()
    for number in range(66_000):
        levels.append(LEAVES[number % SIZE])
    deep = Tree(levels)
    root = deep.root(66_000)
    assert levels.hashes(2, 0, 1) == deep.root(65_536)
    for index in (0, 65_535, 65_536, 65_999, 40_000):
        leaf = LEAVES[index % SIZE]
        verify_inclusion(leaf, index, 66_000, deep.inclusion(index, 66_000), root)
    for old in (1, 256, 65_535, 65_536, 65_537):
        verify_consistency(old, 66_000, deep.root(old), root, deep.consistency(old, 66_000))


def test_an_older_size_after_a_newer_one_is_still_right(levels: MemoryLevels) -> None:
    """A tile that is kept is one of its width."""
    tree = Tree(levels)
    for size in (300, 600, 513, 257, 4_096, 256):
        assert tree.root(size) == root_of(LEAVES[:size])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_leaves_outside_have_no_proof(tree: Tree, index: int, size: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        tree.inclusion(index, size)


@pytest.mark.parametrize(("old", "size"), [(0, 3), (4, 3), (-1, 2)])
def test_what_is_no_prefix_has_no_proof(tree: Tree, old: int, size: int) -> None:
    with pytest.raises(ValueError, match="no prefix"):
        tree.consistency(old, size)


def test_hashes_that_are_not_there(tree: Tree, levels: MemoryLevels) -> None:
    with pytest.raises(NoTile):
        tree.root(SIZE + 2)
    with pytest.raises(NoTile):
        levels.hashes(3, 0, 1)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (TilePath(0, 0), "0/000"),
        (TilePath(0, 1_234_067), "0/x001/x234/067"),
        (TilePath(2, 1, 17), "2/001.p/17"),
        (TilePath(None, 273, 112), "entries/273.p/112"),
        (TilePath(None, 1_000), "entries/x001/000"),
    ],
)
def test_paths_are_those_of_the_specification(path: TilePath, text: str) -> None:
    assert str(path) == text
    assert TilePath.parse(text) == path


@given(st.integers(0, 10**12), st.integers(1, WIDTH), st.none() | st.integers(0, 7))
def test_each_tile_has_one_path(index: int, width: int, level: int | None) -> None:
    path = TilePath(level, index, width)
    assert TilePath.parse(str(path)) == path


@pytest.mark.parametrize(
    "text",
    ["", "0", "0/", "0/0", "0/0000", "8/000", "00/000", "0/x000/001", "0/x1/000", "0/001/002",
     "0/x001/x002", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/999", "entries/../../x",
     "entries/000/", "-1/000", "0/000\n", "0/x001/002/", "0/٠٠٠"],
)  # fmt: skip
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(NoTile):
        TilePath.parse(text)


def test_the_example_of_the_specification() -> None:
    """A tree of 70,000 leaves; one of 256 is a full tile and a partial one above."""
    paths = list(tile_paths(70_000))
    assert len(paths) == 273 + 1 + 1 + 1 + 1
    assert [str(path) for path in paths[-4:]] == ["0/273.p/112", "1/000", "1/001.p/17", "2/000.p/1"]
    assert [str(path) for path in tile_paths(256)] == ["0/000", "1/000.p/1"]
    assert list(tile_paths(0)) == []


def test_a_tile_above_is_the_root_of_the_one_below(levels: MemoryLevels) -> None:
    below = levels.hashes(0, 512, WIDTH)
    assert tile_root(below) == levels.hashes(1, 2, 1) == root_of(LEAVES[512:768])
    assert len(below) == WIDTH * HASH_BYTES

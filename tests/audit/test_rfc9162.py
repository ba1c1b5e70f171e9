"""Trees and proofs against the definitions of RFC 9162 and against what others have published.

The published values are those of the Certificate Transparency project (the eight reference leaves;
`proof/verify_test.go` of transparency-dev/merkle has the same proofs).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sekisho_audit.tiles import MemoryLevels, Tree
from sekisho_audit.tree import (
    BadProof,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from support.rfc9162 import mth, path, proof

SIZE = 70
ENTRIES = [b"entry %d" % number for number in range(SIZE)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]

PUBLISHED = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
_0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_01 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
_23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_03 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
_6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
_67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSION = {
    (0, 1): [],
    (0, 8): [_1, _23, _47],
    (5, 8): [_4, _67, _03],
    (2, 3): [_01],
    (1, 5): [_0, _23, _4],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [_1, _23, _47],
    (6, 8): [_45, _67, _03],
    (2, 5): [_23, _4],
    (6, 7): [_45, _6, _03],
}


@pytest.fixture(scope="module")
def tree() -> Tree:
    levels = MemoryLevels()
    for leaf in LEAVES:
        levels.append(leaf)
    return Tree(levels)


def test_every_root_is_the_defined_one(tree: Tree) -> None:
    """The writer's edge, the plain recursion and the tiles, at each size from nothing."""
    edge = CompactRange()
    for size in range(SIZE + 1):
        defined = mth(ENTRIES[:size])
        assert defined == edge.root() == root_of(LEAVES[:size]) == tree.root(size)
        if size < SIZE:
            edge.append(LEAVES[size])


@pytest.mark.parametrize("size", range(1, SIZE + 1))
def test_every_proof_is_the_defined_one(tree: Tree, size: int) -> None:
    """Each leaf and each prefix of each size: the same hashes in the same order, and they hold."""
    entries, root = ENTRIES[:size], mth(ENTRIES[:size])
    for index in range(size):
        defined = path(index, entries)
        assert defined == inclusion_proof(LEAVES[:size], index) == tree.inclusion(index, size)
        verify_inclusion(LEAVES[index], index, size, defined, root)
        defined = proof(index + 1, entries)
        assert defined == consistency_proof(LEAVES[:size], index + 1)
        assert defined == tree.consistency(index + 1, size)
        verify_consistency(index + 1, size, mth(entries[: index + 1]), root, defined)


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_published_inclusion_proofs(index: int, size: int) -> None:
    leaves = [leaf_hash(entry) for entry in PUBLISHED[:size]]
    found = inclusion_proof(leaves, index)
    assert [item.hex() for item in found] == INCLUSION[index, size]
    verify_inclusion(leaves[index], index, size, found, mth(PUBLISHED[:size]))


@pytest.mark.parametrize(("old", "size"), CONSISTENCY)
def test_published_consistency_proofs(old: int, size: int) -> None:
    found = consistency_proof([leaf_hash(entry) for entry in PUBLISHED[:size]], old)
    assert [item.hex() for item in found] == CONSISTENCY[old, size]
    verify_consistency(old, size, mth(PUBLISHED[:old]), mth(PUBLISHED[:size]), found)


def spoiled(right: list[bytes], *roots: bytes) -> Iterator[list[bytes]]:
    """Everything a proof may be instead: longer, shorter, with a bit changed, in another order."""
    for strange in (b"", *roots):
        yield [*right, strange]
        yield [strange, *right]
    for place, item in enumerate(right):
        yield right[:place] + right[place + 1 :]
        yield [*right[:place], bytes([item[0] ^ 8]) + item[1:], *right[place + 1 :]]
        yield [*right[: place + 1], *right[place:]]
    if len(right) > 1:
        yield right[::-1]
        yield []


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_a_spoiled_inclusion_proof_is_refused(index: int, size: int) -> None:
    leaf, root = leaf_hash(PUBLISHED[index]), mth(PUBLISHED[:size])
    right = path(index, PUBLISHED[:size])
    for wrong in spoiled(right, root, leaf):
        with pytest.raises(BadProof):
            verify_inclusion(leaf, index, size, wrong, root)
    for where in (index - 1, index + 1, index ^ 2):
        with pytest.raises(BadProof):
            verify_inclusion(leaf, where, size, right, root)
    for count in (2 * size, size // 2, 0):
        with pytest.raises(BadProof):
            verify_inclusion(leaf, index, count, right, root)
    for other in (mth([]), root[:31], b""):
        with pytest.raises(BadProof):
            verify_inclusion(leaf, index, size, right, other)
        with pytest.raises(BadProof):
            verify_inclusion(other, index, size, right, root)


@pytest.mark.parametrize(("old", "size"), [pair for pair in CONSISTENCY if pair[0] < pair[1]])
def test_a_spoiled_consistency_proof_is_refused(old: int, size: int) -> None:
    before, after = mth(PUBLISHED[:old]), mth(PUBLISHED[:size])
    right = proof(old, PUBLISHED[:size])
    for wrong in spoiled(right, before, after):
        with pytest.raises(BadProof):
            verify_consistency(old, size, before, after, wrong)
    for sizes in ((old - 1, size), (old + 1, size), (old ^ 2, size), (old, 2 * size), (old, old)):
        with pytest.raises(BadProof):
            verify_consistency(*sizes, before, after, right)
    for roots in ((after, before), (before[:31], after), (before, mth([]))):
        with pytest.raises(BadProof):
            verify_consistency(old, size, *roots, right)

"""The Merkle tree against published vectors, against itself, and against forged proofs."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from sekisho_audit.tree import (
    EMPTY_ROOT,
    BadProof,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The reference leaves and roots of the Certificate Transparency project.
VECTOR_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = range(1, 66)
LEAVES = [leaf_hash(bytes([number % 256, number // 256])) for number in range(1_200)]


def test_empty_tree() -> None:
    """The root of nothing is the hash of nothing."""
    assert CompactRange().root() == EMPTY_ROOT == sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size: int) -> None:
    """Roots agree with the vectors of the CT project."""
    assert (
        root_of([leaf_hash(leaf) for leaf in VECTOR_LEAVES[:size]]).hex() == VECTOR_ROOTS[size - 1]
    )


def recursive_root(leaves: list[bytes]) -> bytes:
    """The definition in RFC 6962, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(recursive_root(leaves[:split]), recursive_root(leaves[split:]))


def test_growing_root_follows_the_definition() -> None:
    """The writer's right edge gives the defined root at every size."""
    edge = CompactRange()
    for size in range(1, 260):
        edge.append(LEAVES[size - 1])
        assert edge.root() == recursive_root(LEAVES[:size])
        assert edge.size == size


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof(size: int) -> None:
    """Every leaf of every small tree is proved, at its own place only."""
    leaves = LEAVES[:size]
    root = root_of(leaves)
    for index in range(size):
        proof = inclusion_proof(leaves, index)
        verify_inclusion(leaves[index], index, size, proof, root)
        with pytest.raises(BadProof):
            verify_inclusion(leaves[index], (index + 1) % (size + 1), size, proof, root)


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof(size: int) -> None:
    """Every small tree is proved to extend each of its prefixes."""
    leaves = LEAVES[:size]
    root = root_of(leaves)
    for old in range(1, size + 1):
        proof = consistency_proof(leaves, old)
        verify_consistency(old, size, root_of(leaves[:old]), root, proof)
        other = root_of([leaf_hash(b"other"), *leaves[1:old]])
        with pytest.raises(BadProof):
            verify_consistency(old, size, other, root, proof)


def test_random_larger_trees() -> None:
    """Proofs hold in larger trees as well."""
    chance = random.Random(7)  # noqa: S311 - the same sizes in every run
    for _ in range(20):
        size = chance.randrange(200, len(LEAVES))
        leaves, old = LEAVES[:size], chance.randrange(1, size)
        root = root_of(leaves)
        verify_inclusion(leaves[old], old, size, inclusion_proof(leaves, old), root)
        proof = consistency_proof(leaves, old)
        verify_consistency(old, size, root_of(leaves[:old]), root, proof)


@pytest.mark.parametrize("size", [2, 3, 7, 8, 21])
def test_forged_inclusion_proof_is_refused(size: int) -> None:
    """A proof with a hash changed, left out, added or cut short is refused."""
    leaves = LEAVES[:size]
    root, proof = root_of(leaves), inclusion_proof(leaves, 1)
    forged = [proof[:-1], [*proof, root], [proof[0][:31], *proof[1:]], [bytes(32), *proof[1:]]]
    for wrong in forged:
        with pytest.raises(BadProof):
            verify_inclusion(leaves[1], 1, size, wrong, root)
    with pytest.raises(BadProof):
        verify_inclusion(b"", 1, size, proof, root)


@pytest.mark.parametrize(("old", "size"), [(1, 2), (3, 7), (4, 8), (6, 21), (8, 8)])
def test_forged_consistency_proof_is_refused(old: int, size: int) -> None:
    """A consistency proof that is too long, too short or of the wrong tree is refused."""
    leaves = LEAVES[:size]
    roots, proof = (root_of(leaves[:old]), root_of(leaves)), consistency_proof(leaves, old)
    forged = [[*proof, bytes(32)]] + ([proof[:-1], [bytes(32), *proof[1:]]] if proof else [])
    for wrong in forged:
        with pytest.raises(BadProof):
            verify_consistency(old, size, *roots, wrong)
    with pytest.raises(BadProof):
        verify_consistency(old, size, roots[0], bytes(32), proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (0, 1_000)])
def test_place_outside_the_tree_is_refused(index: int, size: int) -> None:
    """A leaf alone proves nothing about a place that the tree does not have."""
    with pytest.raises(BadProof):
        verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


@pytest.mark.parametrize("size", [0, 4])
def test_proofs_are_made_only_for_what_exists(size: int) -> None:
    """Asking for a proof outside the tree is an error of the caller."""
    with pytest.raises(ValueError, match="tree of 3"):
        consistency_proof(LEAVES[:3], size)
    with pytest.raises(ValueError, match="tree of 3"):
        inclusion_proof(LEAVES[:3], size + 3)


def test_a_byte_moved_from_one_hash_to_the_next_is_refused() -> None:
    """What is hashed would be the same 64 bytes; only the lengths tell."""
    left, right = LEAVES[:2]
    root = root_of([left, right])
    with pytest.raises(BadProof, match="32 bytes"):
        verify_inclusion(left[:31], 0, 2, [left[31:] + right], root)
    with pytest.raises(BadProof, match="32 bytes"):
        verify_consistency(1, 2, left[:31], root, [left[31:] + right])


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_a_proof_of_the_wrong_length_is_called_that(size: int) -> None:
    """Too long or too short is said before any root is compared."""
    root, proof = root_of(LEAVES[:size]), inclusion_proof(LEAVES[:size], 0)
    with pytest.raises(BadProof, match="too long"):
        verify_inclusion(LEAVES[0], 0, size, [*proof, root], root)
    if proof:
        with pytest.raises(BadProof, match="too short"):
            verify_inclusion(LEAVES[0], 0, size, proof[:-1], root)
    grown = root_of(LEAVES[: size + 3])
    longer = [*consistency_proof(LEAVES[: size + 3], size), root]
    with pytest.raises(BadProof, match="too long"):
        verify_consistency(size, size + 3, root, grown, longer)

"""The Merkle tree of RFC 6962: hashes, the writer's right edge, proofs and their verification.

Everything here is pure. The writer keeps only a `CompactRange` (one hash per power of two), so its
memory does not grow with the ledger. The proof functions take all leaf hashes: they serve tests and
exports of moderate size until tiles exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


class BadProof(ValueError):
    """A proof that does not show what it claims."""


def leaf_hash(body: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 | body)."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees: SHA-256(0x01 | left | right)."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The perfect subtrees along the right edge of a growing tree, largest first."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        rest = self.size
        while rest & 1:
            leaf = node_hash(self._edge.pop(), leaf)
            rest >>= 1
        self._edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Root hash of the tree as it stands."""
        if not self._edge:
            return EMPTY_ROOT
        result = self._edge[-1]
        for subtree in reversed(self._edge[:-1]):
            result = node_hash(subtree, result)
        return result


def half_below(size: int) -> int:
    """The largest power of two below `size` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root hash of all `leaves` (hashes)."""
    edge = CompactRange()
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path from leaf `index` to the root of `leaves`, lowest first (RFC 6962, 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"index {index} is outside a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    middle = half_below(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root_of(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root_of(leaves[:middle])]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the first `old_size` leaves are a prefix of `leaves` (RFC 6962, 2.1.2)."""
    if not 0 < old_size <= len(leaves):
        raise ValueError(f"size {old_size} is no prefix of a tree of {len(leaves)}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root_of(leaves)]
    middle = half_below(len(leaves))
    if old_size <= middle:
        return [*_subproof(leaves[:middle], old_size, whole=whole), root_of(leaves[middle:])]
    rest = _subproof(leaves[middle:], old_size - middle, whole=False)
    return [*rest, root_of(leaves[:middle])]


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise BadProof(f"a hash in the proof is not {HASH_BYTES} bytes long")


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise BadProof unless `proof` shows leaf hash `leaf` at `index` under `root`."""
    _check_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        raise BadProof(f"index {index} is outside a tree of {size}")
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise BadProof("the proof is too long")
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise BadProof("the proof is too short")
    if result != root:
        raise BadProof("the proof leads to another root")


def verify_consistency(  # noqa: C901 - one algorithm of RFC 9162, kept in one piece
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise BadProof unless `proof` shows that the old tree is a prefix of the new one."""
    _check_hashes([old_root, new_root, *proof])
    if not 0 < old_size <= new_size:
        raise BadProof(f"a tree of {old_size} is no prefix of a tree of {new_size}")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise BadProof("two trees of one size must be the same, with an empty proof")
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise BadProof("the proof is empty")
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old_result = new_result = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise BadProof("the proof is too long")
        if position & 1 or position == last:
            old_result = node_hash(sibling, old_result)
            new_result = node_hash(sibling, new_result)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new_result = node_hash(new_result, sibling)
        position >>= 1
        last >>= 1
    if last or old_result != old_root or new_result != new_root:
        raise BadProof("the proof does not join the two roots")

"""A growing tree under a key, as anchors are given it; and a clone of it that goes another way."""

from __future__ import annotations

from collections.abc import Sequence

from sekisho_audit.anchors.port import Claim, Since
from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.tiles import MemoryLevels, Tree
from sekisho_audit.tree import leaf_hash

ORIGIN = "ledger.example/test"
SIGNER = Signer(ORIGIN, bytes(range(32)))


class Grown:
    """A ledger's tree; `branch` tells leaves of one clone from those of another."""

    def __init__(self, size: int = 0, *, branch: str = "", signer: Signer = SIGNER) -> None:
        self.signer = signer
        self.leaves: list[bytes] = []
        self._levels = MemoryLevels()
        self.grow(size, branch)

    def grow(self, more: int, branch: str = "") -> Grown:
        """Add leaves."""
        for _ in range(more):
            leaf = leaf_hash(f"{branch}{len(self.leaves)}".encode())
            self.leaves.append(leaf)
            self._levels.append(leaf)
        return self

    def clone(self) -> Grown:
        """The same up to here."""
        twin = Grown(signer=self.signer)
        for leaf in self.leaves:
            twin.leaves.append(leaf)
            twin._levels.append(leaf)
        return twin

    @property
    def size(self) -> int:
        """How many leaves."""
        return len(self.leaves)

    def checkpoint(self) -> Checkpoint:
        """Of all leaves."""
        return Checkpoint(self.signer.key.name, self.size, Tree(self._levels).root(self.size))

    def claim(self, keys: Sequence[Signer] = ()) -> Claim:
        """What an anchor is given."""
        now, tree = self.checkpoint(), Tree(self._levels)

        def since(size: int) -> Since:
            return Since(tree.root(size), tree.consistency(size, now.size) if size else [])

        known = [signer.key for signer in (keys or [self.signer])]
        return Claim(now, self.signer.sign(now), known, since)

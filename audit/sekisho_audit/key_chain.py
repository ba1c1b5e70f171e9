"""The keys of one ledger, one after the other, as the ledger itself tells it.

An `audit.key_rotated` at index n holds a signed note, by the old key and by the new one: the
checkpoint of the n events before it with one more line that names the new key. So whoever kept the
old key is told by it who follows, and after which events; whoever has the new one sees that it
took over exactly that history. From index n on checkpoints are signed by the new key.

Pure reading: the verifier and the writer use it alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho_audit.checkpoint import (
    BadNote,
    Checkpoint,
    VerifierKey,
    open_note,
    open_text,
    read_unverified,
)
from sekisho_audit.needles import leaves_of_type
from sekisho_audit.pruned import carried_rotations

ROTATED = "audit.key_rotated"
_WORDS = "sekisho key rotation v1 "


def statement(before: Checkpoint, new: VerifierKey) -> str:
    """What both keys sign: the history that ends, and the key that follows."""
    return f"{before.body()}{_WORDS}{new.line()}\n"


@dataclass(frozen=True, slots=True)
class Rotation:
    """From `index` on the key is `new`; `before` is what both keys signed. Signatures hold."""

    index: int
    old: VerifierKey
    new: VerifierKey
    before: Checkpoint

    @classmethod
    def read(cls, leaf: Mapping[str, Any]) -> Rotation:
        """The hand-over that a leaf records, with both signatures checked. Raises BadNote."""
        data = leaf["data"]
        old, new = VerifierKey.parse(data["old"]), VerifierKey.parse(data["new"])
        note = data["note"].encode()
        text = open_text(note, old)
        open_text(note, new)
        before = Checkpoint.parse(text)
        if text != statement(before, new):
            raise BadNote("the signed statement does not name the new key")
        if old == new or not old.name == new.name == before.origin == leaf["log"]:
            raise BadNote("the keys of a rotation are two, both of this ledger")
        if before.size != leaf["n"]:
            raise BadNote("the signed statement is of another place in the ledger")
        return cls(leaf["n"], old, new, before)


class KeyChain:
    """The keys of a ledger in order, each with the sizes that it may sign."""

    def __init__(self, only: VerifierKey, rotations: Sequence[Rotation] = ()) -> None:
        """`only` is the key if it never changed. Raises BadNote if a link does not fit."""
        self.rotations = tuple(rotations)
        self.keys = [rotations[0].old if rotations else only]
        for rotation in rotations:
            if rotation.old != self.keys[-1]:
                raise BadNote(f"event {rotation.index}: this key was not in force and rotates none")
            if rotation.new in self.keys:
                raise BadNote(f"event {rotation.index}: a key that was replaced never comes back")
            self.keys.append(rotation.new)

    @property
    def current(self) -> VerifierKey:
        """The key in force at the end."""
        return self.keys[-1]

    def at(self, size: int) -> VerifierKey:
        """The key that must have signed a checkpoint of `size` events."""
        return self.keys[sum(rotation.index < size for rotation in self.rotations)]

    def open(self, raw: bytes) -> Checkpoint:
        """The checkpoint in a note, signed by the key in force at its size. Raises BadNote."""
        return open_note(raw, self.at(read_unverified(raw).size))

    def says(self) -> list[str]:
        """One sentence for each hand-over."""
        return [
            f"From event {one.index} on the key is {one.new.line()}: {one.old.line()} says so, "
            f"over the {one.before.size} events before."
            for one in self.rotations
        ]


def find_rotations(ledger: Path) -> Iterator[Mapping[str, Any]]:
    """Leaves of a ledger that record a rotation, in order; what is broken is passed over."""
    return (leaf for leaf, _ in stored_rotations(ledger))


def stored_rotations(ledger: Path) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """As `find_rotations`, each leaf with its bytes; those that were pruned come first."""
    return in_order((*carried_rotations(ledger), *leaves_of_type(ledger, ROTATED)))


def in_order(
    found: Iterable[tuple[Mapping[str, Any], bytes]],
) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """Leaves that a pruning carried with those that are held: some may be among both."""
    last = -1
    for leaf, body in found:
        index = leaf.get("n")
        if type(index) is not int or index > last:
            yield leaf, body
            last = index if type(index) is int else last

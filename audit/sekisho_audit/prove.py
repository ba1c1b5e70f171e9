"""`sekisho-audit prove`: proofs of events, made from a ledger directory alone.

It recomputes the tree from the events and refuses to prove anything under a checkpoint that this
tree does not lead to. Reads only; needs no keys, no network, no index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import NOTE_BYTES_MAX, VerifierKey, open_note
from sekisho_audit.proof import Proof
from sekisho_audit.pruned import stored_hashes
from sekisho_audit.scan import EVENTS, frames, held_from, segments
from sekisho_audit.tiles import MemoryLevels, Tree

PROOFS_MAX = 1_000  # of one call; more is an export


class NotProvable(Exception):
    """This cannot be proved, for this reason."""


def _pruned(ledger: Path, first: int) -> MemoryLevels:
    """The hashes of the events before the first that is held."""
    levels = MemoryLevels()
    for digest in stored_hashes(ledger, 0, first):
        levels.append(digest)
    return levels


def prove(ledger: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> Iterator[Proof]:
    """Proofs of all events that are wanted, under the ledger's last checkpoint.

    Raises NotProvable, BadNote, BrokenSegment, NotCanonical, OSError.
    """
    key = VerifierKey.parse((ledger / "vkey").read_text(encoding="utf-8").strip())
    note = (ledger / "checkpoint").read_bytes()[: NOTE_BYTES_MAX + 1]
    checkpoint = open_note(note, key)
    first = held_from(ledger, EVENTS)
    levels, found, unsigned = _pruned(ledger, first), [], 0
    for segment in segments(ledger, EVENTS):
        for frame in frames(segment, EVENTS):
            hit = wanted(decode(frame.body))
            if levels.size == checkpoint.size:
                unsigned += hit
                continue
            if hit:
                found.append((levels.size, frame.body))
            levels.append(frame.digest)
    if len(found) > PROOFS_MAX:
        raise NotProvable(f"{len(found)} events fit; name one exchange or index")
    if not found:
        raise NotProvable(_why_not(first, late=unsigned > 0))
    tree = Tree(levels)
    if levels.size < checkpoint.size or tree.root(checkpoint.size) != checkpoint.root:
        raise NotProvable("The events do not lead to the checkpoint; run `sekisho-audit verify`.")
    for index, body in found:
        yield Proof(body, index, tree.inclusion(index, checkpoint.size), note)


def _why_not(first: int, *, late: bool) -> str:
    said = "There is no such event under the last checkpoint."
    if late:
        said += " It is behind the checkpoint: wait a second for the next one."
    if first:
        said += f" The first {first} events were pruned; their proofs can no longer be made here."
    return said

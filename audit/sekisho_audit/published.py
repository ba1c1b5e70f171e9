"""What monitors and receipts are shown: a signed checkpoint, and tiles and proofs under it.

Everything here belongs to one checkpoint, the last one whose events all have their hashes on the
disk. Whatever is told is first led to the root of that checkpoint; what does not lead there is not
told, the files are thrown away and built anew. So a disk that lies makes us late, not wrong.

Used by one thread at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.cut_files import Piece, Rest, parse_path
from sekisho_audit.errors import Refused
from sekisho_audit.level_files import Damaged, LevelFiles, Pruned, Stored, remove
from sekisho_audit.proof import Proof
from sekisho_audit.published_cut import PublishedCut
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.tiles import WIDTH, NoTile, TilePath, Tree, tile_root
from sekisho_audit.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    BadProof,
    verify_consistency,
    verify_inclusion,
)

STEP_EVENTS = 2_000  # some milliseconds of a thread beside the writer's
_LENGTH = struct.Struct(">H")
_BUILDING = "the tiles of the ledger are being built; try again in a second"

Signed = tuple[Checkpoint, bytes]


_GAP_MAX = 32  # so many events are read and dropped sooner than a file is opened again


@dataclass(frozen=True, slots=True)
class Excerpt:
    """An event with its path to the root of a checkpoint."""

    index: int
    body: bytes
    path: Sequence[bytes]


class Published:
    """The ledger as others may follow it. `signed` tells its last checkpoint with the note."""

    def __init__(self, directory: Path, ledger: Path, signed: Callable[[], Signed | None]) -> None:
        self._directory = directory
        self._ledger = ledger
        self._signed = signed
        self._cut = PublishedCut(ledger)
        self._files: LevelFiles | None = None
        self._tree: Tree | None = None
        self._shown: Signed | None = None

    def close(self) -> None:
        """Let go of the files."""
        if self._files is not None:
            self._files.close()
        self._files = self._tree = self._shown = None

    def follow(self) -> bool:
        """Come a step nearer to the last checkpoint, and show it when it is reached.

        False if there is nothing to do. Raises OSError, BrokenSegment.
        """
        signed = self._signed()
        if signed is None or signed == self._shown:
            return False
        try:
            if self._opened().advance(signed[0].size, STEP_EVENTS):
                return True
            self._show(signed)
        except (Damaged, NoTile):
            self._rebuild()
            return True
        return False

    def _show(self, signed: Signed) -> None:
        if Tree(self._opened()).root(signed[0].size) != signed[0].root:
            raise Damaged("the hashes do not lead to the signed root")
        self._shown = signed

    def _opened(self) -> LevelFiles:
        if self._files is None:
            self._files = LevelFiles(self._directory, self._ledger)
            self._tree = Tree(self._files)
        return self._files

    def _rebuild(self) -> None:
        self.close()
        remove(self._directory)

    # -- what is told

    @property
    def checkpoint(self) -> bytes:
        """The signed note. Raises Refused (`busy`) while there is none to show."""
        return self._ready()[0][1]

    @property
    def shown(self) -> Signed:
        """The checkpoint and its note. Raises Refused (`busy`), here as below."""
        return self._ready()[0]

    def since(self, size: int, checkpoint: Checkpoint) -> tuple[bytes, list[bytes]]:
        """Root of the first `size` events, and the proof that `checkpoint`, one of ours that was
        shown, goes on from them.
        """
        if size == 0:
            return EMPTY_ROOT, []
        self._ready()
        if self._tree is None or not size <= checkpoint.size:
            raise NoTile("the ledger has not so many events")
        try:
            root, path = self._tree.root(size), self._tree.consistency(size, checkpoint.size)
            verify_consistency(size, checkpoint.size, root, checkpoint.root, path)
        except (Damaged, NoTile, BadProof) as error:
            raise self._failed() from error
        return root, path

    def tile(self, path: TilePath) -> bytes:
        """Hashes of a tile, or a bundle of entries. Raises NoTile, Refused (`busy`)."""
        (checkpoint, _), files = self._ready()
        level = path.level or 0
        width = (checkpoint.size >> (8 * level)) - path.index * WIDTH
        if path.width > width:
            raise NoTile("the ledger has no such tile yet")
        if path.level is None and path.index * WIDTH < files.held_from:
            raise NoTile(f"events below {self.published_from} were pruned; their hashes are served")
        if path.level is None:
            return self._entries(path.index * WIDTH, path.width)
        try:
            return self._led(level, path.index)[: path.width * HASH_BYTES]
        except (Damaged, NoTile) as error:
            raise self._failed() from error

    def pruned(self, path: str) -> bytes:
        """What a pruning left, by its path below `pruned/`. Raises NoTile, Refused (`busy`)."""
        asked, ((checkpoint, _), files) = parse_path(path), self._ready()
        if isinstance(asked, Rest):
            held = files.held_from
            if asked.first < held or asked.first // WIDTH != held // WIDTH:
                raise NoTile("these entries are no rest of a bundle that was pruned in part")
            if asked.first + asked.count > checkpoint.size:
                raise NoTile("the ledger has not so many entries yet")
            return self._entries(asked.first, asked.count)
        signed = self._signed()
        size = 0 if signed is None else signed[0].size
        if isinstance(asked, Piece):
            return self._cut.piece(asked, checkpoint.size, size)
        return self._cut.note(checkpoint.size, size)

    @property
    def published_from(self) -> int:
        """The minimum index of C2SP tlog-tiles: bundles are served whole, so it is one's first."""
        return -(-self._ready()[1].held_from // WIDTH) * WIDTH

    def _led(self, level: int, index: int) -> bytes:
        """A tile, as wide as it is by now, led to the signed root. Raises Damaged, NoTile."""
        (checkpoint, _), files = self._ready()
        width = min(WIDTH, (checkpoint.size >> (8 * level)) - index * WIDTH)
        hashes = tile = files.hashes(level, index * WIDTH, width)
        while len(hashes) == WIDTH * HASH_BYTES:
            root, above = tile_root(hashes), index // WIDTH
            level += 1
            width = min(WIDTH, (checkpoint.size >> (8 * level)) - above * WIDTH)
            hashes = files.hashes(level, above * WIDTH, width)
            place = index % WIDTH * HASH_BYTES
            if hashes[place : place + HASH_BYTES] != root:
                raise Damaged("a tile does not lead to the one above")
            index = above
        if Tree(files).root(checkpoint.size) != checkpoint.root:
            raise Damaged("the hashes do not lead to the signed root")
        return tile

    def _entries(self, first: int, count: int) -> bytes:
        """Entries of one bundle."""
        try:
            events = self._events(first, count)
        except (Damaged, NoTile, BrokenSegment) as error:
            raise self._failed() from error
        return b"".join(_LENGTH.pack(len(one.body)) + one.body for one in events)

    def _events(self, first: int, count: int) -> list[Stored]:
        """Events of one bundle that lead to the signed root; raises Damaged, NoTile."""
        index, at = divmod(first, WIDTH)
        hashes = self._led(0, index)[at * HASH_BYTES : (at + count) * HASH_BYTES]
        events = self._ready()[1].events(first, count)
        if b"".join(one.digest for one in events) != hashes:
            raise Damaged("an event has not the hash that is in the tile")
        return events

    def proof(self, index: int) -> Proof:
        """An event with the proof that it is under the checkpoint shown.

        Raises NoTile if it is not yet, Refused (`busy`).
        """
        (checkpoint, note), files = self._ready()
        if not 0 <= index < checkpoint.size or self._tree is None:
            raise NoTile("the event is behind the checkpoint shown; try again in a second")
        try:
            [event] = files.events(index, 1)
            path = self._tree.inclusion(index, checkpoint.size)
            verify_inclusion(event.digest, index, checkpoint.size, path, checkpoint.root)
        except Pruned:
            raise
        except (Damaged, NoTile, BrokenSegment, BadProof) as error:
            raise self._failed() from error
        return Proof(event.body, index, path, note)

    def excerpt(self, signed: Signed, indices: Sequence[int]) -> list[Excerpt]:
        """Events, ascending, with their paths to a checkpoint that was shown before.

        Raises NoTile if it covers one of them not, Refused (`busy`).
        """
        checkpoint, files = self._within(signed, indices)
        found = []
        try:
            tree = Tree(files)
            for index, event in _runs(files, indices):
                path = tree.inclusion(index, checkpoint.size)
                verify_inclusion(event.digest, index, checkpoint.size, path, checkpoint.root)
                found.append(Excerpt(index, event.body, path))
        except Pruned:
            raise
        except (Damaged, NoTile, BrokenSegment, BadProof) as error:
            raise self._failed() from error
        return found

    def digests(self, signed: Signed, indices: Sequence[int]) -> list[bytes]:
        """The leaf hashes of events. What they are used for is to be led to a root later."""
        _, files = self._within(signed, indices)
        try:
            return [files.hashes(0, index, 1) for index in indices]
        except NoTile as error:
            raise self._failed() from error

    def consistency(self, signed: Signed, size: int) -> list[bytes]:
        """The proof that the checkpoint continues the ledger as it had `size` events."""
        checkpoint, files = self._within(signed, ())
        if not 0 < size <= checkpoint.size:
            raise NoTile(f"the checkpoint does not continue one of {size} events")
        try:
            return Tree(files).consistency(size, checkpoint.size)
        except (Damaged, NoTile) as error:
            raise self._failed() from error

    def _within(self, signed: Signed, indices: Sequence[int]) -> tuple[Checkpoint, LevelFiles]:
        _, files = self._ready()
        checkpoint = signed[0]
        if files.size < checkpoint.size or any(
            not 0 <= index < checkpoint.size for index in indices
        ):
            raise NoTile("an event is behind the checkpoint; try again in a second")
        return checkpoint, files

    def _ready(self) -> tuple[Signed, LevelFiles]:
        if self._shown is None or self._files is None:
            raise Refused("busy", _BUILDING)
        return self._shown, self._files

    def _failed(self) -> Refused:
        self._rebuild()
        return Refused("busy", _BUILDING)


def _runs(files: LevelFiles, indices: Sequence[int]) -> Iterator[tuple[int, Stored]]:
    """The events with ascending indices; neighbours are read together."""
    start = 0
    while start < len(indices):
        end = start + 1
        while end < len(indices) and indices[end] - indices[end - 1] <= _GAP_MAX:
            end += 1
        first = indices[start]
        events = files.events(first, indices[end - 1] - first + 1)
        yield from ((index, events[index - first]) for index in indices[start:end])
        start = end

"""The hashes of the tree on the disk, one file for each level: derived, thrown away when in doubt.

`0` holds the leaf hashes one after the other, `1` the roots of each 256 of them, and so on; so a
tile of C2SP tlog-tiles is a slice of one file. `places` says where in the segments each 256th event
stands. Levels above are written before level 0, whose length is how far the files have come: a
crash leaves at most too much above it. Nothing is synced: after a power cut hashes may be wrong,
and so no hash of these files is told to anybody unless it leads to a signed root.

    files = LevelFiles(data / "index" / "tiles", data / "ledger")
    while files.advance(ledger.size, 2_000): ...

Used by one thread at a time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sekisho_audit.durable import KEY_MODE, make_directory, write_all
from sekisho_audit.pruned import carried_rotations, stored_hashes
from sekisho_audit.scan import (
    EVENTS,
    HEAD_BYTES,
    LENGTH,
    BrokenSegment,
    held_from,
    segment_path,
)
from sekisho_audit.tiles import LEVELS_MAX, WIDTH, NoTile, tile_root
from sekisho_audit.tree import HASH_BYTES

_PLACE = struct.Struct(">QQ")  # segment (its first index) and offset of an event
# Each read lets go of the interpreter, for which the writer is waiting too: few and large.
_BUFFER_BYTES = 131_072


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands in the ledger."""

    digest: bytes
    body: bytes


class Pruned(NoTile):
    """The event is not held any more; its hash is."""


class Damaged(Exception):
    """The files do not fit the ledger; `remove` them and begin anew."""


class LevelFiles:
    """Hashes by level, as `tiles.Levels`, and where events stand."""

    def __init__(self, directory: Path, ledger: Path) -> None:
        """Open or make the files. Raises Damaged, OSError."""
        self._directory = directory
        self._ledger = ledger
        self._first = held_from(ledger, EVENTS)
        make_directory(directory)
        self._files = [self._open(str(level)) for level in range(LEVELS_MAX)]
        self._places = self._open("places")
        self.size = _length(self._files[0], HASH_BYTES)
        self._settle()

    def _open(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._directory / name, flags, KEY_MODE)

    def _settle(self) -> None:
        """Cut what a crash left above level 0; Damaged if something is missing."""
        wanted = [(self._files[0], self.size * HASH_BYTES)]
        wanted += [
            (file, (self.size >> (8 * level)) * HASH_BYTES)
            for level, file in enumerate(self._files)
        ]
        wanted.append((self._places, -(-self.size // WIDTH) * _PLACE.size))
        for file, size in wanted:
            if os.fstat(file).st_size < size:
                raise Damaged("a level of hashes is shorter than the one below says")
            os.ftruncate(file, size)
        if self.size:
            self._check_last()

    @property
    def held_from(self) -> int:
        """The first event that is held: those before were pruned."""
        if not segment_path(self._ledger, EVENTS, self._first).exists():
            self._first = held_from(self._ledger, EVENTS)
        return self._first

    def _check_last(self) -> None:
        last = self.size - 1
        try:
            if last < self.held_from:
                found = stored_hashes(self._ledger, last, 1)
            else:
                found = [self.events(last, 1)[0].digest]
        except (OSError, BrokenSegment) as error:
            raise Damaged(f"the last event that was read is not there: {error}") from error
        if found != [self.hashes(0, last, 1)]:
            raise Damaged("the hashes are of another ledger")

    def close(self) -> None:
        """Let go of the files."""
        for file in (*self._files, self._places):
            os.close(file)

    # -- writing

    def advance(self, size: int, count: int) -> bool:
        """Read at most `count` more events of a ledger that has `size`; False if none were left.

        Only what is durable may be asked for. Raises BrokenSegment, Damaged, OSError.
        """
        count = min(count, size - self.size)
        if count <= 0:
            return False
        if self.size < self.held_from:
            count = min(count, self._first - self.size)
            fresh, places = self._gone(count)
        else:
            fresh, places = self._held(count)
        if len(fresh) != count * HASH_BYTES:
            raise Damaged("the ledger is shorter than it says")
        if places:
            write_all(self._places, places)
        self._write_above(fresh)
        write_all(self._files[0], fresh)
        self.size += count
        return True

    def _gone(self, count: int) -> tuple[bytes, bytes]:
        """Hashes of events that are not held any more; they have no place."""
        blocks = -(-(self.size + count) // WIDTH) - -(-self.size // WIDTH)
        found = stored_hashes(self._ledger, self.size, count)
        return b"".join(found), _PLACE.pack(0, 0) * blocks

    def _held(self, count: int) -> tuple[bytes, bytes]:
        """Hashes of the next events, and where each 256th stands."""
        fresh, places = bytearray(), bytearray()
        for at, (segment, offset, digest, _) in enumerate(self._walk(self.size, bodies=False)):
            if (self.size + at) % WIDTH == 0:
                places += _PLACE.pack(segment, offset)
            fresh += digest
            if at + 1 == count:
                break
        return bytes(fresh), bytes(places)

    def _write_above(self, fresh: bytes) -> None:
        """The roots of all tiles that `fresh` hashes of level 0 make whole, level by level."""
        first = self.size
        for level in range(1, LEVELS_MAX):
            begun = first % WIDTH
            row = self.hashes(level - 1, first - begun, begun) + fresh if begun else fresh
            tile = WIDTH * HASH_BYTES
            whole = len(row) // tile
            if not whole:
                return
            fresh = b"".join(tile_root(row[at * tile : (at + 1) * tile]) for at in range(whole))
            write_all(self._files[level], fresh)
            first //= WIDTH

    # -- reading

    def hashes(self, level: int, first: int, count: int) -> bytes:
        """As in `tiles.Levels`."""
        found = b""
        if 0 <= level < LEVELS_MAX:
            found = os.pread(self._files[level], count * HASH_BYTES, first * HASH_BYTES)
        if len(found) != count * HASH_BYTES:
            raise NoTile(f"level {level} has no hashes {first} to {first + count - 1}")
        return found

    def events(self, first: int, count: int) -> list[Stored]:
        """So many events, each checked against its hash. Raises BrokenSegment, OSError, Pruned."""
        found: list[Stored] = []
        if first < self.held_from:
            return self._carried(first, count)
        for segment, offset, digest, body in self._walk(first, bodies=True):
            if EVENTS.digest(body) != digest:
                path = segment_path(self._ledger, EVENTS, segment)
                raise BrokenSegment(path, offset, "the record does not fit its hash")
            found.append(Stored(digest, body))
            if len(found) == count:
                return found
        path = segment_path(self._ledger, EVENTS, first)
        raise BrokenSegment(path, 0, f"{count} events from {first} on are not all there")

    def _carried(self, first: int, count: int) -> list[Stored]:
        """A change of keys is kept when its event is pruned; nothing else is."""
        for leaf, body in carried_rotations(self._ledger) if count == 1 else ():
            if leaf["n"] == first:
                return [Stored(EVENTS.digest(body), body)]
        raise Pruned(f"event {first} was pruned: the ledger holds events from {self._first} on")

    def _place_before(self, index: int) -> tuple[int, int, int]:
        """An event that is held, at or before one that is, with its segment and offset."""
        at = min(index, self.size) // WIDTH * WIDTH
        if at and at == self.size:
            at -= WIDTH  # the next block has no place yet: go through the one before
        if at <= self.held_from:
            return self._first, self._first, len(EVENTS.header(self._first))
        raw = os.pread(self._places, _PLACE.size, at // WIDTH * _PLACE.size)
        if len(raw) != _PLACE.size:
            raise Damaged("the place of an event is missing")
        segment, offset = _PLACE.unpack(raw)
        return at, segment, offset

    def _walk(self, index: int, *, bodies: bool) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Segment, offset, hash and (if wanted) bytes of each event from `index` on."""
        at, segment, offset = self._place_before(index)
        while True:
            with segment_path(self._ledger, EVENTS, segment).open(
                "rb", buffering=_BUFFER_BYTES
            ) as file:
                file.seek(offset)
                while head := file.read(HEAD_BYTES):
                    if len(head) < HEAD_BYTES:
                        return
                    (length,) = LENGTH.unpack_from(head)
                    if at >= index:
                        body = file.read(length) if bodies else b""
                        yield segment, offset, head[LENGTH.size :], body
                    if at < index or not bodies:
                        file.seek(offset + HEAD_BYTES + length)
                    offset += HEAD_BYTES + length
                    at += 1
            if at == segment or not segment_path(self._ledger, EVENTS, at).exists():
                return
            segment, offset = at, len(EVENTS.header(at))


def _length(file: int, item: int) -> int:
    return os.fstat(file).st_size // item


def remove(directory: Path) -> None:
    """Delete the files of a directory of levels, if there are any."""
    for name in (*map(str, range(LEVELS_MAX)), "places"):
        (directory / name).unlink(missing_ok=True)

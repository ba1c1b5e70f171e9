"""The files of a published log, each read to its form; nothing of what they say is believed here.

A log may show the whole file instead of a part that has grown. What a file of its kind cannot be
(too long, cut off, no checkpoint) is `Broken`; what is not answered is `Unreachable`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sekisho_audit.checkpoint import NOTE_BYTES_MAX, BadNote, Checkpoint, read_unverified
from sekisho_audit.cut_files import BELOW, CUT, CUT_BYTES_MAX, CutNote, Rest
from sekisho_audit.pruned import DIRECTORY, STATE, BadPruned, Pruned, parse_state
from sekisho_audit.remote_log import NotThere, RemoteLog, TooLong, Unreachable
from sekisho_audit.tiles import WIDTH, TilePath
from sekisho_audit.tree import HASH_BYTES

_BEFORE = struct.Struct(">H")
ENTRY_BYTES_MAX = _BEFORE.size + 0xFFFF
# Of the rules' state at a cut; one of 250,000 exchanges has a quarter of it.
STATE_BYTES_MAX = 1 << 28


class Broken(Exception):
    """The log does not show what it signs."""

    def __init__(self, what: str, file: str) -> None:
        super().__init__(what)
        self.file = file


class Entries:
    """The file of some entries; `whole` says that it may go on behind them."""

    def __init__(self, raw: bytes, file: str, count: int, *, whole: bool = False) -> None:
        self._raw = raw
        self.file = file
        self._count = count
        self._whole = whole

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Each entry, with the byte at which it stands. Raises Broken."""
        at, raw = 0, self._raw
        for _ in range(self._count):
            if len(raw) < at + _BEFORE.size:
                raise Broken("the bundle ends before its last entry", self.file)
            (length,) = _BEFORE.unpack_from(raw, at)
            body = raw[at + _BEFORE.size : at + _BEFORE.size + length]
            if len(body) < length:
                raise Broken("the bundle ends inside an entry", self.file)
            yield at, body
            at += _BEFORE.size + length
        if at != len(raw) and not self._whole:
            raise Broken("the bundle goes on behind its last entry", self.file)


class ServedFiles:
    """Reads one log. All raise Unreachable (NotThere if the log has no such file) and Broken."""

    def __init__(self, log: RemoteLog) -> None:
        self._log = log

    def checkpoint(self) -> tuple[bytes, Checkpoint]:
        """The signed note, and what it says; nobody has looked at the signature."""
        try:
            note = self._get("checkpoint", NOTE_BYTES_MAX)
            return note, read_unverified(note)
        except (Broken, BadNote) as error:
            raise Broken(f"the checkpoint does not hold: {error}", "checkpoint") from error

    def bundle(self, path: TilePath) -> Entries:
        """A bundle of entries."""
        raw, whole = self._file(path, ENTRY_BYTES_MAX)
        return Entries(raw, f"tile/{path}", path.width, whole=whole)

    def rest(self, first: int, count: int) -> Entries:
        """Entries of a bundle that was pruned in part."""
        path = f"{BELOW}{Rest(first, count)}"
        return Entries(self._get(path, count * ENTRY_BYTES_MAX), path, count)

    def tile(self, path: TilePath) -> bytes:
        """The hashes of a tile."""
        hashes, whole = self._file(path, HASH_BYTES)
        return hashes[: path.width * HASH_BYTES] if whole else hashes

    def first_bundle(self, paths: Sequence[TilePath]) -> int:
        """The first bundle that is served, if the first of all is not; 0 if none is."""
        low, high = 0, len(paths) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._has(paths[middle]) else (middle, high)
        return high if high and self._has(paths[high]) else 0

    def _has(self, path: TilePath) -> bool:
        try:
            self.bundle(path)
        except NotThere:
            return False
        return True

    def cut(self) -> Pruned | None:
        """The rules' state at the cut, None if the log does not show it."""
        try:
            raw = self._get(BELOW + CUT, CUT_BYTES_MAX)
        except NotThere:
            return None
        try:
            note = CutNote.parse(raw)
            if note.length > STATE_BYTES_MAX:
                raise Unreachable(f"the rules' state of {note.length} bytes is too long to read")
            state = b"".join(self._piece(f"{BELOW}{path}", size) for path, size in note.pieces())
            pruned = parse_state(None, state)
        except BadPruned as error:
            raise Broken(str(error), error.file) from error
        if pruned.digest != note.state:
            raise Broken("the state is not the one that the log names", f"{DIRECTORY}/{STATE}")
        return pruned

    def _piece(self, path: str, length: int) -> bytes:
        found = self._get(path, length)
        if len(found) != length:
            raise Broken(f"this piece of the rules' state has not {length} bytes", path)
        return found

    def _file(self, path: TilePath, each_bytes_max: int) -> tuple[bytes, bool]:
        """The file, or the whole one that a log may show instead of a part that has grown."""
        file = f"tile/{path}"
        try:
            return self._get(file, path.width * each_bytes_max), False
        except NotThere:
            if path.width == WIDTH:
                raise
            try:
                wider = f"tile/{replace(path, width=WIDTH)}"
                return self._get(wider, WIDTH * each_bytes_max, file), True
            except NotThere:
                pass  # what was asked for is told, not what might have stood for it
            raise

    def _get(self, path: str, bytes_max: int, told: str = "") -> bytes:
        try:
            return self._log.get(path, bytes_max)
        except TooLong as error:
            raise Broken(str(error), told or path) from error

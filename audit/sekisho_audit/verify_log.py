"""The verifier over a network: is the log at this URL what was signed, and within its rules?

All entries are read, so the root is computed from the events themselves and every rule is checked
as for a directory; all hash tiles are read too and must be those of the entries. What a server does
not say is no proof of anything: a log that does not answer, or that shows an older checkpoint than
one that was kept, is `cannot tell`, never `sound`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sekisho_audit.checkpoint import (
    NOTE_BYTES_MAX,
    BadNote,
    Checkpoint,
    VerifierKey,
    read_unverified,
)
from sekisho_audit.kept import Kept, Unreadable
from sekisho_audit.key_chain import ROTATED, KeyChain
from sekisho_audit.pruned import PRUNED
from sekisho_audit.remote_log import NotThere, RemoteLog, TooLong, Unreachable
from sekisho_audit.report import Report
from sekisho_audit.rules import Book
from sekisho_audit.tiles import WIDTH, TilePath, tile_root
from sekisho_audit.tree import HASH_BYTES, leaf_hash
from sekisho_audit.verdict import Findings, Progress, Signed
from sekisho_audit.verify_keys import follow_leaves, hand_overs

_BEFORE = struct.Struct(">H")
ENTRY_BYTES_MAX = _BEFORE.size + 0xFFFF
CONTENT_NOT_SERVED = (
    "Sealed content is not served over a network: whether what events commit to is still there "
    "can be seen in the directory only."
)


PRUNED_LOG = (
    "they were pruned, as the log says. Their hashes lead to the root, and each entry served "
    "was looked at; whether entries follow from one another can be checked in the directory only, "
    "where the rules' state at the cut is: run `sekisho-audit verify` there"
)
HIDDEN = "no event of the log says that they were pruned"
_KEY_OF_BEFORE = (
    "nothing that the log still serves leads from the given key to the one that signed the "
    "checkpoint: give the key of after the last change that was pruned"
)


class _Unruled(Book):
    """What came before is not known, so nothing can be said of what may follow."""

    def apply(self, leaf: Mapping[str, Any]) -> None:
        """Let anything pass."""


class _Broken(Exception):
    """The log does not show what it signs."""

    def __init__(self, what: str, file: str) -> None:
        super().__init__(what)
        self.file = file


class _Tiles:
    """Compares each tile with the hashes of the entries, as soon as it is whole."""

    def __init__(self, get: Callable[[TilePath], bytes]) -> None:
        self._get = get
        self._levels: list[tuple[int, bytearray]] = [(0, bytearray())]

    def append(self, hashes: bytes) -> None:
        """The next hashes of entries: those of one bundle."""
        self._add(0, hashes)

    def _add(self, level: int, hashes: bytes) -> None:
        if level == len(self._levels):
            self._levels.append((0, bytearray()))
        index, tile = self._levels[level]
        tile += hashes
        if len(tile) == WIDTH * HASH_BYTES:
            self._compare(TilePath(level, index), bytes(tile))
            self._levels[level] = (index + 1, bytearray())
            self._add(level + 1, tile_root(bytes(tile)))

    def finish(self) -> None:
        """Compare what is not whole."""
        for level, (index, tile) in enumerate(self._levels):
            if tile:
                width = len(tile) // HASH_BYTES
                self._compare(TilePath(level, index, width), bytes(tile))

    def _compare(self, path: TilePath, hashes: bytes) -> None:
        if self._get(path) != hashes:
            raise _Broken("the hashes of this tile are not those of the entries", f"tile/{path}")


class _Reading:
    """One pass over one log."""

    def __init__(self, log: RemoteLog, progress: Progress) -> None:
        self._log = log
        self._findings = Findings(progress)
        self._findings.see = self._see
        self._rotations: list[Mapping[str, Any]] = []
        self._prunings: list[int] = []

    def _see(self, leaf: Mapping[str, Any]) -> None:
        """A change of keys stands behind exactly the events that both keys signed."""
        if leaf["type"] == ROTATED:
            self._rotations.append(leaf)
            self._findings.keep_root()
        elif leaf["type"] == PRUNED:
            self._prunings.append(leaf["data"]["size"])

    def run(self, key: VerifierKey, kept: Kept) -> Report:
        """Read everything that the checkpoint covers."""
        findings = self._findings
        findings.report.content_read = False
        findings.note(CONTENT_NOT_SERVED)
        try:
            self._read(key, kept)
        except _Broken as error:
            findings.fault(str(error), file=error.file)
        except (Unreachable, Unreadable) as error:
            findings.doubt(str(error))
        return findings.conclude()

    def _read(self, key: VerifierKey, kept: Kept) -> None:
        """Who may have signed the checkpoint is known when all was read that it covers."""
        findings = self._findings
        try:
            note = self._log.get("checkpoint", NOTE_BYTES_MAX)
            checkpoint = read_unverified(note)
        except (TooLong, BadNote) as error:
            raise _Broken(f"the checkpoint does not hold: {error}", "checkpoint") from error
        findings.origin = checkpoint.origin
        if checkpoint.origin != key.name:
            findings.fault("the checkpoint names another ledger than its key", file="checkpoint")
        findings.begin({checkpoint.size, *kept.expect(findings)})
        tiles = _Tiles(self._tile)
        first = self._read_entries(checkpoint.size, tiles)
        tiles.finish()
        if first:
            self._say_pruned(first)
        if first and not self._is_known(key, note):
            findings.doubt(_KEY_OF_BEFORE)
            return
        chain = follow_leaves(self._rotations, key, findings)
        try:
            chain.open(note)
        except BadNote as error:
            findings.fault(f"the checkpoint does not hold: {error}", file="checkpoint")
        self._compare(checkpoint, chain, kept)

    def _read_entries(self, size: int, tiles: _Tiles) -> int:
        """All entries that are served, and the hashes of those before; returns the first bundle
        that is served.
        """
        bundles, first = list(_bundles(size)), 0
        for index, width in bundles:
            path = TilePath(None, index, width)
            try:
                tiles.append(self._pruned(path) if index < first else self._bundle(path))
            except NotThere:
                first = self._first_served(bundles) if index == 0 else 0
                if not first:
                    raise
                self._findings.book = _Unruled()
                tiles.append(self._pruned(path))
        return first

    def _first_served(self, bundles: Sequence[tuple[int, int]]) -> int:
        """The first bundle that is there, if the first of all is not; 0 if none is."""
        low, high = 0, len(bundles) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._has(bundles[middle]) else (middle, high)
        return high if high and self._has(bundles[high]) else 0

    def _has(self, bundle: tuple[int, int]) -> bool:
        try:
            self._file(TilePath(None, *bundle), ENTRY_BYTES_MAX)
        except NotThere:
            return False
        return True

    def _say_pruned(self, first: int) -> None:
        """An event of the log itself says what was pruned; without one, entries are just hidden."""
        below = first * WIDTH
        said = any(below - WIDTH < size <= below for size in self._prunings)
        hidden = f"tile/{TilePath(None, 0)} and all entries below {below} are not served"
        self._findings.doubt(f"{hidden}: {PRUNED_LOG if said else HIDDEN}")

    def _pruned(self, path: TilePath) -> bytes:
        """The hashes of entries that are not served any more."""
        hashes = self._tile(TilePath(0, path.index, path.width))
        if len(hashes) != path.width * HASH_BYTES:
            raise _Broken("the tile has not the hashes that it must have", f"tile/{path}")
        for at in range(0, len(hashes), HASH_BYTES):
            self._findings.pass_over(hashes[at : at + HASH_BYTES])
        return hashes

    def _is_known(self, key: VerifierKey, note: bytes) -> bool:
        """Whether what is still served leads from this key to the checkpoint."""
        if self._rotations:
            said = [leaf["data"] for leaf in self._rotations]
            return key.line() in {one[name] for one in said for name in ("old", "new")}
        try:
            KeyChain(key).open(note)
        except BadNote:
            return False
        return True

    def _compare(self, checkpoint: Checkpoint, chain: KeyChain, kept: Kept) -> None:
        findings = self._findings
        signed = [Signed(checkpoint, "checkpoint"), *hand_overs(chain)]
        older = False
        for one in kept.open(chain, findings):
            if one.checkpoint.size <= checkpoint.size:
                signed.append(one)
                continue
            older = True
            findings.doubt(
                f"the log shows {checkpoint.size} events, the {one.name} says "
                f"{one.checkpoint.size}: it is behind, or events were removed. Ask again in a "
                "minute; if it stays so, keep both checkpoints as evidence"
            )
        findings.compare(signed)
        if not older:
            kept.compare_leaf(chain, findings)
        findings.signed_at(checkpoint.size)

    def _bundle(self, path: TilePath) -> bytes:
        """Take the entries of a bundle; returns their hashes."""
        (raw, wider), file, at = self._file(path, ENTRY_BYTES_MAX), f"tile/{path}", 0
        hashes = bytearray()
        for _ in range(path.width):
            if len(raw) < at + _BEFORE.size:
                raise _Broken("the bundle ends before its last entry", file)
            (length,) = _BEFORE.unpack_from(raw, at)
            body = raw[at + _BEFORE.size : at + _BEFORE.size + length]
            if len(body) < length:
                raise _Broken("the bundle ends inside an entry", file)
            digest = leaf_hash(body)
            self._findings.take(body, digest, file, at)
            hashes += digest
            at += _BEFORE.size + length
        if at != len(raw) and not wider:
            raise _Broken("the bundle goes on behind its last entry", file)
        return bytes(hashes)

    def _tile(self, path: TilePath) -> bytes:
        hashes, wider = self._file(path, HASH_BYTES)
        return hashes[: path.width * HASH_BYTES] if wider else hashes

    def _file(self, path: TilePath, each_bytes_max: int) -> tuple[bytes, bool]:
        """The file, or the whole one that a log may show instead of a part that has grown."""
        file = f"tile/{path}"
        try:
            try:
                return self._log.get(file, path.width * each_bytes_max), False
            except NotThere as missing:
                if path.width == WIDTH:
                    raise
                return self._wider(path, each_bytes_max, missing), True
        except TooLong as error:
            raise _Broken(str(error), file) from error

    def _wider(self, path: TilePath, each_bytes_max: int, missing: NotThere) -> bytes:
        try:
            return self._log.get(f"tile/{replace(path, width=WIDTH)}", WIDTH * each_bytes_max)
        except NotThere:
            raise missing from None


def _bundles(size: int) -> Iterator[tuple[int, int]]:
    """Index and width of each bundle of entries."""
    whole, rest = divmod(size, WIDTH)
    yield from ((index, WIDTH) for index in range(whole))
    if rest:
        yield whole, rest


def _nothing(_size: int) -> None:
    """Nobody watches the progress."""


def verify_log(
    log: RemoteLog, *, key: VerifierKey, kept: Kept, progress: Progress = _nothing
) -> Report:
    """Verify the log. Never raises for what it finds there."""
    return _Reading(log, progress).run(key, kept)

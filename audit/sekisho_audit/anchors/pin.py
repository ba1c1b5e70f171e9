"""Checkpoints kept as files in a place elsewhere: another mount, a WORM share, a backup's folder.

    <place>/<origin in letters>-<8 digits of its hash>/<size, 12 digits>-<root, 16 digits>.note

One file for each checkpoint, written once and never changed, so that a place that allows no change
will do, and two ledgers of one name cannot overwrite one another. Before each one is written, those
that are there are compared: every checkpoint that our key signed must be of our history. What our
key did not sign proves nothing, is reported, and stops nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from sekisho_audit.anchors.port import NOTE, AnchorFailed, Claim, Diverged, Evidence
from sekisho_audit.checkpoint import (
    NOTE_BYTES_MAX,
    BadNote,
    Checkpoint,
    VerifierKey,
    open_any,
    read_unverified,
)
from sekisho_audit.durable import create, make_directory
from sekisho_audit.last_signed import Elsewhere

# At start the newest are compared; the rest was, when each of them was written.
COMPARED_AT_START = 1_000
_NAME = re.compile(r"[0-9]{12}-[0-9a-f]{16}\.note")


def file_name(checkpoint: Checkpoint) -> str:
    """The name of a pinned checkpoint."""
    return f"{checkpoint.size:012d}-{checkpoint.root.hex()[:16]}.note"


class Pin:
    """An anchor that is a folder."""

    kind = "pin"

    def __init__(self, name: str, place: Path, origin: str) -> None:
        """The place must exist: a mount that is missing must not be mistaken for an empty one."""
        self.name = name
        letters = re.sub(r"[^A-Za-z0-9.-]", "_", origin)
        self._place = place
        self.folder = place / f"{letters}-{sha256(origin.encode()).hexdigest()[:8]}"
        self._origin = origin
        self._compared: set[str] = set()

    # -- at start, before the first event

    def known(self, keys: Sequence[VerifierKey]) -> list[Elsewhere]:
        """What is pinned under our name, newest first, and whether one of `keys` signed it.

        Raises AnchorFailed if the place cannot be read.
        """
        found = []
        for name in sorted(self._names(), reverse=True)[:COMPARED_AT_START]:
            told = self._read(name, keys)
            claimed = told or self._claimed(name)
            if claimed is not None:
                where = str(self.folder / name)
                found.append(Elsewhere(where, claimed, signed=told is not None))
        return found

    # -- as an anchor

    def look(self, claim: Claim) -> None:
        """Compare what has come since the last look."""
        strange = []
        for name in sorted(set(self._names()) - self._compared):
            told = self._read(name, claim.keys)
            if told is None:
                strange.append(name)
                continue
            self._compare(told, name, claim)
            self._compared.add(name)
        if strange:
            raise AnchorFailed(
                "unsigned",
                f"{self.folder / strange[0]} was not signed by our key: find out who wrote it, "
                "and keep it elsewhere",
            )

    def take(self, claim: Claim) -> Evidence:
        """Write, and read back."""
        self.look(claim)
        name = file_name(claim.checkpoint)
        path = self.folder / name
        try:
            make_directory(self.folder)
            if not path.exists():
                create(path, claim.note)
            found = path.read_bytes()
        except OSError as error:
            raise AnchorFailed("disk", f"{path}: {error.strerror}") from error
        if self._read(name, claim.keys) != claim.checkpoint:
            raise AnchorFailed("disk", f"{path} does not hold what was written")
        self._compared.add(name)
        return Evidence({NOTE: found})

    def _names(self) -> Iterator[str]:
        try:
            if not self._place.is_dir():
                raise AnchorFailed("disk", f"{self._place} is not there; mount it, or make it")
            if self.folder.is_dir():
                names = (path.name for path in self.folder.iterdir())
                yield from filter(_NAME.fullmatch, names)
        except OSError as error:
            raise AnchorFailed("disk", f"{self.folder}: {error.strerror}") from error

    def _read(self, name: str, keys: Sequence[VerifierKey]) -> Checkpoint | None:
        """A pinned checkpoint of ours; None if our key did not sign it."""
        try:
            told = open_any(self._raw(name), keys)
        except BadNote:
            return None
        return told if told.origin == self._origin else None

    def _claimed(self, name: str) -> Checkpoint | None:
        """What a note says under our name, whoever signed it."""
        try:
            told = read_unverified(self._raw(name))
        except BadNote:
            return None
        return told if told.origin == self._origin else None

    def _raw(self, name: str) -> bytes:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                return file.read(NOTE_BYTES_MAX + 1)
        except OSError as error:
            raise AnchorFailed("disk", f"{path}: {error.strerror}") from error

    def _compare(self, told: Checkpoint, name: str, claim: Claim) -> None:
        ours = claim.checkpoint
        if told.size <= ours.size and claim.since(told.size).root == told.root:
            return
        path = self.folder / name
        raise Diverged(
            f"{path} has a checkpoint over {told.size} events that our key signed and that is "
            f"not of this ledger, which has {ours.size}",
            path.read_bytes(),
        )

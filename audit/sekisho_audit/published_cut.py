"""The rules' state at the cut of a pruned ledger, as readers of the published log are given it.

It is the file `pruned/state`, byte for byte. It is shown only under a checkpoint that was signed
when the file was there already: the event that names it was signed before the file got its name, so
whoever asks for the state first and for the checkpoint then finds that event.

Used by one thread at a time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path

from sekisho_audit.cut_files import PIECE_BYTES, PIECES_MAX, CutNote, Piece
from sekisho_audit.errors import Refused
from sekisho_audit.pruned import DIRECTORY, STATE
from sekisho_audit.tiles import NoTile

_NONE = "nothing was pruned from this ledger"
_OTHER = "the ledger was pruned again: ask for the cut anew"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A state, and how many events must be shown for it to be."""

    stamp: tuple[int, ...]
    note: CutNote
    size: int


class PublishedCut:
    """Reads the state of one ledger, and notices when it is replaced."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger / DIRECTORY / STATE
        self._seen: _Seen | None = None

    def note(self, shown_size: int, signed_size: int) -> bytes:
        """Which state there is. `signed_size` events are signed by now.

        Raises NoTile if nothing was pruned, Refused (`busy`) before its event is shown, OSError.
        """
        with self._opened() as file:
            return self._known(file, shown_size, signed_size).encode()

    def piece(self, piece: Piece, shown_size: int, signed_size: int) -> bytes:
        """A piece of the state. Raises as `note`; NoTile if the state is another by now."""
        with self._opened() as file:
            note = self._known(file, shown_size, signed_size)
            if piece.state != note.state:
                raise NoTile(_OTHER)
            file.seek(piece.number * PIECE_BYTES)
            found = file.read(PIECE_BYTES)
        if not found:
            raise NoTile("the state has no such piece")
        return found

    def _opened(self) -> BufferedReader:
        try:
            return self._path.open("rb")
        except FileNotFoundError as error:
            raise NoTile(_NONE) from error

    def _known(self, file: BufferedReader, shown_size: int, signed_size: int) -> CutNote:
        found = os.fstat(file.fileno())
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if self._seen is None or self._seen.stamp != stamp:
            digest = file_digest(file, "sha256").hexdigest()
            self._seen = _Seen(stamp, CutNote(digest, found.st_size), signed_size)
        if found.st_size > PIECES_MAX * PIECE_BYTES:
            raise NoTile("the state is too long to be served")
        if shown_size < self._seen.size:
            raise Refused("busy", "the pruning is not under the checkpoint shown; try again")
        return self._seen.note

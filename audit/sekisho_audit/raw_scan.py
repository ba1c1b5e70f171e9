"""Whether some bytes stand anywhere in the files below some directories, whatever the files are.

Files are read as they are: segments, SQLite with its logs, Valkey's, sockets left out. It proves
nothing about blocks that belong to no file any more.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Small pieces: nobody else of this process gets on while one is searched.
_PIECE_BYTES = 262_144
NEEDLE_BYTES_MIN = 6  # shorter ones stand everywhere by chance


def raw_scan(
    places: Sequence[Path], needles: Mapping[str, bytes]
) -> tuple[dict[str, list[str]], int]:
    """For each name of a needle the files that hold it; and how many bytes were read.

    A needle shorter than NEEDLE_BYTES_MIN is not looked for. Raises OSError for what cannot be
    read; a file that goes away meanwhile is passed over.
    """
    wanted = {name: text for name, text in needles.items() if len(text) >= NEEDLE_BYTES_MIN}
    found: dict[str, list[str]] = {name: [] for name in wanted}
    overlap = max((len(text) for text in wanted.values()), default=1) - 1
    read = 0
    for place in places:
        for path in _files(place):
            for piece, fresh in _pieces(path, overlap):
                read += fresh
                for name, text in wanted.items():
                    if text in piece and str(path) not in found[name]:
                        found[name].append(str(path))
                time.sleep(0)
    return {name: paths for name, paths in found.items() if paths}, read


def _files(place: Path) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(place, onerror=failed):
        for name in sorted(names):
            path = Path(folder, name)
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path
            except FileNotFoundError:
                continue


def _pieces(path: Path, overlap: int) -> Iterator[tuple[bytes, int]]:
    """Pieces of a file, each with the end of the one before; and how much of it is new."""
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with file:
        kept = b""
        while piece := file.read(_PIECE_BYTES):
            yield kept + piece, len(piece)
            kept = (kept + piece)[-overlap:] if overlap else b""

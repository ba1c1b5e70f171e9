"""Where a published log shows what a pruning left behind: names and forms, for server and reader.

    pruned/cut                          which state there is; changes with each pruning
    pruned/state/<hash>/<piece>         `pruned/state` of the ledger, in pieces of 1 MiB
    pruned/entries/<first>.p/<count>    entries of the bundle that was pruned in part

All but the first never change: a piece is named by the hash of the whole. The hash alone proves
nothing; whether an event of the log names it is for the verifier to find (`cut.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sekisho_audit.pruned import BadPruned, encode_state
from sekisho_audit.tiles import WIDTH, NoTile

BELOW = "pruned/"
CUT = "cut"
FORMAT = "sekisho-cut/v1"
CUT_BYTES_MAX = 1_024
PIECE_BYTES = 1 << 20  # a part of a second to send, of a state that may have a hundred of them
PIECES_MAX = 1_000
_STATE = re.compile(r"state/(?P<state>[0-9a-f]{64})/(?P<number>[0-9]{3})")
_ENTRIES = re.compile(r"entries/(?P<first>[1-9][0-9]{0,14})\.p/(?P<count>[1-9][0-9]{0,2})")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Piece:
    """So much of a state: the piece with this number, from 0 on."""

    state: str
    number: int

    def __str__(self) -> str:
        """The path below `pruned/`."""
        return f"state/{self.state}/{self.number:03d}"


@dataclass(frozen=True, slots=True)
class Rest:
    """Entries that are held, of a bundle whose first entries are not."""

    first: int
    count: int

    def __str__(self) -> str:
        """The path below `pruned/`."""
        return f"entries/{self.first}.p/{self.count}"


def parse_path(text: str) -> Piece | Rest | None:
    """What a path below `pruned/` names; None is the cut itself. Raises NoTile."""
    if text == CUT:
        return None
    if found := _STATE.fullmatch(text):
        return Piece(found["state"], int(found["number"]))
    if found := _ENTRIES.fullmatch(text):
        rest = Rest(int(found["first"]), int(found["count"]))
        if rest.first % WIDTH + rest.count <= WIDTH and rest.first % WIDTH:
            return rest
    raise NoTile(f"{text!r} is no path of what a pruning left")


@dataclass(frozen=True, slots=True)
class CutNote:
    """Which state a log has: the hash of the file, and its length."""

    state: str
    length: int

    def encode(self) -> bytes:
        """As it is served."""
        return encode_state({"bytes": self.length, "format": FORMAT, "state": self.state})

    @classmethod
    def parse(cls, raw: bytes) -> CutNote:
        """Raises BadPruned."""
        try:
            said = json.loads(raw)
            found = cls(said["state"], said["bytes"])
            good = type(found.length) is int and found.length > 0 and _HASH.fullmatch(found.state)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadPruned(CUT, "it does not read as a cut") from error
        if not good or found.encode() != raw:
            raise BadPruned(CUT, f"it is not of the format {FORMAT}")
        return found

    def pieces(self) -> Iterator[tuple[Piece, int]]:
        """The pieces of the state with their lengths."""
        for number in range(-(-self.length // PIECE_BYTES)):
            left = self.length - number * PIECE_BYTES
            yield Piece(self.state, number), min(PIECE_BYTES, left)

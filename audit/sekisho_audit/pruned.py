"""What a ledger keeps of leaves that it holds no more: hashes, and what the rules made of them.

    pruned/hashes   the hash of each leaf below the cut, 32 bytes each
    pruned/state    canonical JSON: the rules' state at the cut

So the root is still computed from the first leaf on, and writer and verifier go on at the cut with
the same rules. The event `audit.pruned`, among the leaves that stay, names size, root and the hash
of `state`; a file that no event names is worth nothing. Pure reading, for both of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from sekisho_audit.canon import decode
from sekisho_audit.carried import read_book, read_custody
from sekisho_audit.custody import Custody
from sekisho_audit.needles import leaves_of_type
from sekisho_audit.rules import Book
from sekisho_audit.tree import HASH_BYTES, CompactRange
from sekisho_audit.usage import Sums

FORMAT = "sekisho-pruned/v1"
PRUNED = "audit.pruned"
DIRECTORY, STATE, HASHES, NEW = "pruned", "state", "hashes", ".new"
NAMES = frozenset({STATE, HASHES, STATE + NEW, HASHES + NEW})
_MEMBERS = frozenset(
    {"format", "log", "size", "root", "newest_us", "payloads"}
    | {"book", "custody", "sums", "rotations"}
)
T = TypeVar("T")
_READ_BYTES = 1024 * HASH_BYTES
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class BadPruned(ValueError):
    """The files do not read as what a pruning leaves behind; `file` is which."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(what)
        self.file = f"{DIRECTORY}/{file}"


def encode_state(document: Mapping[str, Any]) -> bytes:
    """The one byte form of a state."""
    return _ENCODER.encode(document).encode()


@dataclass(frozen=True, slots=True)
class Pruned:
    """The cut of a ledger: leaves below `size` are gone, and payloads below ordinal `payloads`.

    `ledger` is None if only the state is at hand, not the hashes.
    """

    ledger: Path | None
    size: int
    root: str
    newest_us: int
    payloads: int
    digest: str
    document: Mapping[str, Any]

    def check_log(self, origin: str) -> None:
        """Raises BadPruned if this is of another ledger."""
        if self._of("log") != origin:
            raise BadPruned(STATE, "it is of another ledger")

    def book(self, memory: int | None) -> Book:
        """The rules' state at the cut. Raises BadPruned."""
        return self._read(lambda: read_book(self._of("book"), self._of("log"), memory))

    def custody(self) -> Custody:
        """Officers, legal holds, erasures at the cut. Raises BadPruned."""
        return self._read(lambda: read_custody(self._of("custody")))

    def sums(self) -> Sums:
        """What was set aside at the cut. Raises BadPruned."""

        def read() -> Sums:
            sums = Sums()
            sums.carry_on(self._of("sums"), self.newest_us)
            return sums

        return self._read(read)

    def rotations(self) -> list[tuple[Mapping[str, Any], bytes]]:
        """Leaves below the cut that record a change of keys, with their bytes. Raises BadPruned."""

        def read() -> list[tuple[Mapping[str, Any], bytes]]:
            bodies = [str(text).encode() for text in self._of("rotations")]
            return [(dict(decode(body)), body) for body in bodies]

        return self._read(read)

    def hashes(self) -> Iterator[bytes]:
        """Hashes of the leaves below the cut. Raises BadPruned, OSError."""
        left, path = self.size, None if self.ledger is None else self.ledger / DIRECTORY / HASHES
        if path is None or not path.is_file():
            raise BadPruned(HASHES, "the file is not there")
        with path.open("rb") as file:
            while left:
                block = file.read(min(_READ_BYTES, left * HASH_BYTES))
                if not block or len(block) % HASH_BYTES:
                    raise BadPruned(HASHES, f"it ends before the {self.size} hashes that are due")
                for at in range(0, len(block), HASH_BYTES):
                    yield block[at : at + HASH_BYTES]
                left -= len(block) // HASH_BYTES

    def _of(self, name: str) -> Any:
        return self.document[name]

    @staticmethod
    def _read(read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
            raise BadPruned(STATE, f"it does not read as the state of a ledger: {error}") from error


def read_pruned(ledger: Path) -> Pruned | None:
    """The cut of a ledger, or None if it has all of its leaves. Raises BadPruned, OSError."""
    path = ledger / DIRECTORY / STATE
    if not path.exists():
        return None
    return parse_state(ledger, path.read_bytes())


def parse_state(ledger: Path | None, raw: bytes) -> Pruned:
    """The cut that a state tells. Raises BadPruned."""
    try:
        said = json.loads(raw)
        if not isinstance(said, dict) or said.keys() != _MEMBERS or said["format"] != FORMAT:
            raise BadPruned(STATE, f"it is not of the format {FORMAT}")
        if encode_state(said) != raw:
            raise BadPruned(STATE, "it is not in canonical form")
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, BadPruned) else BadPruned(STATE, str(error)) from error
    figures = [said["size"], said["newest_us"], said["payloads"]]
    if any(type(one) is not int or one < 0 for one in figures) or not said["size"]:
        raise BadPruned(STATE, "a figure is missing")
    return Pruned(
        ledger,
        said["size"],
        str(said["root"]),
        said["newest_us"],
        said["payloads"],
        sha256(raw).hexdigest(),
        said,
    )


def carried_rotations(ledger: Path) -> list[tuple[Mapping[str, Any], bytes]]:
    """Changes of keys among leaves that are gone; none if that cannot be read. Raises OSError."""
    try:
        pruned = read_pruned(ledger)
        return [] if pruned is None else pruned.rotations()
    except BadPruned:
        return []


@dataclass(frozen=True, slots=True)
class Record:
    """What an event `audit.pruned` at `index` says."""

    index: int
    size: int
    root: str
    state: str
    newest_us: int

    def names(self, pruned: Pruned) -> bool:
        """Whether this is the event of that cut."""
        said = (pruned.size, pruned.root, pruned.digest, pruned.newest_us)
        return said == (self.size, self.root, self.state, self.newest_us)


def record_of(leaf: Mapping[str, Any]) -> Record:
    """What the leaf of a pruning says. Raises KeyError, TypeError."""
    data = leaf["data"]
    return Record(leaf["n"], *(data[name] for name in ("size", "root", "state", "newest_us")))


def records(ledger: Path) -> list[Record]:
    """Prunings that the leaves still held tell of, in order. Raises OSError."""
    found = []
    for leaf, _ in leaves_of_type(ledger, PRUNED):
        try:
            record = record_of(leaf)
        except (KeyError, TypeError):
            continue  # whoever reads the leaf tells
        if all(type(one) is int for one in (record.index, record.size, record.newest_us)):
            found.append(record)
    return found


def stored_hashes(ledger: Path, first: int, count: int) -> list[bytes]:
    """At most `count` hashes of leaves that are gone, from `first` on. Raises OSError."""
    path = ledger / DIRECTORY / HASHES
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(first * HASH_BYTES)
        raw = file.read(count * HASH_BYTES)
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]


def fits_hashes(ledger: Path, size: int, root: str) -> bool:
    """Whether `pruned/hashes` has so many hashes, and they lead to this root. Raises OSError."""
    path, edge = ledger / DIRECTORY / HASHES, CompactRange()
    if path.stat().st_size != size * HASH_BYTES:
        return False
    for at in range(0, size, 1024):
        for digest in stored_hashes(ledger, at, min(1024, size - at)):
            edge.append(digest)
    return edge.root().hex() == root

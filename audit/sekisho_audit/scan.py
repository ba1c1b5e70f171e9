"""Reading segment files, for recovery and for the verifier; it never writes.

A segment is a magic line (`sekisho-events-v1 000000000042` and a newline: format and ordinal of the
first frame) followed by frames: length (4 bytes, big endian), SHA-256 (32 bytes), body. The digest
is the RFC 6962 leaf hash for events and the plain SHA-256 for payloads. So every byte of every file
is covered: the magic line is compared whole, a wrong length breaks a digest, a wrong body too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sekisho_audit.canon import LEAF_BYTES_MAX
from sekisho_audit.tree import HASH_BYTES, leaf_hash

LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(f">I{HASH_BYTES}s")
HEAD_BYTES = _HEAD.size
# A request body may be 8 MiB and an answer more; this is a bound on memory, not a wish.
PAYLOAD_BYTES_MAX = 32 * 1024 * 1024
_READ_BYTES = 1024 * 1024
NO_SEGMENT = "this file does not belong here"
_NAME = re.compile(r"([0-9]{12})\.seg")


def payload_hash(body: bytes) -> bytes:
    """Digest of a stored (encrypted) payload."""
    return sha256(body).digest()


@dataclass(frozen=True, slots=True)
class Family:
    """One of the two kinds of segment."""

    directory: str
    magic: str
    digest: Callable[[bytes], bytes]
    frame_bytes_max: int

    def header(self, first: int) -> bytes:
        """The magic line of the segment whose first frame has ordinal `first`."""
        return f"{self.magic} {first:012d}\n".encode()


EVENTS = Family("events", "sekisho-events-v1", leaf_hash, LEAF_BYTES_MAX)
PAYLOADS = Family("payloads", "sekisho-payloads-v1", payload_hash, PAYLOAD_BYTES_MAX)


class Frame(NamedTuple):
    """One stored record: where it begins in its file, its digest, its bytes."""

    offset: int
    digest: bytes
    body: bytes


class BrokenSegment(Exception):
    """A segment does not read to its end. `offset` is where the first bad record begins.

    `torn`: a writer that was killed could have left it so, if this is the end of the ledger.
    """

    def __init__(self, path: Path, offset: int, what: str, *, torn: bool = True) -> None:
        super().__init__(f"{path.parent.name}/{path.name}, byte {offset}: {what}")
        self.path = path
        self.offset = offset
        self.what = what
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment file and the ordinal of its first frame."""

    path: Path
    first: int


def segment_path(ledger: Path, family: Family, first: int) -> Path:
    """Where the segment is whose first frame has ordinal `first`."""
    return ledger / family.directory / f"{first:012d}.seg"


def segments(ledger: Path, family: Family) -> list[Segment]:
    """All segments of a family in order. A file that is none of ours is refused."""
    found, strays = listed(ledger, family)
    for path in strays:
        raise BrokenSegment(path, 0, NO_SEGMENT, torn=False)
    return found


def listed(ledger: Path, family: Family) -> tuple[list[Segment], list[Path]]:
    """The segments in order, and what lies beside them. Raises BrokenSegment without a folder."""
    found, strays = [], []
    directory = ledger / family.directory
    if not directory.is_dir():
        raise BrokenSegment(directory, 0, "this folder is missing", torn=False)
    for path in sorted(directory.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            found.append(Segment(path, int(match[1])))
        else:
            strays.append(path)
    return found, strays


def held_from(ledger: Path, family: Family) -> int:
    """The ordinal of the first frame that is held: 0 until leaves are pruned."""
    found = segments(ledger, family)
    return found[0].first if found else 0


def frames(segment: Segment, family: Family) -> Iterator[Frame]:
    """The frames of one segment, each checked against its digest."""
    path = segment.path
    with path.open("rb", buffering=_READ_BYTES) as file:
        header = family.header(segment.first)
        start = file.read(len(header))
        if start != header:
            what = "the first line is not what the file name says"
            torn = len(start) < len(header) and header.startswith(start)
            raise BrokenSegment(path, 0, what, torn=torn)
        offset, digest_of, longest = len(header), family.digest, family.frame_bytes_max
        while head := file.read(HEAD_BYTES):
            if len(head) < HEAD_BYTES:
                raise BrokenSegment(path, offset, "the file ends inside a record")
            length, digest = _HEAD.unpack(head)
            if not 0 < length <= longest:
                raise BrokenSegment(path, offset, f"impossible record length {length}")
            body = file.read(length)
            if len(body) < length:
                raise BrokenSegment(path, offset, "the file ends inside a record")
            if digest_of(body) != digest:
                raise BrokenSegment(path, offset, "the record does not fit its hash")
            yield Frame(offset, digest, body)
            offset += HEAD_BYTES + length


def read_frame(path: Path, offset: int, family: Family) -> Frame:
    """One frame at a known place."""
    with path.open("rb") as file:
        file.seek(offset)
        head = file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            raise BrokenSegment(path, offset, "the file ends inside a record")
        (length,) = LENGTH.unpack_from(head)
        body = file.read(min(length, family.frame_bytes_max))
    if family.digest(body) != head[LENGTH.size :]:
        raise BrokenSegment(path, offset, "the record does not fit its hash")
    return Frame(offset, head[LENGTH.size :], body)

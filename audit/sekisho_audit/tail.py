"""Following a ledger on the disk from where one stopped: leaves in order, and their payloads.

    tail = Tail(ledger, cursor)
    for read in tail.take(ledger_size, 32): ...

A cursor is kept by whoever follows, in the same transaction as what was made of the leaves. Only
what is durable is asked for, so it is there whole; it only reads, from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from sekisho_audit.scan import (
    EVENTS,
    HEAD_BYTES,
    LENGTH,
    PAYLOADS,
    BrokenSegment,
    Family,
    held_from,
    read_frame,
    segment_path,
)

# Each read lets go of the interpreter, for which the writer is waiting too: few and large.
_BUFFER_BYTES = 131_072


@dataclass(slots=True)
class Cursor:
    """How far the ledger was read: `indexed` events, the last of them at `last` in the segment that
    begins with event `segment`, with this digest; the next one is to come at `offset`.
    """

    indexed: int = 0
    segment: int = 0
    last: int = 0
    offset: int = 0
    digest: bytes = b""

    def fits(self, ledger: Path) -> bool:
        """Whether the last leaf that was read still stands where the cursor says."""
        if self.indexed == 0:
            return True
        try:
            frame = read_frame(segment_path(ledger, EVENTS, self.segment), self.last, EVENTS)
        except (OSError, BrokenSegment):
            return False
        there = HEAD_BYTES + len(frame.body) == self.offset - self.last
        return there and frame.digest == self.digest


@dataclass(frozen=True, slots=True)
class Read:
    """One leaf as it stands in the ledger."""

    leaf: Mapping[str, Any]
    digest: bytes


def _open(ledger: Path, family: Family, first: int, offset: int) -> tuple[BinaryIO, int]:
    """A segment, and where in it reading begins: at `offset`, or (0) at its first frame."""
    file = segment_path(ledger, family, first).open("rb", buffering=_BUFFER_BYTES)
    offset = offset or len(family.header(first))
    file.seek(offset)
    return file, offset


class Tail:
    """Reads leaves on from a cursor; one that has read nothing begins with the first leaf held."""

    def __init__(self, ledger: Path, cursor: Cursor) -> None:
        self._ledger = ledger
        if not cursor.indexed:
            cursor.indexed = cursor.segment = held_from(ledger, EVENTS)
        self.cursor = cursor
        self._file, cursor.offset = _open(ledger, EVENTS, cursor.segment, cursor.offset)

    def take(self, size: int, count: int) -> list[Read]:
        """The next leaves, at most `count`, of a ledger of `size` events. Raises BrokenSegment."""
        cursor = self.cursor
        taken: list[Read] = []
        while cursor.indexed < size and len(taken) < count:
            head = self._file.read(HEAD_BYTES)
            if not head:
                self._next_segment()
                continue
            (length,) = LENGTH.unpack_from(head) if len(head) == HEAD_BYTES else (0,)
            body = self._file.read(length)
            if not length or len(body) < length:
                path = Path(self._file.name)
                raise BrokenSegment(path, cursor.offset, "a durable record is not there")
            taken.append(Read(orjson.loads(body), head[LENGTH.size :]))
            cursor.indexed += 1
            cursor.last, cursor.offset = cursor.offset, cursor.offset + HEAD_BYTES + length
            cursor.digest = head[LENGTH.size :]
        return taken

    def _next_segment(self) -> None:
        cursor = self.cursor
        if cursor.segment == cursor.indexed:
            raise BrokenSegment(Path(self._file.name), cursor.offset, "events are missing")
        file, cursor.offset = _open(self._ledger, EVENTS, cursor.indexed, 0)
        self._file.close()
        self._file, cursor.segment = file, cursor.indexed

    def close(self) -> None:
        """Let go of the segment."""
        self._file.close()


@dataclass(slots=True)
class PayloadCursor:
    """How far payloads were passed: `passed` of them, the next at `offset` in the segment that
    begins with payload `segment`.
    """

    passed: int = 0
    segment: int = 0
    offset: int = 0


class PayloadTail:
    """Finds the payloads of leaves that are read in order.

    A batch writes its payloads in the order of its leaves, so what is wanted next stands ahead, and
    what is passed is nobody's: left by a batch whose leaves were never written.
    """

    def __init__(self, ledger: Path, cursor: PayloadCursor) -> None:
        self._ledger = ledger
        first = held_from(ledger, PAYLOADS)
        if cursor.segment < first:  # what stood there was pruned, and is wanted by no leaf
            cursor.passed = cursor.segment = first
            cursor.offset = 0
        self.cursor = cursor
        self._file, cursor.offset = _open(ledger, PAYLOADS, cursor.segment, cursor.offset)

    def find(self, digest: str) -> bytes:
        """The stored payload with this hash (hex). Raises BrokenSegment if it is not ahead."""
        cursor, wanted = self.cursor, bytes.fromhex(digest)
        while True:
            head = self._file.read(HEAD_BYTES)
            if not head:
                self._next_segment(digest)
                continue
            (length,) = LENGTH.unpack_from(head) if len(head) == HEAD_BYTES else (0,)
            if not 0 < length <= PAYLOADS.frame_bytes_max:
                path = Path(self._file.name)
                raise BrokenSegment(path, cursor.offset, "a durable payload is not there")
            cursor.offset += HEAD_BYTES + length
            cursor.passed += 1
            if head[LENGTH.size :] == wanted:
                return self._body(length, wanted)
            self._file.seek(length, 1)

    def _body(self, length: int, wanted: bytes) -> bytes:
        body = self._file.read(length)
        if PAYLOADS.digest(body) != wanted:
            path, offset = Path(self._file.name), self.cursor.offset - HEAD_BYTES - length
            raise BrokenSegment(path, offset, "the record does not fit its hash")
        return body

    def _next_segment(self, digest: str) -> None:
        cursor = self.cursor
        if cursor.segment == cursor.passed:
            raise BrokenSegment(
                Path(self._file.name), cursor.offset, f"the payload {digest} is not there"
            )
        try:
            file, cursor.offset = _open(self._ledger, PAYLOADS, cursor.passed, 0)
        except FileNotFoundError as error:
            raise BrokenSegment(
                Path(self._file.name), cursor.offset, f"the payload {digest} is not there"
            ) from error
        self._file.close()
        self._file, cursor.segment = file, cursor.passed

    def close(self) -> None:
        """Let go of the segment."""
        self._file.close()

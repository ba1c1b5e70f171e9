"""Finds one event or one stored payload of a ledger on the disk, for the few who ask seldom.

Heads are read and bodies skipped, so a whole ledger is passed in seconds; what is found is checked
against its hash. It only reads, from any thread, what is durable already.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from sekisho_audit.scan import (
    EVENTS,
    HEAD_BYTES,
    LENGTH,
    PAYLOADS,
    BrokenSegment,
    Family,
    Segment,
    read_frame,
    segments,
)


def event_at(ledger: Path, index: int) -> dict[str, Any]:
    """The leaf with this index. Raises BrokenSegment, OSError, and LookupError if there is none."""
    found = [segment for segment in segments(ledger, EVENTS) if segment.first <= index]
    if not found or index < 0:
        raise LookupError(f"no event {index}")
    segment = found[-1]
    for ordinal, (offset, _) in enumerate(_heads(segment, EVENTS), segment.first):
        if ordinal == index:
            leaf: dict[str, Any] = orjson.loads(read_frame(segment.path, offset, EVENTS).body)
            return leaf
    raise LookupError(f"no event {index}")


def payload_of(ledger: Path, digest: str, written_us: int) -> bytes:
    """The stored payload with this hash. Raises BrokenSegment, OSError, LookupError.

    `written_us` says where to begin: a segment that was last written before cannot have it, unless
    the files were copied since, so those are looked into at the end.
    """
    wanted = bytes.fromhex(digest)
    every = segments(ledger, PAYLOADS)
    late = [one for one in every if one.path.stat().st_mtime_ns // 1000 >= written_us]
    for segment in (*late, *(one for one in every if one not in late)):
        for offset, known in _heads(segment, PAYLOADS):
            if known == wanted:
                return read_frame(segment.path, offset, PAYLOADS).body
    raise LookupError(f"no payload {digest}")


def _heads(segment: Segment, family: Family) -> Iterator[tuple[int, bytes]]:
    """Offset and digest of every whole frame; the live segment may end in one being written."""
    size = segment.path.stat().st_size
    offset = len(family.header(segment.first))
    with segment.path.open("rb") as file:
        while offset + HEAD_BYTES <= size:
            file.seek(offset)
            head = file.read(HEAD_BYTES)
            (length,) = LENGTH.unpack_from(head)
            if not 0 < length <= family.frame_bytes_max:
                raise BrokenSegment(segment.path, offset, f"impossible record length {length}")
            if offset + HEAD_BYTES + length > size:
                return
            yield offset, head[LENGTH.size :]
            offset += HEAD_BYTES + length

"""Finds events and stored payloads of a ledger on the disk, for the few who ask seldom.

Heads are read and bodies skipped, so a whole ledger is passed in seconds; what is found is checked
against its hash. It only reads, from any thread, what is durable already.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
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

_BUFFER_BYTES = 1_048_576
_EXCHANGE = re.compile(rb'"exchange":"([0-9a-f-]{36})"')


def event_at(ledger: Path, index: int) -> dict[str, Any]:
    """The leaf with this index. Raises BrokenSegment, OSError, and LookupError if there is none."""
    found = [segment for segment in segments(ledger, EVENTS) if segment.first <= index]
    if not found or index < 0:
        raise LookupError(f"no event {index}")
    segment = found[-1]
    for ordinal, (offset, _) in enumerate(heads(segment, EVENTS), segment.first):
        if ordinal == index:
            leaf: dict[str, Any] = orjson.loads(read_frame(segment.path, offset, EVENTS).body)
            return leaf
    raise LookupError(f"no event {index}")


def events_of(ledger: Path, exchanges: Collection[str], size: int) -> list[dict[str, Any]]:
    """The leaves of exchanges among the first `size` events, in order. Every event is looked at:
    clocks may have stood wrong, and an appeal may come months later. Raises BrokenSegment, OSError.
    """
    wanted = {exchange.encode() for exchange in exchanges}
    found = []
    for segment in segments(ledger, EVENTS):
        for body in bodies(segment):
            # Members of `data` stand before it and may have the same name.
            if any(named in wanted for named in _EXCHANGE.findall(body)):
                leaf = orjson.loads(body)
                if leaf["exchange"] in exchanges and leaf["n"] < size:
                    found.append(leaf)
    return found


def newest_of(ledger: Path, named: bytes) -> Iterator[dict[str, Any]]:
    """Leaves whose bytes hold `named`, from the newest segment back, in order within each. Raises
    BrokenSegment, OSError.
    """
    for segment in reversed(segments(ledger, EVENTS)):
        for body in bodies(segment):
            if named in body:
                yield orjson.loads(body)


def payloads_of(
    ledger: Path, digests: Collection[str], written_us: int
) -> Iterator[tuple[str, bytes]]:
    """The stored payloads with these hashes, in one pass; those not there do not come.

    `written_us` as for `payload_of`. Raises BrokenSegment, OSError.
    """
    wanted = {bytes.fromhex(digest) for digest in digests}
    for segment in _likely(ledger, written_us):
        if not wanted:
            return
        for offset, known in heads(segment, PAYLOADS):
            if known in wanted:
                wanted.discard(known)
                yield known.hex(), read_frame(segment.path, offset, PAYLOADS).body


def payload_of(ledger: Path, digest: str, written_us: int) -> bytes:
    """The stored payload with this hash. Raises BrokenSegment, OSError, LookupError.

    `written_us` says where to begin: a segment that was last written before cannot have it, unless
    the files were copied since, so those are looked into at the end.
    """
    for _, stored in payloads_of(ledger, [digest], written_us):
        return stored
    raise LookupError(f"no payload {digest}")


def _likely(ledger: Path, written_us: int) -> list[Segment]:
    every = segments(ledger, PAYLOADS)
    late = [one for one in every if one.path.stat().st_mtime_ns // 1000 >= written_us]
    return [*late, *(one for one in every if one not in late)]


def bodies(segment: Segment) -> Iterator[bytes]:
    """Every whole body, unchecked; the live segment may end in one being written."""
    with segment.path.open("rb", buffering=_BUFFER_BYTES) as file:
        file.seek(len(EVENTS.header(segment.first)))
        while len(head := file.read(HEAD_BYTES)) == HEAD_BYTES:
            (length,) = LENGTH.unpack_from(head)
            body = file.read(length)
            if len(body) < length:
                return
            yield body


def heads(segment: Segment, family: Family) -> Iterator[tuple[int, bytes]]:
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

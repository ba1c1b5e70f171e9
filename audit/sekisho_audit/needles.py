"""Finds the few leaves of one type in a ledger, by a search of the bytes and not by reading it all.

Fast, and without a word on anything else: what is broken is passed over. What is found stands in a
record that fits its hash; whether it is in the tree, and within the rules, is for others to say.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.scan import EVENTS, BrokenSegment, Segment, frames, listed


def leaves_of_type(ledger: Path, kind: str) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """Leaves of this type in their order, each with its bytes. Raises OSError."""
    needle = f'"type":"{kind}"'.encode()
    for segment in _segments(ledger):
        with segment.path.open("rb") as file:
            if not segment.path.stat().st_size:
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
                if raw.find(needle) < 0:
                    continue
        yield from _found_in(segment, kind, needle)


def _segments(ledger: Path) -> list[Segment]:
    try:
        return listed(ledger, EVENTS)[0]
    except BrokenSegment:
        return []


def _found_in(
    segment: Segment, kind: str, needle: bytes
) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    try:
        for frame in frames(segment, EVENTS):
            if needle in frame.body:
                leaf = _leaf(frame.body)
                if leaf.get("type") == kind:
                    yield leaf, frame.body
    except BrokenSegment:
        return


def _leaf(body: bytes) -> Mapping[str, Any]:
    try:
        found = decode(body)
    except NotCanonical:
        return {}
    return found if isinstance(found, dict) else {}

"""Sets of small numbers as bytes, in blocks of 65,536: how the index notes who has what.

A block with few members is their list (two bytes each, in order), a full one 8 KiB of bits; its
length tells which. In memory a block is one int, so that "and", "or" and "not" are each one step.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

BLOCK_BITS = 65_536
BITMAP_BYTES = BLOCK_BITS // 8
_LISTED_MAX = BITMAP_BYTES // 2 - 1
_NOT_EMPTY = re.compile(rb"[^\0]")
_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def packed(members: Iterable[int]) -> bytes:
    """The bytes of a set of numbers from 0 to 65,535."""
    ordered = sorted(set(members))
    if len(ordered) <= _LISTED_MAX:
        return struct.pack(f"<{len(ordered)}H", *ordered)
    return bytes(_spread(ordered))


def _spread(members: Iterable[int]) -> bytearray:
    bitmap = bytearray(BITMAP_BYTES)
    for member in members:
        bitmap[member >> 3] |= 1 << (member & 7)
    return bitmap


def _listed(stored: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(stored) // 2}H", stored)


def members_of(stored: bytes) -> Iterable[int]:
    """The numbers in stored bytes, in order."""
    if len(stored) < BITMAP_BYTES:
        return _listed(stored)
    return ascending(int.from_bytes(stored, "little"))


def shared(stored: bytes, members: Collection[int]) -> set[int]:
    """Those of a few members that are in a stored set; cheaper than its mask."""
    if len(stored) == BITMAP_BYTES:
        return {member for member in members if stored[member >> 3] >> (member & 7) & 1}
    listed = array("H", stored)
    if sys.byteorder == "big":
        listed.byteswap()
    end = len(listed)
    there = ((member, bisect_left(listed, member)) for member in members)
    return {member for member, at in there if at < end and listed[at] == member}


def mask_of(stored: bytes) -> int:
    """Stored bytes as one int."""
    if len(stored) < BITMAP_BYTES:
        return int.from_bytes(_spread(_listed(stored)), "little")
    return int.from_bytes(stored, "little")


def joined(stored: bytes, members: Iterable[int]) -> bytes:
    """The stored set with more members."""
    if len(stored) == BITMAP_BYTES:
        bitmap = bytearray(stored)
        for member in members:
            bitmap[member >> 3] |= 1 << (member & 7)
        return bytes(bitmap)
    return packed([*_listed(stored), *members])


def without(stored: bytes, members: Iterable[int]) -> bytes:
    """The stored set without some members; empty bytes if none is left."""
    return packed(set(members_of(stored)).difference(members))


def count_in(stored: bytes, mask: int, bitmap: bytes) -> int:
    """How many members are in a mask, which is given both ways."""
    if len(stored) == BITMAP_BYTES:
        return (int.from_bytes(stored, "little") & mask).bit_count()
    return sum(bitmap[member >> 3] >> (member & 7) & 1 for member in _listed(stored))


def bitmap_of(mask: int) -> bytes:
    """A mask as 8 KiB of bits."""
    return mask.to_bytes(BITMAP_BYTES, "little")


def ascending(mask: int) -> Iterator[int]:
    """The numbers in a mask, smallest first."""
    bitmap = bitmap_of(mask)
    for found in _NOT_EMPTY.finditer(bitmap):
        place = found.start()
        for bit in _BITS[bitmap[place]]:
            yield place * 8 + bit


def descending(mask: int) -> Iterator[int]:
    """The numbers in a mask, greatest first; cheap if only the first ones are taken."""
    bitmap = bitmap_of(mask)[::-1]
    last = len(bitmap) - 1
    for found in _NOT_EMPTY.finditer(bitmap):
        place = found.start()
        for bit in reversed(_BITS[bitmap[place]]):
            yield (last - place) * 8 + bit

"""The trees of RFC 9162, word for word from its definitions: slow, and plainly right.

Every function takes the entries themselves and cuts lists as section 2.1 does. Nothing of ours is
used, so that tests may hold our fast code against it.
"""

from __future__ import annotations

from hashlib import sha256


def _split(entries: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The largest power of two smaller than their number goes to the left."""
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return entries[:k], entries[k:]


def mth(entries: list[bytes]) -> bytes:
    """Section 2.1.1: the Merkle Tree Hash."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    left, right = _split(entries)
    return sha256(b"\x01" + mth(left) + mth(right)).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """Section 2.1.3.1: the inclusion proof of entry `m`."""
    if len(entries) == 1:
        return []
    left, right = _split(entries)
    if m < len(left):
        return [*path(m, left), mth(right)]
    return [*path(m - len(left), right), mth(left)]


def proof(m: int, entries: list[bytes]) -> list[bytes]:
    """Section 2.1.4.1: the consistency proof for the first `m` entries."""
    return _subproof(m, entries, known=True)


def _subproof(m: int, entries: list[bytes], *, known: bool) -> list[bytes]:
    if m == len(entries):
        return [] if known else [mth(entries)]
    left, right = _split(entries)
    if m <= len(left):
        return [*_subproof(m, left, known=known), mth(right)]
    return [*_subproof(m - len(left), right, known=False), mth(left)]

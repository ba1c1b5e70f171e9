"""Names for events: uuid7, so that ids sort by the time they were given (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import time

_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62
_RAND_A_MASK = 0xFFF << 64
_RAND_B_MASK = (1 << 62) - 1


def uuid7(unix_ms: int | None = None) -> str:
    """A fresh uuid7 as text; `unix_ms` (milliseconds since 1970, UTC) defaults to now."""
    ms = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    random = int.from_bytes(os.urandom(10), "big")
    value = ms << 80 | _VERSION_7 | random & _RAND_A_MASK | _VARIANT_RFC | random & _RAND_B_MASK
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def began_us(identifier: str) -> int:
    """When a uuid7 was made, in microseconds since 1970, UTC; exact to the millisecond."""
    return int(identifier[:8] + identifier[9:13], 16) * 1000

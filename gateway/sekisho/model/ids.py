"""Names for things: uuid7, so that ids sort by the time they were given (RFC 9562 section 5.7), and
what principals and groups may be called.
"""

from __future__ import annotations

import os
import re
import time

_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62
_RAND_A_MASK = 0xFFF << 64
_RAND_B_MASK = (1 << 62) - 1

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

# Lower case only: "Staff-7" and "staff-7" must not be two people who approve one another.
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")
_NAMES = re.compile(r"[a-z0-9*?][a-z0-9._@+*?-]{0,127}")


def is_exchange(text: str) -> bool:
    """Whether `text` has the form of an exchange's id, a uuid7."""
    return _UUID7.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether `text` can name a principal or a group."""
    return _NAME.fullmatch(text) is not None


def is_id_pattern(text: str) -> bool:
    """Whether some name of a principal or a group can fit `text`, where `*` and `?` are wild."""
    return _NAMES.fullmatch(text) is not None


def uuid7(unix_ms: int | None = None) -> str:
    """A fresh uuid7 as text; `unix_ms` defaults to now."""
    ms = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    random = int.from_bytes(os.urandom(10), "big")
    value = ms << 80 | _VERSION_7 | random & _RAND_A_MASK | _VARIANT_RFC | random & _RAND_B_MASK
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

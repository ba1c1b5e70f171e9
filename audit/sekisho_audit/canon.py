"""The one byte form of a leaf: compact JSON with sorted keys.

A verifier hashes stored bytes and never re-encodes in order to hash. The strict form exists so that
two readers cannot understand one leaf differently: no duplicate keys, no floats, ASCII keys,
integers that every JSON parser keeps exactly, and exactly one spelling of every value.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

# C2SP entry bundles carry a leaf behind a 16-bit length.
LEAF_BYTES_MAX = 65_535
# Beyond this, parsers that use doubles round.
INT_MAX = 2**53 - 1
# Deeper than any event needs; bounds recursion in every reader.
DEPTH_MAX = 12


class NotCanonical(ValueError):
    """A value or a byte string that may not be a leaf."""


def check(value: object, depth: int = 0) -> None:
    """Raise NotCanonical unless `value` has exactly one canonical form."""
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if not -INT_MAX <= value <= INT_MAX:
            raise NotCanonical("an integer is beyond 2^53 - 1")
        return
    if depth >= DEPTH_MAX:
        raise NotCanonical(f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise NotCanonical("a key is not an ASCII string")
            check(item, depth + 1)
        return
    if isinstance(value, (list, tuple)):
        for item in value:
            check(item, depth + 1)
        return
    raise NotCanonical(f"a value of type {type(value).__name__} has no canonical form")


def encode(value: object) -> bytes:
    """The canonical bytes of `value`."""
    check(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds a lone surrogate") from error


def _no_float(text: str) -> NoReturn:
    raise NotCanonical(f"a number that is not an integer: {text[:40]}")


def decode(raw: bytes) -> Any:
    """The value of canonical bytes; anything else is refused."""
    if len(raw) > LEAF_BYTES_MAX:
        raise NotCanonical(f"longer than {LEAF_BYTES_MAX} bytes")
    try:
        value = json.loads(raw.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if encode(value) != raw:
        raise NotCanonical("not in canonical form")
    return value

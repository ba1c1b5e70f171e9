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
_DIGITS_MAX = 17  # with the sign; Python refuses to read very many, with another error
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


# Made once: the functions of the module `json` make one for each call.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
)


def encode(value: object) -> bytes:
    """The canonical bytes of `value`."""
    check(value)
    return _written(value)


def _written(value: object) -> bytes:
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds a lone surrogate") from error


def _no_float(text: str) -> NoReturn:
    raise NotCanonical(f"a number that is not an integer: {text[:40]}")


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX or abs(int(text)) > INT_MAX:
        raise NotCanonical("an integer is beyond 2^53 - 1")
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_no_float, parse_int=_integer, parse_constant=_no_float)


def decode(raw: bytes) -> Any:
    """The value of canonical bytes; anything else is refused."""
    if len(raw) > LEAF_BYTES_MAX:
        raise NotCanonical(f"longer than {LEAF_BYTES_MAX} bytes")
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if not _plain(raw):
        check(value)
    if _written(value) != raw:
        raise NotCanonical("not in canonical form")
    return value


def _plain(raw: bytes) -> bool:
    """Whether parsed bytes show at once that `check` has nothing to find in their value: ASCII
    keys, and no more containers than may be in one another. So it is with most leaves.
    """
    return raw.isascii() and raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX

"""JSON with its numbers as they are written, for where exactly this number was agreed to.

Most parsers read a number as 64 bits: 18446744073709551617 and 18446744073709551616 are the same to
them, and so are 100.0 and 100.000000000000001. Rules may live with that; a standing grant may not.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

_NO_NUMBER = Decimal("NaN")  # equal to nothing, not even to itself


def as_written(body: str | bytes) -> Any:
    """What strict JSON says (`strict_json.parse` took it): whole numbers of any length as int, and
    what a float would make another number of as Decimal.
    """
    return json.loads(body, parse_float=_fraction)


def _fraction(text: str) -> float | Decimal:
    read = float(text)
    try:
        written = Decimal(text)
    except InvalidOperation:  # its exponent is longer than any number needs
        return _NO_NUMBER
    negative_zero = read == 0 and text.startswith("-")
    return read if written == Decimal(repr(read)) and not negative_zero else written

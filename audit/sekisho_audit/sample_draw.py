"""Which exchanges are drawn for review after the fact: a pure function of a key and an id.

The key is the exchange's own for commitments. The gateway asks here, and so does an auditor who was
given the key: neither who asked, nor who runs the gateway, nor chance has a say.
"""

from __future__ import annotations

import hashlib
import hmac

WHOLE = 10_000
_CONTEXT = b"sekisho-sample-v1|"
_BITS = 64


def is_drawn(key: bytes, exchange: str, per_10000: int) -> bool:
    """Whether this exchange is one of `per_10000` in 10,000."""
    digest = hmac.digest(key, _CONTEXT + exchange.encode(), hashlib.sha256)
    return int.from_bytes(digest[: _BITS // 8], "big") * WHOLE < per_10000 << _BITS

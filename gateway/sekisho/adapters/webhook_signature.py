"""How our own webhooks are signed: as Standard Webhooks has it, with libraries in most languages.

    webhook-id          the id of the notification; the same when it is sent again
    webhook-timestamp   seconds since 1970, of this attempt
    webhook-signature   v1,BASE64 for each key, with a space between

What is signed with HMAC-SHA256 is `id.timestamp.body`. A receiver refuses a time stamp that is more
than five minutes off and drops an id that it has: so an old message cannot be played again. Two
keys sign while one replaces the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64


class BadKey(ValueError):
    """The text is no signing key; the message says what one looks like and quotes nothing."""


def read_key(text: str) -> bytes:
    """The key in `whsec_…`. Raises BadKey."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        message = (
            f"is not {PREFIX} and the base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} random bytes; "
            f'make one: echo "{PREFIX}$(openssl rand -base64 32)"'
        )
        raise BadKey(message) from None
    return key


def signed(keys: Sequence[bytes], told: str, now_s: int, body: bytes) -> dict[str, str]:
    """The three headers for `body`, the notification `told` at this time."""
    content = b".".join((told.encode(), str(now_s).encode(), body))
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys]
    return {
        "webhook-id": told,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{one.decode()}" for one in signatures),
    }

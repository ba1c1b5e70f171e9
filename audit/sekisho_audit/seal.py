"""Payloads sealed for one principal, and keyed commitments to them.

All keys of a record come from a key SK of (principal, month): destroy SK and the content is gone,
while the ledger still verifies. A commitment is an HMAC, because a plain hash of a prompt can be
guessed. It is keyed by exchange, so the same bytes have the same commitment all along an exchange
and the verifier compares without plaintext; across exchanges nothing can be linked.

A sealed payload is 16 bytes of salt, then AES-256-GCM ciphertext with tag. Key and nonce both come
from HKDF over the salt, so no pair is ever used twice; the associated data bind event and name.
"""

from __future__ import annotations

import hmac
import os
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALGORITHM = "hkdf-sha256+aes-256-gcm"
SALT_BYTES = 16
_KEY_BYTES = 32
_NONCE_BYTES = 12
_NO_SALT = bytes(32)
# An exchange needs its keys twice, before and after the backend; this covers those under way.
_KEYS_KEPT = 4_096


class Unreadable(ValueError):
    """A sealed payload that does not open with this key."""


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    prk = hmac.digest(salt or _NO_SALT, secret, "sha256")
    block = hmac.digest(prk, info + b"\x01", "sha256")
    result, count = block, 1
    while len(result) < length:
        count += 1
        block = hmac.digest(prk, block + info + bytes((count,)), "sha256")
        result += block
    return result[:length]


@lru_cache(maxsize=_KEYS_KEPT)
def commit_key(secret: bytes, scope: str) -> bytes:
    """Key of the commitments of one exchange (or of one event that has no exchange)."""
    return hkdf(secret, b"", b"sekisho-commit-v1|" + scope.encode(), _KEY_BYTES)


def content_key(secret: bytes, exchange: str) -> bytes:
    """Key for content of an exchange that is kept outside the ledger."""
    return hkdf(secret, b"", b"sekisho-content-v1|" + exchange.encode(), _KEY_BYTES)


def commit(key: bytes, exact: bytes) -> str:
    """The commitment to `exact`, in hex."""
    return hmac.digest(key, exact, "sha256").hex()


def _place(event: str, name: str) -> bytes:
    return f"{event}|{name}".encode()


def _cipher(secret: bytes, salt: bytes, place: bytes) -> tuple[AESGCM, bytes]:
    keys = hkdf(secret, salt, b"sekisho-payload-v1|" + place, _KEY_BYTES + _NONCE_BYTES)
    return AESGCM(keys[:_KEY_BYTES]), keys[_KEY_BYTES:]


def seal(secret: bytes, event: str, name: str, plain: bytes) -> bytes:
    """The bytes to store for payload `name` of `event`."""
    salt, place = os.urandom(SALT_BYTES), _place(event, name)
    cipher, nonce = _cipher(secret, salt, place)
    return salt + cipher.encrypt(nonce, plain, place)


def unseal(secret: bytes, event: str, name: str, stored: bytes) -> bytes:
    """The content of a stored payload. Raises Unreadable."""
    place = _place(event, name)
    cipher, nonce = _cipher(secret, stored[:SALT_BYTES], place)
    try:
        return cipher.decrypt(nonce, stored[SALT_BYTES:], place)
    except InvalidTag as error:
        raise Unreadable(f"payload {name} of event {event} does not open with its key") from error


def stored_hash(stored: bytes) -> str:
    """What the leaf says about a stored payload: SHA-256 in hex."""
    return sha256(stored).hexdigest()

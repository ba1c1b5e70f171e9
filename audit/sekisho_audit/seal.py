"""Payloads sealed for one principal, and keyed commitments to them.

All keys of a record come from a key SK of (principal, month): destroy SK and the content is gone,
while the ledger still verifies. A commitment is an HMAC, because a plain hash of a prompt can be
guessed. It is keyed by exchange, so the same bytes have the same commitment all along an exchange
and the verifier compares without plaintext; across exchanges nothing can be linked.

A sealed payload is 16 bytes of salt, then AES-256-GCM ciphertext with tag. The key comes from SK by
HKDF-Expand (RFC 5869, 3.3: SK is uniformly random, so there is nothing to extract) over event, name
and salt, so no key is ever used twice; the nonce is the beginning of the salt; the associated data
bind event and name.
"""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALGORITHM = "hkdf-sha256+aes-256-gcm"
SALT_BYTES = 16
_NONCE_BYTES = 12
_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
# An exchange needs its keys twice, before and after the backend; this covers those under way.
_KEYS_KEPT = 4_096
_SALTS_AHEAD = 256


class Salts:
    """Salts for many payloads, drawn from the kernel some hundred at a time and used once.

    Each draw lets go of the interpreter; whoever seals without a pause draws ahead.
    """

    def __init__(self) -> None:
        self._drawn: list[bytes] = []

    def take(self) -> bytes:
        """A salt that nobody had before."""
        if not self._drawn:
            drawn = os.urandom(SALT_BYTES * _SALTS_AHEAD)
            self._drawn = [drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)]
        return self._drawn.pop()


class Unreadable(ValueError):
    """A sealed payload that does not open with this key."""


class Keyed:
    """HMAC-SHA256 with one key (RFC 2104). The key's two blocks are hashed once and copied, which
    makes short messages three times as fast as one call of `hmac.digest` each.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        if len(padded) != _BLOCK_BYTES:
            raise ValueError("a key longer than a block is not one of ours")
        self._inner = sha256(padded.translate(_INNER))
        self._outer = sha256(padded.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """The authentication code of a message."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    def derive(self, info: bytes) -> bytes:
        """32 bytes of HKDF-Expand with this key as its PRK."""
        return self.digest(info + b"\x01")


@lru_cache(maxsize=_KEYS_KEPT)
def _expand(secret: bytes) -> Keyed:
    return Keyed(secret)


def commit_key(secret: bytes, scope: str) -> bytes:
    """Key of the commitments of one exchange (or of one event that has no exchange)."""
    return _expand(secret).derive(b"sekisho-commit-v1|" + scope.encode())


@lru_cache(maxsize=_KEYS_KEPT)
def commitment(secret: bytes, scope: str) -> Keyed:
    """Makes the commitments of one exchange."""
    return Keyed(commit_key(secret, scope))


def content_key(secret: bytes, exchange: str) -> bytes:
    """Key for content of an exchange that is kept outside the ledger."""
    return _expand(secret).derive(b"sekisho-content-v1|" + exchange.encode())


def forget_keys() -> None:
    """Drop derived keys from memory: called when a principal is erased."""
    _expand.cache_clear()
    commitment.cache_clear()


def _place(event: str, name: str) -> bytes:
    return f"{event}|{name}".encode()


def payload_key(secret: bytes, event: str, name: str, salt: bytes) -> bytes:
    """The AES key of one stored payload, which opens nothing else."""
    return _payload_key(secret, salt, _place(event, name))


def _payload_key(secret: bytes, salt: bytes, place: bytes) -> bytes:
    return _expand(secret).derive(b"sekisho-payload-v1|" + place + b"|" + salt)


def _cipher(secret: bytes, salt: bytes, place: bytes) -> AESGCM:
    return AESGCM(_payload_key(secret, salt, place))


def seal(secret: bytes, event: str, name: str, plain: bytes, salt: bytes | None = None) -> bytes:
    """The bytes to store for payload `name` of `event`. A `salt` is used for this one only."""
    salt, place = salt or os.urandom(SALT_BYTES), _place(event, name)
    return salt + _cipher(secret, salt, place).encrypt(salt[:_NONCE_BYTES], plain, place)


def unseal(secret: bytes, event: str, name: str, stored: bytes) -> bytes:
    """The content of a stored payload. Raises Unreadable."""
    salt, place = stored[:SALT_BYTES], _place(event, name)
    try:
        cipher = _cipher(secret, salt, place)
        return cipher.decrypt(salt[:_NONCE_BYTES], stored[SALT_BYTES:], place)
    except (InvalidTag, ValueError) as error:
        raise Unreadable(f"payload {name} of event {event} does not open with its key") from error


def stored_hash(stored: bytes) -> str:
    """What the leaf says about a stored payload: SHA-256 in hex."""
    return sha256(stored).hexdigest()

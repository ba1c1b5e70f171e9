"""Seals the content of holds before it goes to the live store, and opens it again.

AES-256-GCM under the exchange's content key, which auditd derives and the store never holds. The
associated data names hold, field and version, so that a sealed value moved to another place in the
store does not open there.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sekisho.errors import HoldStoreUnavailable

_NONCE_BYTES = 12  # the size GCM is specified for; random, as a key seals a handful of values


def seal(key: bytes, hold_id: str, field: str, version: int, content: bytes) -> bytes:
    """Nonce and ciphertext of `content`, bound to its place."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, _place(hold_id, field, version))


def unseal(key: bytes, hold_id: str, field: str, version: int, sealed: bytes) -> bytes:
    """The content again. Raises HoldStoreUnavailable (`hold_unreadable`) if it was altered,
    moved, or sealed under a key that has been erased since.
    """
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _place(hold_id, field, version))
    except (InvalidTag, ValueError) as error:
        message = (
            "The stored content of this hold cannot be opened: it was altered, or its key has "
            "been erased. Nothing was sent. Send the request again."
        )
        raise HoldStoreUnavailable(message, code="hold_unreadable") from error


def _place(hold_id: str, field: str, version: int) -> bytes:
    return f"{hold_id}|{field}|{version}".encode()

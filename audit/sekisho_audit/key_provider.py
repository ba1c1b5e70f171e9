"""The port for whoever guards the installation's keys: files now, a KMS or transit engine later.

A key file holds what `wrap` made of 32 random bytes; `unwrap` gives them back. It is asked once for
each file at a start, never for single payloads: the key-encryption key is the data key of all that
follows, so a slow or rate-limited service costs a start and nothing else, and while it is away a
running auditd goes on.

What an adapter must promise:

- `unwrap` of the same bytes under the same name gives the same key for as long as the ledger lives,
  also after the service rotated its own keys. If the service destroys its key, every payload of
  the ledger is erased at once.
- It is authenticated and bound to `name`: bytes that were changed, or moved to another file, are
  refused. What a service calls encryption context or associated data is the place for the name.
- Any failure is KeyUnavailable, within a bounded time, and never another key.
- Neither method keeps or logs a key.
"""

from __future__ import annotations

from typing import Protocol

from sekisho_audit.errors import Unusable

KEY_BYTES = 32


class KeyUnavailable(Unusable):
    """A key cannot be had now or any more; the message says what to do."""


class KeyProvider(Protocol):
    """Wraps keys for storage. Called by one thread, while auditd starts."""

    def wrap(self, name: str, key: bytes) -> bytes:
        """What is to be stored for a fresh key of KEY_BYTES. Raises KeyUnavailable."""

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """The key that was wrapped under this name. Raises KeyUnavailable."""


class PlainFiles:
    """No service: files hold the keys themselves, and their mode protects them."""

    def wrap(self, name: str, key: bytes) -> bytes:  # noqa: ARG002 - the port's signature
        """The key."""
        return key

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """The key. Raises KeyUnavailable if it is not whole."""
        if len(wrapped) != KEY_BYTES:
            raise KeyUnavailable(f"{name} is not {KEY_BYTES} bytes; restore it from its backup")
        return wrapped


PLAIN_FILES = PlainFiles()

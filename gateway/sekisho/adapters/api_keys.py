"""API keys: made, taken apart and compared; only their keyed hashes are ever stored.

    sk-sekisho-<id, 8 of a-z0-9>-<secret, 43 of A-Za-z0-9>

The id is public: it names a key in lists, events and logs. The secret has 256 bits, so a fast hash
is enough; it is keyed with the installation's pepper, so a copy of the registry tells nothing. The
prefix lets scanners of repositories and of prompts find keys that leaked.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass

PREFIX = "sk-sekisho-"
ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SECRET_LETTERS = ID_LETTERS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # a double click selects it whole
ID_CHARS = 8
SECRET_CHARS = 43  # 43 * log2(62) = 256 bits
HASH_BYTES = 32
PEPPER_BYTES_MIN = 32

_FORM = re.compile(rf"{PREFIX}([a-z0-9]{{{ID_CHARS}}})-[A-Za-z0-9]{{{SECRET_CHARS}}}")

# Compared with when the id is unknown, so that both cases do the same work.
_NO_HASH = bytes(HASH_BYTES)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key at the only moment it is known in clear. Its repr does not show the secret."""

    id: str
    plaintext: str

    def __repr__(self) -> str:
        return f"MintedKey(id={self.id!r})"


def mint() -> MintedKey:
    """A fresh key. Ids are drawn at random; the registry refuses one that is taken."""
    name = "".join(secrets.choice(ID_LETTERS) for _ in range(ID_CHARS))
    secret = "".join(secrets.choice(SECRET_LETTERS) for _ in range(SECRET_CHARS))
    return MintedKey(name, f"{PREFIX}{name}-{secret}")


def key_id(presented: str) -> str | None:
    """The id inside a presented key, or None if it has not the form of one of ours."""
    match = _FORM.fullmatch(presented)
    return match.group(1) if match else None


def key_hash(pepper: bytes, presented: str) -> bytes:
    """What the registry keeps: HMAC-SHA256 over the whole key under the pepper."""
    if len(pepper) < PEPPER_BYTES_MIN:
        raise ValueError("the pepper is too short to protect anything")
    return hmac.digest(pepper, presented.encode(), "sha256")


def matches(pepper: bytes, presented: str, stored: bytes | None) -> bool:
    """Whether `presented` has the hash `stored`; None, for an unknown id, takes as long."""
    same = hmac.compare_digest(key_hash(pepper, presented), stored or _NO_HASH)
    return same and stored is not None

"""Seals and commitments: they open for one place only, and the primitives are the known ones."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.seal import (
    SALT_BYTES,
    Keyed,
    Salts,
    Unreadable,
    commit_key,
    commitment,
    content_key,
    seal,
    stored_hash,
    unseal,
)

SECRET = bytes(range(32))
EVENT = "01a20aa5-b98b-718b-a87b-437dba199f6a"


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_keyed_hash_is_hmac(key: bytes, message: bytes) -> None:
    """The fast form gives what the standard library gives."""
    assert Keyed(key).digest(message) == hmac.digest(key, message, "sha256")


def test_long_key_is_refused() -> None:
    """A key that HMAC would hash first is none of ours."""
    with pytest.raises(ValueError, match="longer than a block"):
        Keyed(bytes(65))


def test_derived_keys_are_hkdf_expand() -> None:
    """Keys are derived as the specification says, so that others can open what we seal."""
    expected = HKDFExpand(hashes.SHA256(), 32, b"sekisho-commit-v1|x").derive(SECRET)
    assert commit_key(SECRET, "x") == expected
    expected = HKDFExpand(hashes.SHA256(), 32, b"sekisho-content-v1|x").derive(SECRET)
    assert content_key(SECRET, "x") == expected
    assert commitment(SECRET, "x").digest(b"m") == hmac.digest(
        commit_key(SECRET, "x"), b"m", "sha256"
    )


@pytest.mark.parametrize("plain", [b"", b"x", bytes(100_000)])
def test_sealed_payload_opens(plain: bytes) -> None:
    """What was sealed comes back, and never looks the same twice."""
    one, two = seal(SECRET, EVENT, "prompt", plain), seal(SECRET, EVENT, "prompt", plain)
    assert unseal(SECRET, EVENT, "prompt", one) == unseal(SECRET, EVENT, "prompt", two) == plain
    assert one != two
    assert stored_hash(one) == hashlib.sha256(one).hexdigest()


def test_salts_are_used_once() -> None:
    """However many are drawn at a time, nobody has the salt of another, and seals carry theirs."""
    salts = Salts()
    taken = [salts.take() for _ in range(1_000)]
    assert len(set(taken)) == 1_000
    assert {len(salt) for salt in taken} == {SALT_BYTES}
    stored = seal(SECRET, EVENT, "prompt", b"hello", taken[0])
    assert stored.startswith(taken[0])
    assert unseal(SECRET, EVENT, "prompt", stored) == b"hello"


def test_seal_opens_nowhere_else() -> None:
    """Another key, event or name, or one changed bit: unreadable."""
    stored = seal(SECRET, EVENT, "prompt", b"hello")
    for secret, event, name in (
        (bytes(32), EVENT, "prompt"),
        (SECRET, EVENT.replace("7", "8"), "prompt"),
        (SECRET, EVENT, "answer"),
    ):
        with pytest.raises(Unreadable):
            unseal(secret, event, name, stored)
    for offset in range(len(stored)):
        changed = bytearray(stored)
        changed[offset] ^= 1
        with pytest.raises(Unreadable):
            unseal(SECRET, EVENT, "prompt", bytes(changed))


@pytest.mark.parametrize("stored", [b"", b"x" * 15, b"x" * 31])
def test_short_payload_is_unreadable(stored: bytes) -> None:
    """Too short to be a seal is unreadable, not a crash."""
    with pytest.raises(Unreadable):
        unseal(SECRET, EVENT, "prompt", stored)

"""Sealed content opens with its key at its place, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.hold_cipher import seal, unseal
from sekisho.errors import HoldStoreUnavailable

KEY = b"k" * 32
PLACE = ("hold_1", "record", 1)


@given(st.binary(max_size=300))
def test_content_comes_back(content: bytes) -> None:
    """There and back; the same content never looks the same twice."""
    sealed = seal(KEY, *PLACE, content)
    assert unseal(KEY, *PLACE, sealed) == content
    assert seal(KEY, *PLACE, content) != sealed


@pytest.mark.parametrize(
    "place", [("hold_2", "record", 1), ("hold_1", "answer", 1), ("hold_1", "record", 2)]
)
def test_a_moved_value_does_not_open(place: tuple[str, str, int]) -> None:
    """Another hold, field or version is another place."""
    with pytest.raises(HoldStoreUnavailable) as caught:
        unseal(KEY, *place, seal(KEY, *PLACE, b"x"))
    assert caught.value.code == "hold_unreadable"


def test_every_changed_byte_is_noticed() -> None:
    """So are a wrong key, a cut value and an empty one."""
    sealed = seal(KEY, *PLACE, b"content")
    damaged = [sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in range(len(sealed))]
    for value in (*damaged, sealed[:-1], sealed[:5], b""):
        with pytest.raises(HoldStoreUnavailable):
            unseal(KEY, *PLACE, value)
    with pytest.raises(HoldStoreUnavailable):
        unseal(b"x" * 32, *PLACE, sealed)

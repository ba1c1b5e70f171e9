"""Sets in blocks: both forms hold the same sets, and every step is that of sets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_audit.bits import (
    BITMAP_BYTES,
    BLOCK_BITS,
    ascending,
    bitmap_of,
    count_in,
    descending,
    joined,
    mask_of,
    members_of,
    packed,
    shared,
    without,
)

_FEW = st.sets(st.integers(0, BLOCK_BITS - 1), max_size=40)
# Around the size at which a list becomes bits.
_SETS = st.one_of(
    _FEW,
    st.builds(
        lambda count, more: {*range(0, 2 * count, 2), *more},
        st.sampled_from([4_094, 4_095, 4_096, 20_000]),
        _FEW,
    ),
)


@settings(deadline=None)
@given(_SETS, _SETS)
def test_every_step_is_that_of_sets(first: set[int], second: set[int]) -> None:
    """Packing, joining, taking away, masks, order and counts."""
    stored = packed(first)
    assert len(stored) <= BITMAP_BYTES
    assert list(members_of(stored)) == sorted(first)
    assert set(members_of(joined(stored, second))) == first | second
    assert joined(stored, second) == packed(first | second)
    assert set(members_of(without(stored, second))) == first - second
    mask = mask_of(stored)
    assert list(ascending(mask)) == sorted(first)
    assert list(descending(mask)) == sorted(first, reverse=True)
    other = mask_of(packed(second))
    assert count_in(stored, other, bitmap_of(other)) == len(first & second)
    assert set(ascending(mask & other)) == first & second
    assert shared(stored, second) == first & second


@pytest.mark.parametrize("members", [[0], [65_535], [7, 8], []])
def test_a_list_is_two_bytes_each_and_nothing_is_nothing(members: list[int]) -> None:
    """So a block with few members is small, and an empty one can be told."""
    assert len(packed(members)) == 2 * len(members)


def test_a_full_block_is_bits() -> None:
    """Every number is in it, and no byte more than needed."""
    full = packed(range(BLOCK_BITS))
    assert full == b"\xff" * BITMAP_BYTES
    assert mask_of(full) == (1 << BLOCK_BITS) - 1

"""What may be an id, of an exchange or of somebody."""

from __future__ import annotations

import pytest

from sekisho.model.ids import is_exchange, is_id, is_id_pattern, uuid7


def test_an_exchange_is_a_uuid7_in_lower_case() -> None:
    """Other versions, other letters and other lengths are none."""
    fresh = uuid7()
    assert is_exchange(fresh)
    for other in (fresh.upper() + "A", fresh[:-1], f"{fresh} ", "x", ""):
        assert not is_exchange(other)
    assert not is_exchange("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize("name", ["staff-7@bank.example", "a", "team.x+y", "9"])
def test_names(name: str) -> None:
    """Lower case, and a letter or digit first."""
    assert is_id(name)
    assert is_id_pattern(name)


@pytest.mark.parametrize("name", ["Staff", "-a", "", "a b", "a" * 129, "身份"])
def test_what_is_no_name(name: str) -> None:
    """Two spellings must not be two people."""
    assert not is_id(name)


def test_patterns_may_be_wild() -> None:
    """A name may not."""
    assert is_id_pattern("team-*")
    assert not is_id("team-*")

"""Places in all, and places of one principal."""

from __future__ import annotations

import pytest

from sekisho.errors import LimitReached, Overloaded
from sekisho.web.slots import Slots


def test_places_are_given_back_also_after_an_error() -> None:
    """Nothing leaks, whatever ends the request."""
    slots = Slots(total_max=1, each_max=1)
    for _ in range(3):
        with pytest.raises(KeyError), slots.taken_by("staff-7"):
            raise KeyError

    assert 0 == slots.total


def test_the_total_and_the_share_are_told_apart() -> None:
    """One says that the gateway is full, the other that you are."""
    slots = Slots(total_max=3, each_max=2)
    with slots.taken_by("a"), slots.taken_by("a"):
        with pytest.raises(LimitReached) as mine, slots.taken_by("a"):
            pass
        with (
            slots.taken_by("b"),
            pytest.raises(Overloaded) as everybodys,
            slots.taken_by("c"),
        ):
            pass

    assert (429, "too_many_requests_at_once") == (mine.value.status, mine.value.code)
    assert 1 == mine.value.retry_after_s
    assert (503, "overloaded") == (everybodys.value.status, everybodys.value.code)

"""Who came first after an erasure: whoever was erased and asks again has a new pseudonym, and what
they had begun before must not get it.

Nobody keeps whose it was, so it is told from times: an exchange that began, an erasure that began
after it, and a pseudonym that no event had named until then. Kept by the writer as it reads and
writes leaves; of what was pruned nothing is under way any more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any

Leaf = Mapping[str, Any]


class Arrivals:
    """When erasures began, and when each pseudonym was named first."""

    def __init__(self) -> None:
        self._erasures_us: list[int] = []
        self._first_us: dict[str, int] = {}

    def apply(self, leaf: Leaf) -> None:
        """Take the next leaf."""
        if leaf["type"] == "erasure.begun":
            insort(self._erasures_us, leaf["ts"])
        for who in (leaf["principal"], leaf["actor"]):
            if who is not None:
                self._first_us.setdefault(who, leaf["ts"])

    def too_new(self, pseudonym: str, began_us: int) -> bool:
        """Whether an erasure lies between the beginning of an exchange and this pseudonym."""
        at = bisect_left(self._erasures_us, began_us)
        if at == len(self._erasures_us):
            return False
        first_us = self._first_us.get(pseudonym)
        return first_us is None or first_us > self._erasures_us[at]

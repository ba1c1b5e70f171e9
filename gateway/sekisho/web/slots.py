"""Places for requests: so many at once in all, and so many of one principal.

A limit on all of them alone would let one principal take every place. Waiting for people has places
of its own: it takes hours of nobody's processor, and must not keep others from asking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sekisho.errors import LimitReached, Overloaded

RETRY_S = 1  # most exchanges end within a few seconds


class Slots:
    """Counts places taken; one instance for each kind of place of a worker."""

    def __init__(self, total_max: int, each_max: int) -> None:
        self._total_max = total_max
        self._each_max = each_max
        self._taken: Counter[str] = Counter()
        self._total = 0

    @property
    def total(self) -> int:
        """How many places are taken."""
        return self._total

    @contextmanager
    def taken_by(self, principal: str) -> Iterator[None]:
        """Hold one place. Raises Overloaded or LimitReached; nothing was sent then."""
        if self._total >= self._total_max:
            message = "This gateway is at its limit. Nothing was sent; try again in a moment."
            raise Overloaded(message)
        if self._taken[principal] >= self._each_max:
            message = (
                f"You have {self._each_max} requests under way already. Nothing was sent; wait "
                "until some of them have ended."
            )
            raise LimitReached(message, code="too_many_requests_at_once", retry_after_s=RETRY_S)
        self._total += 1
        self._taken[principal] += 1
        try:
            yield
        finally:
            self._total -= 1
            self._taken[principal] -= 1
            if not self._taken[principal]:
                del self._taken[principal]

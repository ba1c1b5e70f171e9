"""A neighbour that keeps failing is left alone for a moment.

Without this every exchange would wait out the deadline of a part that does not answer. Failing
fast changes nothing in what passes: nothing passes either way. One question is let through after
each rest, and the first answer ends the matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES_MAX = 5  # in a row; fewer could be one bad moment of the network
REST_S = 1.0  # a restart of a small server takes about as long


class Circuit:
    """Not for several threads. `clock` gives seconds and never goes back."""

    def __init__(
        self,
        failures_max: int = FAILURES_MAX,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures_max = failures_max
        self._rest_s = rest_s
        self._clock = clock
        self._failures = 0
        self._rests_until_s = 0.0

    def may_ask(self) -> bool:
        """Whether to ask now. During a rest only the first who comes after its end may."""
        if self._failures < self._failures_max:
            return True
        now_s = self._clock()
        if now_s < self._rests_until_s:
            return False
        self._rests_until_s = now_s + self._rest_s
        return True

    def answered(self) -> None:
        """The neighbour answered, whatever it said."""
        self._failures = 0

    def failed(self) -> None:
        """It did not. The rest begins with the last failure that is one too many."""
        self._failures += 1
        if self._failures >= self._failures_max:
            self._rests_until_s = self._clock() + self._rest_s

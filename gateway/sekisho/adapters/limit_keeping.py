"""What a worker does about its leases beside serving: the part that keeps them honest.

Each tick it says that it is alive and learns whether the store is still whole, renews its places,
tells debts, and gives back what it does not need; near a limit at once, because somebody else may
be refused for it. What is idle goes back after some seconds. At the end everything does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from sekisho.adapters.limit_leases import NEVER_S, Counter, Leases
from sekisho.adapters.limit_rounds import NO_NEED, Need, Rounds
from sekisho.adapters.redis_leases import RunChanged
from sekisho.adapters.redis_wakeups import end
from sekisho.errors import LimitsUnavailable

TICK_S = 1.0  # charges of about so long are remembered for a loss
IDLE_S = 5.0  # a lease nobody uses for so long serves others better
FORGET_EVERY_S = 60.0  # counters whose window is over cost memory only
URGENT_PAUSE_S = 0.02  # between two give-backs near a limit
CLOSE_S = 1.5  # a step of a stopping worker has 2 s
_SWEEP_AT_ONCE = 2_000  # counters looked at before others get a turn
_log = structlog.get_logger("sekisho.limits")


class Keeper:
    """One instance a worker. `start` in the event loop, `close` at the end."""

    def __init__(
        self,
        leases: Leases,
        rounds: Rounds,
        *,
        lease_s: float,
        forget_s: float,
        now_s: Callable[[], float],
    ) -> None:
        """`forget_s`: a worker silent for so long is dead. Longer than auditd needs to close what
        it left open, so that the sums of the ledger have it.
        """
        self._leases = leases
        self._rounds = rounds
        self._lease_s = lease_s
        self._tick_s = min(TICK_S, lease_s / 3)
        self._forget_us = int(forget_s * 1_000_000)
        self._now_s = now_s
        self._beat_at_s = 0.0
        self._sweep_at_s = now_s() + IDLE_S
        self._forget_at_s = now_s() + FORGET_EVERY_S
        self._silent = False
        self._kicked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; twice is once."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="limit leases")

    def kick(self) -> None:
        """Something has to be told soon."""
        self._kicked.set()

    async def close(self) -> None:
        """Give everything back, as far as the store answers.

        A worker that could not is missed later as if it had died, and the counters begin anew.
        """
        if self._task is not None:
            await end(self._task)
            self._task = None
        with suppress(LimitsUnavailable, RunChanged, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.flush()
                joined = [one for one in self._leases.counters.values() if one.lease.joined]
                await self._rounds.tell(dict.fromkeys(joined, NO_NEED), fold=True)
                if not any(one.open for one in joined):
                    await self._rounds.leave()

    async def once(self) -> None:
        """One tick. Raises RunChanged, LimitsUnavailable."""
        now_s = self._now_s()
        if now_s >= self._beat_at_s:
            await self._rounds.beat(self._forget_us)
            self._beat_at_s = now_s + self._tick_s
        if now_s >= self._sweep_at_s:
            self._sweep_at_s = now_s + IDLE_S
            await self.sweep()
        if now_s >= self._forget_at_s:
            self._forget_at_s = now_s + FORGET_EVERY_S
            counters = self._leases.counters.items()
            gone = [key for key, one in counters if self._leases.removable(one, now_s)]
            self._leases.forget(gone)
        await self.flush()

    async def flush(self) -> None:
        """Tell what has to be told: debts, surplus, places, counters that leave."""
        self._leases.urgent = False
        leaving = [one for one in self._leases.leaving.values() if one.lease.joined]
        await self._rounds.tell(dict.fromkeys(leaving, NO_NEED), fold=True)
        self._leases.drop_unjoined()
        await self._rounds.tell(self._to_tell())

    async def sweep(self) -> None:
        """Mark what nobody has used since the last sweep."""
        for number, counter in enumerate(list(self._leases.counters.values())):
            if self._leases.sweep(counter, self._now_s()):
                self._leases.dirty[counter] = None
            if number % _SWEEP_AT_ONCE == _SWEEP_AT_ONCE - 1:
                await asyncio.sleep(0)

    def _to_tell(self) -> Mapping[Counter, Need]:
        """Debts and surplus of windows that are over are nobody's any more."""
        now_s = self._now_s()
        renew_s = now_s + self._lease_s * 2 / 3
        told = {
            counter: NO_NEED
            for counter in self._leases.dirty
            if counter.is_places or not NEVER_S < counter.lease.until_s <= now_s
        }
        self._leases.dirty.clear()
        for counter in self._leases.places.values():
            if counter.lease.claim and counter.lease.until_s < renew_s:
                told[counter] = NO_NEED
        return told

    async def _keep(self) -> None:
        while True:
            try:
                await self.once()
                self._say(silent=False)
            except RunChanged:
                _log.info("limits begin anew from the ledger")
                self._beat_at_s = 0.0
                await asyncio.sleep(URGENT_PAUSE_S)
                continue
            except LimitsUnavailable:
                self._say(silent=True)
            await asyncio.sleep(URGENT_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s):
                    await self._kicked.wait()
            self._kicked.clear()

    def _say(self, *, silent: bool) -> None:
        """Once when it begins and once when it is over."""
        if silent and not self._silent:
            _log.warning("the store of limits does not answer")
        elif self._silent and not silent:
            _log.info("the store of limits answers again")
        self._silent = silent

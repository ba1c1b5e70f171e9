"""One conversation with the store at a time: what this worker holds, what it wants, what it gets.

Calls never overlap, because each tells the whole of what is held; what several exchanges want goes
out together. A counter that the store does not have begins with what the ledger says was used. Of a
call that failed nothing is assumed: its counters are told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from sekisho.adapters.limit_leases import Counter, Leases
from sekisho.adapters.redis_leases import (
    COUNTERS_A_CALL,
    Ask,
    LeaseStore,
    RunChanged,
    Told,
    counter_key,
)
from sekisho.errors import LedgerUnavailable, LimitsUnavailable
from sekisho.model.limits import window_name
from sekisho.ports import Used

LEDGER_DEADLINE_S = 0.7  # sums are kept by auditd; longer, and the whole reserve is late


class Sums(Protocol):
    """What is needed of the port Ledger: whose sums they are, and the sums."""

    @property
    def origin(self) -> str: ...

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used: ...


Need = tuple[int, int]
"""Units wanted in all, and the least that is of use."""

NO_NEED: Need = (0, 0)


class Rounds:
    """See the module's docstring. One instance a worker."""

    def __init__(
        self,
        leases: Leases,
        store: LeaseStore,
        ledger: Sums,
        *,
        share: int,
        now_s: Callable[[], float],
    ) -> None:
        self._leases = leases
        self._store = store
        self._ledger = ledger
        self._share = share
        self._now_s = now_s
        self._lock = asyncio.Lock()

    async def tell(self, wanted: Mapping[Counter, Need], *, fold: bool = False) -> None:
        """Tell and ask of each counter once. `fold`: the worker lets go of it and keeps nothing.

        Raises RunChanged when the counters were lost and must be asked again, LimitsUnavailable.
        """
        left = dict(wanted)
        try:
            while left:
                async with self._lock:
                    some = list(islice(left.items(), COUNTERS_A_CALL))
                    # What an exchange has set aside cannot be let go of.
                    told = [one for one in some if not (fold and one[0].open)]
                    if told:
                        await self._tell_some(told, fold=fold)
                for counter, _ in some:
                    del left[counter]
        finally:
            self._leases.dirty.update(dict.fromkeys(left))

    async def beat(self, forget_us: int) -> None:
        """Say that this worker is alive, and learn whether the store is still whole.

        Raises RunChanged, LimitsUnavailable.
        """
        async with self._lock:
            self._leases.asking_whole()
            try:
                await self._store.beat(forget_us)
            except RunChanged:
                self._leases.lost()
                raise
            self._leases.is_whole()

    async def leave(self) -> None:
        """Say that this worker ends. Raises RunChanged, LimitsUnavailable."""
        async with self._lock:
            await self._store.beat(0, leave=True)

    async def _tell_some(self, some: Sequence[tuple[Counter, Need]], *, fold: bool) -> None:
        asks = [self._ask(counter, need, fold=fold) for counter, need in some]
        try:
            absent = await self._take(some, asks)
            if absent:
                again = [some[place] for place, _ in absent]
                begun = await self._begun([asks[place] for place, _ in absent], again, absent)
                await self._take(again, begun)
        except RunChanged:
            self._leases.lost()
            raise

    def _ask(self, counter: Counter, need: Need, *, fold: bool) -> Ask:
        self._leases.dirty.pop(counter, None)
        if fold:
            self._leases.fold(counter)
        self._leases.trim(counter, self._now_s())
        lease, limit = counter.lease, counter.limit
        return Ask(
            key=counter_key(limit.dimension, limit.name, limit.metric),
            kind=limit.metric.window,
            start=lease.start,
            epoch=lease.epoch,
            claim=lease.claim,
            free=lease.free,
            need=need[0],
            least=need[1],
            limit=counter.amount,
            fold=fold,
        )

    async def _take(
        self, some: Sequence[tuple[Counter, Need]], asks: Sequence[Ask]
    ) -> Sequence[tuple[int, int]]:
        """Places in `some` that the store does not have, and the windows it is in."""
        sent_s = self._now_s()
        now_us, answers = await self._store.take(asks)
        absent = []
        for place, ((counter, _), ask, told) in enumerate(zip(some, asks, answers, strict=True)):
            if told.status == "absent":
                absent.append((place, told.start))
            elif told.status == "ok" and ask.fold:
                self._leases.folded(counter)
            elif told.status == "ok":
                self._granted(counter, told, sent_s + (told.ends_us - now_us) / 1e6)
        return absent

    def _granted(self, counter: Counter, told: Told, until_s: float) -> None:
        self._leases.granted(
            counter,
            epoch=told.epoch,
            start=told.start,
            until_s=until_s,
            grant=told.grant,
            left=told.left,
            size=told.size,
            share=self._share,
        )

    async def _begun(
        self,
        asks: Sequence[Ask],
        some: Sequence[tuple[Counter, Need]],
        absent: Sequence[tuple[int, int]],
    ) -> Sequence[Ask]:
        """The same asks with what the ledger says was used. Raises LimitsUnavailable."""
        asked = [
            (
                counter.limit.dimension,
                counter.limit.name,
                window_name(counter.limit.metric.window, start),
            )
            for (counter, _), (_, start) in zip(some, absent, strict=True)
        ]
        try:
            async with asyncio.timeout(LEDGER_DEADLINE_S):
                used = await self._ledger.used(asked)
        except (LedgerUnavailable, TimeoutError) as error:
            message = (
                "What was used before cannot be read from the ledger, so nothing was sent. "
                "Try again in a few seconds."
            )
            raise LimitsUnavailable(message) from error
        return [
            replace(ask, begin=(start, sums[counter.unit], used.size))
            for ask, (counter, _), (_, start), sums in zip(
                asks, some, absent, used.sums, strict=True
            )
        ]

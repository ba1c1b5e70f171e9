"""Review after the fact of one worker: what draws, what keeps, where people look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_samples import RedisSampleStore
from sekisho.config import Settings
from sekisho.holding.sample_desk import SampleDesk
from sekisho.model.samples import SampleBook, Terms
from sekisho.ports import Clock, Ledger
from sekisho.releasing.lost_draws import LostDraws
from sekisho.releasing.sampling import Sampling


@dataclass
class Samples:
    """The parts, and what runs beside them."""

    sampling: Sampling
    desk: SampleDesk
    store: RedisSampleStore
    lost: LostDraws
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Make the terms known, close what is over, make up for what was lost, until stopped."""
        self._tasks = [
            asyncio.create_task(self.sampling.run()),
            asyncio.create_task(self.desk.run()),
            asyncio.create_task(self.lost.run()),
        ]

    async def stop(self) -> None:
        """Keep what was just drawn, then end; before the ledger closes."""
        await self.sampling.drain()
        await self.close()

    async def close(self) -> None:
        """End at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()


def build_samples(settings: Settings, ledger: Ledger, book: SampleBook, clock: Clock) -> Samples:
    """As the section [samples] says; where nothing is drawn, what was drawn is still judged."""
    chosen = settings.samples
    terms = Terms(
        chosen.per_10000,
        chosen.per_10000_at_risk,
        chosen.risk_from,
        chosen.verdicts,
        chosen.keep_days,
    )
    store = RedisSampleStore(
        connect(settings.redis_url),
        ledger.exchange_keys,
        keep_days=chosen.keep_days,
        total_bytes_max=chosen.total_bytes_max,
    )
    sampling = Sampling(ledger, book, store, terms, content_bytes_max=chosen.content_bytes_max)
    desk = SampleDesk(ledger, book, store, clock, reviewers=chosen.reviewers)
    return Samples(sampling, desk, store, LostDraws(ledger, book, sampling))

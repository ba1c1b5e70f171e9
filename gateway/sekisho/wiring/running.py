"""One worker's parts while it lives: connected in order, stopped in the order of dependence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from sekisho.adapters.aiohttp_backend import AiohttpBackend
from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.halt_watch import HaltWatch
from sekisho.adapters.redis_holds import RedisHoldStore
from sekisho.adapters.redis_limits import RedisLimiter
from sekisho.errors import LedgerUnavailable, PolicyRejected
from sekisho.holding.break_glass import BreakGlass
from sekisho.holding.file import Filing
from sekisho.holding.granting import Granting
from sekisho.holding.notifying import Notifier
from sekisho.holding.sweep import Sweep
from sekisho.unsettled import Unsettled
from sekisho.web.data_path import DataPath
from sekisho.web.refusals import Refusals
from sekisho.wiring.people import People
from sekisho.wiring.samples import Samples

RELOAD_S = 2.0  # between tries to load rules that were refused; someone is mending them
STEP_S = 2.0  # for each step of stopping; all of them fit into STOP_S of the supervisor
_log = structlog.get_logger("sekisho.wiring")


class RulesEngine(Protocol):
    """The engine of the rules while a worker lives; what it decides is `PolicyEngine`'s."""

    async def start(self, on_exhausted: Callable[[], None] | None = None) -> None:
        """Load the bundle; safe to repeat. Raises PolicyRejected."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass
class Worker:
    """One worker's application and what has to be started and stopped around it."""

    app: DataPath
    ledger: AuditdLedger
    holds: RedisHoldStore
    engine: RulesEngine
    backend: AiohttpBackend
    sweep: Sweep
    filing: Filing
    unsettled: Unsettled
    refusals: Refusals
    limiter: RedisLimiter
    people: People
    halts: HaltWatch
    notifier: Notifier | None = None
    granting: Granting | None = None
    samples: Samples | None = None
    glass: BreakGlass | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def stop_admitting(self) -> None:
        """Refuse new exchanges; running ones go on."""
        self.app.admitting = False

    async def start(self, on_exhausted: Callable[[], None]) -> None:
        """Load the rules and connect everything.

        What is broken or down now is tried again until it works: meanwhile exchanges are refused
        with its own code, and /readyz says why. `on_exhausted` is called when the policy engines
        are used up.
        """
        loaded = await self._load_rules(on_exhausted)
        await self.people.keys.start()
        with suppress(LedgerUnavailable):
            await self.ledger.start()
        self.holds.open()
        self.halts.start()
        self.limiter.start()
        await self.backend.open()
        self._tasks = [
            asyncio.create_task(self.sweep.run()),
            asyncio.create_task(self.unsettled.run()),
            asyncio.create_task(self.app.drop_stalled()),
            asyncio.create_task(self.refusals.run()),
        ]
        if self.samples is not None:
            self.samples.start()
        if self.granting is not None:
            self._tasks.append(asyncio.create_task(self.granting.run()))
        if self.glass is not None:
            self._tasks.append(asyncio.create_task(self.glass.run()))
        if self.notifier is not None:
            self._tasks.append(asyncio.create_task(self.notifier.run()))
        if not loaded:
            self._tasks.append(asyncio.create_task(self._reload_rules(on_exhausted)))

    async def _load_rules(self, on_exhausted: Callable[[], None]) -> bool:
        try:
            await self.engine.start(on_exhausted)
        except PolicyRejected as error:
            why = error.message
            _log.error("the rules were refused: nothing passes until they are mended", why=why)
            return False
        return True

    async def _reload_rules(self, on_exhausted: Callable[[], None]) -> None:
        while not await self._load_rules(on_exhausted):  # noqa: ASYNC110 - files have no event
            await asyncio.sleep(RELOAD_S)

    async def stop(self) -> None:
        """End what runs, tell the ledger the last outcomes, close; each step has its time."""
        self.stop_admitting()
        if self.notifier is not None:
            await _within(STEP_S, self.notifier.stop())
        await _within(STEP_S, self.sweep.stop())
        await _within(STEP_S, self.filing.drain())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STEP_S)
        await _within(STEP_S, self.backend.close())
        # What is not told by then auditd closes as unknown when this session ends.
        await _within(STEP_S, self.unsettled.flush())
        if self.samples is not None:
            await _within(STEP_S, self.samples.stop())
        await _within(STEP_S, self.refusals.flush())
        await _within(STEP_S, self.limiter.close())
        await _within(STEP_S, self.halts.close())
        await _within(STEP_S, self.ledger.close())
        await _within(STEP_S, self.holds.close())
        await _within(STEP_S, self.people.close())
        await _within(STEP_S, self.engine.close())


async def _within(seconds: float, step: Awaitable[None]) -> None:
    """A step of stopping that takes too long is left behind: the process ends in any case."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await step

"""The composition root: the only place that names concrete adapters.

`build` makes one worker's parts from the settings, `Worker.start` connects them, `Worker.stop` lets
running work end and closes them in the order in which they depend on one another.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from sekisho.adapters.aiohttp_backend import AiohttpBackend, Endpoint
from sekisho.adapters.auditd_ledger import AuditdLedger, LedgerLimits
from sekisho.adapters.measured_ledger import MeasuredLedger
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_memo import MemoizedEngine
from sekisho.adapters.redis_holds import RedisHoldStore, connect
from sekisho.adapters.sql_registry import SqlDirectory
from sekisho.app import create_app
from sekisho.backends.profile import load as load_profile
from sekisho.config import Settings
from sekisho.errors import LedgerUnavailable, Overloaded, PolicyRejected
from sekisho.holding import rebuild
from sekisho.holding.file import Filing
from sekisho.holding.sweep import Sweep
from sekisho.model.catalog import Backend as CatalogBackend
from sekisho.model.catalog import Catalog
from sekisho.model.hold import HoldLimits
from sekisho.pipeline import Limits as LineLimits
from sekisho.pipeline import Parts, Pipeline
from sekisho.ports import Ledger
from sekisho.telemetry import Metrics
from sekisho.unsettled import Unsettled
from sekisho.web.answering import ASGIApp
from sekisho.web.data_path import DataPath
from sekisho.web.data_path import Limits as WebLimits
from sekisho.web.health import Check
from sekisho.web.services import Services
from sekisho.web.waiting import Waiting

RELOAD_S = 2.0  # between tries to load rules that were refused; someone is mending them
STEP_S = 2.0  # for each step of stopping; all of them fit into STOP_S of the supervisor
_JOIN_KEY = b"sekisho-join-key-v1"
_log = structlog.get_logger("sekisho.wiring")


class SystemClock:
    """Wall time; see the port Clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1000


@dataclass
class Worker:
    """One worker's application and what has to be started and stopped around it."""

    app: DataPath
    ledger: AuditdLedger
    holds: RedisHoldStore
    directory: SqlDirectory
    engine: EmbeddedOPA
    backend: AiohttpBackend
    sweep: Sweep
    filing: Filing
    unsettled: Unsettled
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
        await self.directory.start()
        with suppress(LedgerUnavailable):
            await self.ledger.start()
        self.holds.open()
        await self.backend.open()
        self._tasks = [
            asyncio.create_task(self.sweep.run()),
            asyncio.create_task(self.unsettled.run()),
            asyncio.create_task(self.app.drop_stalled()),
        ]
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
        await _within(STEP_S, self.sweep.stop())
        await _within(STEP_S, self.filing.drain())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STEP_S)
        await _within(STEP_S, self.backend.close())
        # What is not told by then auditd closes as unknown when this session ends.
        await _within(STEP_S, self.unsettled.flush())
        await _within(STEP_S, self.ledger.close())
        await _within(STEP_S, self.holds.close())
        await _within(STEP_S, self.directory.close())
        await _within(STEP_S, self.engine.close())


async def _within(seconds: float, step: Awaitable[None]) -> None:
    """A step of stopping that takes too long is left behind: the process ends in any case."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await step


def build(settings: Settings) -> Worker:
    """Put one worker together. Raises SekishoError for settings that name what does not exist."""
    clock = SystemClock()
    metrics = Metrics()
    bounds = LedgerLimits(append_deadline_s=settings.audit.append_deadline_s)
    auditd = AuditdLedger(str(settings.auditd_socket), limits=bounds)
    ledger = MeasuredLedger(auditd, metrics)
    limits = hold_limits(settings)
    holds = RedisHoldStore(
        connect(settings.redis_url),
        ledger.exchange_keys,
        limits,
        lambda store: _reapply(store, ledger),
    )
    pepper = (settings.audit.keys_dir / "pepper").read_bytes()
    directory = SqlDirectory(settings.registry_path, pepper)
    engine = EmbeddedOPA(
        settings.policy.bundle,
        engines=settings.policy.engines,
        deadline_ms=settings.policy.deadline_ms,
    )
    backend = AiohttpBackend(endpoints(settings))
    unsettled = Unsettled(ledger)
    join_key = hmac.digest(pepper, _JOIN_KEY, hashlib.sha256)
    filing = Filing(holds, ledger, clock, limits, join_key)
    pipeline = Pipeline(
        Parts(
            clock=clock,
            directory=directory,
            engine=MemoizedEngine(engine, settings.policy.memo_max),
            scanner=engine.scanner,
            catalog=catalog(settings),
            ledger=ledger,
            backend=backend,
            path_of=backend.path,
            holds=holds,
            filing=filing,
            lease_s=settings.holds.lease_s,
            unsettled=unsettled,
            session=auditd.session,
            limits=LineLimits(settings.server.json_depth_max, settings.holds.answer_bytes_max),
            metrics=metrics,
        )
    )
    sweep = Sweep(holds, ledger, pipeline.resume)
    waiting = Waiting(
        holds,
        ledger,
        clock,
        limits=limits,
        public_url=settings.public_url,
        launch=sweep.start,
    )
    rest = create_app(
        Services(holds=holds, ledger=ledger, directory=directory, hold_limits=limits),
        {
            "ledger": ledger_check(auditd),
            "holds": holds_check(holds),
            "registry": directory.check,
            "policy": engine.check,
            "outcomes": outcomes_check(unsettled),
        },
        metrics,
    )
    app = _front(settings, pipeline, waiting, rest, metrics=metrics, unsettled=unsettled)
    return Worker(app, auditd, holds, directory, engine, backend, sweep, filing, unsettled)


def _front(
    settings: Settings,
    pipeline: Pipeline,
    waiting: Waiting,
    rest: ASGIApp,
    *,
    metrics: Metrics,
    unsettled: Unsettled,
) -> DataPath:
    return DataPath(
        pipeline,
        waiting,
        web_limits(settings),
        rest,
        metrics=metrics,
        can_promise=lambda: not unsettled.full,
    )


def hold_limits(settings: Settings) -> HoldLimits:
    """The settings of section [holds] as the line uses them."""
    holds = settings.holds
    return HoldLimits(
        total_bytes_max=holds.hold_bytes_total_max,
        answer_bytes_max=holds.answer_bytes_max,
        hops_max=holds.hops_max,
        hop_wait_s=holds.hop_wait_s,
        wait_total_s=holds.wait_total_s,
        ttl_s_max=holds.ttl_s_max,
        lease_s=holds.lease_s,
        execution_expiry_s=holds.execution_expiry_s,
        keep_answer_s=holds.keep_answer_s,
        retry_join_s=holds.retry_join_s,
    )


def web_limits(settings: Settings) -> WebLimits:
    """The settings of section [server] that bound one worker's data path."""
    server = settings.server
    return WebLimits(
        body_bytes_max=server.body_bytes_max,
        body_bytes_total_max=server.body_bytes_total_max,
        body_timeout_s=server.body_timeout_s,
        inflight_max=server.inflight_max,
        waiting_max=server.waiting_max,
        per_principal_max=server.per_principal_max,
        write_timeout_s=server.write_timeout_s,
    )


def catalog(settings: Settings) -> Catalog:
    """Which backend serves which model, in the order of the configuration."""
    return Catalog(
        tuple(
            CatalogBackend(id=backend.id, models=backend.models, trust=backend.trust)
            for backend in settings.backends
        )
    )


def endpoints(settings: Settings) -> dict[str, Endpoint]:
    """How to reach each backend; keys come from the environment and stay in this process."""
    return {
        backend.id: Endpoint(
            id=backend.id,
            profile=load_profile(backend.profile),
            base_url=str(backend.base_url),
            api_key=os.environ.get(backend.api_key_env, "") if backend.api_key_env else "",
            timeout_connect_s=backend.timeout_connect_s,
            timeout_read_s=backend.timeout_read_s,
            keepalive_s=backend.keepalive_s,
            concurrency=backend.concurrency,
        )
        for backend in settings.backends
    }


async def _reapply(store: RedisHoldStore, ledger: Ledger) -> None:
    await rebuild.reapply(store, ledger)


def ledger_check(ledger: AuditdLedger) -> Check:
    """Ready when auditd answers and has not stopped for good."""

    async def check() -> None:
        status = await ledger.status()
        if status.get("poisoned"):
            message = "the ledger stopped after a disk fault; see docs/howto/recover.md"
            raise LedgerUnavailable(message)

    return check


def holds_check(holds: RedisHoldStore) -> Check:
    """Ready when the store answers and the ledger has been applied to it."""

    async def check() -> None:
        await holds.list_open(1)

    return check


def outcomes_check(unsettled: Unsettled) -> Check:
    """Ready while outcomes can still be promised."""

    async def check() -> None:
        if unsettled.full:
            message = "too many outcomes wait for the ledger"
            raise Overloaded(message)

    return check

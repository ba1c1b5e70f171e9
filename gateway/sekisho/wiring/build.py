"""`build` makes one worker's parts from the settings and hands each to whoever uses it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping
from functools import partial

from sekisho.adapters.aiohttp_backend import AiohttpBackend
from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.adapters.bundle import Bundle
from sekisho.adapters.couriers import channels, couriers
from sekisho.adapters.halt_desk import HaltDesk
from sekisho.adapters.halt_watch import HaltWatch
from sekisho.adapters.identity_desk import worker_evidence
from sekisho.adapters.measured_ledger import MeasuredLedger
from sekisho.adapters.offered_models import OfferedModels
from sekisho.adapters.opa_choice import rules_engine
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.opa_server import ServerOPA
from sekisho.adapters.policy_following import PolicyFollower
from sekisho.adapters.policy_memo import MemoizedEngine
from sekisho.adapters.policy_remote import RemotePolicyDesk
from sekisho.adapters.policy_shadow import ShadowedEngine
from sekisho.adapters.policy_store import PolicyStore
from sekisho.adapters.redis_halts import HaltStore
from sekisho.adapters.redis_holds import RedisHoldStore, connect
from sekisho.adapters.redis_limits import RedisLimiter
from sekisho.adapters.redis_outbox import RedisOutbox
from sekisho.adapters.sql_registry import Registry
from sekisho.adapters.switched_holds import SwitchedHoldStore
from sekisho.app import create_app
from sekisho.config import Settings
from sekisho.errors import PolicyUnavailable
from sekisho.holding import rebuild
from sekisho.holding.break_glass import BreakGlass
from sekisho.holding.file import Filing
from sekisho.holding.grant_desk import GrantDesk, GrantLimits
from sekisho.holding.granting import Granting
from sekisho.holding.moments import Schedule
from sekisho.holding.notifying import Notifier
from sekisho.holding.seed_desk import SeedDesk, Surroundings
from sekisho.holding.sweep import Sweep
from sekisho.model.halts import Halts
from sekisho.model.prices import UsageRules
from sekisho.parts import Parts
from sekisho.pipeline import Pipeline
from sekisho.ports import Clock, HoldStore, Ledger
from sekisho.telemetry import Metrics
from sekisho.unsettled import Unsettled
from sekisho.web.background import Background
from sekisho.web.data_path import DataPath
from sekisho.web.health import Check
from sekisho.web.live_queue import LiveQueue
from sekisho.web.security_headers import Sealed
from sekisho.web.services import Services
from sekisho.web.waiting import Waiting
from sekisho.wiring.bounds import (
    catalog,
    endpoints,
    hold_limits,
    lease_terms,
    line_limits,
    office,
    web_limits,
)
from sekisho.wiring.emergency import alarm, break_glass, break_glass_desk
from sekisho.wiring.people import People, build_people
from sekisho.wiring.ready import every_check
from sekisho.wiring.running import Worker
from sekisho.wiring.samples import build_samples

_JOIN_KEY = b"sekisho-join-key-v1"


class SystemClock:
    """Wall time; see the port Clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1000


def build(settings: Settings) -> Worker:
    """One worker, in its own loop. Raises SekishoError if settings name what does not exist."""
    clock, metrics, auditd = SystemClock(), Metrics(), _auditd(settings)
    engine, ledger = rules_engine(settings.policy, os.environ), MeasuredLedger(auditd, metrics)
    halts = _halts(settings, ledger, clock, metrics)
    holds, pepper = _holds(settings, ledger, halts), _pepper(settings)
    outbox = RedisOutbox(holds, settings.notify.waiting_max)
    backend, models = AiohttpBackend(endpoints(settings)), catalog(settings)
    unsettled, limiter = Unsettled(ledger), _limiter(settings, ledger, lambda: engine.usage)
    people = build_people(settings, pepper, ledger, clock, metrics=metrics, unsettled=unsettled)
    shadowed = _shadowed(settings, engine, unsettled, metrics)
    granting = _granting(settings, ledger, halts, lambda: engine.bundle)
    around = _around(settings, granting, engine, shadowed, metrics)
    glass = break_glass(ledger, auditd, halts, clock, people=people.keys, metrics=metrics)
    filing = _filing(settings, holds, ledger, clock, pepper)
    samples = build_samples(settings, ledger, auditd, clock)
    pipeline = Pipeline(
        Parts(
            clock=clock,
            directory=people.directory,
            limiter=limiter,
            engine=shadowed,
            scanner=engine.scanner,
            office=office(settings),
            assistants=lambda: engine.assistants,
            catalog=models,
            ledger=ledger,
            backend=backend,
            path_of=backend.path,
            lists=OfferedModels(models, backend.listed_models),
            holds=holds,
            halts=halts,
            filing=filing,
            lease_s=settings.holds.lease_s,
            unsettled=unsettled,
            session=auditd.session,
            limits=line_limits(settings),
            metrics=metrics,
            outbox=outbox,
            granting=granting,
            sampling=samples.sampling,
            glass=glass,
            channels=frozenset(one.name for one in settings.notify.channels),
        )
    )
    sweep = Sweep(holds, ledger, pipeline.resume)
    services = Services(
        *(holds, ledger, auditd, auditd, people.directory, people.entrance, hold_limits(settings)),
        *(lambda: engine.usage.prices.currency, _policies(settings, ledger), pipeline.revise),
        *(HaltDesk(halts, ledger, clock, [one.id for one in settings.backends]), halts),
        LiveQueue(settings.reviews.listeners_max),
        *(_grants(settings, granting, ledger, clock), samples.desk),
        break_glass_desk(settings, glass, ledger, clock, lambda: engine.bundle),
        SeedDesk(holds, ledger, people.directory, around),
    )
    checks = every_check(auditd, holds, people.keys, engine.check, unsettled)
    app = DataPath(
        pipeline,
        *_rooms(settings, holds, ledger, clock, sweep.start, halts=halts),
        *(web_limits(settings), _rest(services, people, checks, metrics)),
        entrance=people.entrance,
        metrics=metrics,
        can_promise=lambda: not unsettled.full,
    )
    follower = PolicyFollower(engine, settings, auditd.session, unsettled.add, shadowed)
    return Worker(
        *(app, auditd, holds, follower, backend, sweep, filing, unsettled, people.refusals),
        *(limiter, people, halts, _notifier(settings, outbox, ledger, clock, metrics, glass=glass)),
        *(granting, samples, glass),
    )


def _pepper(settings: Settings) -> bytes:
    return (settings.audit.keys_dir / "pepper").read_bytes()


def _rest(
    services: Services, people: People, checks: Mapping[str, Check], metrics: Metrics
) -> Sealed:
    """What FastAPI serves."""
    return Sealed(create_app(services, people.sign_in, people.scim, checks, metrics))


def _filing(
    settings: Settings, holds: HoldStore, ledger: Ledger, clock: Clock, pepper: bytes
) -> Filing:
    """Who files holds; the key of what joins what is the same on all workers."""
    join_key, limits = hmac.digest(pepper, _JOIN_KEY, hashlib.sha256), hold_limits(settings)
    return Filing(holds, ledger, clock, limits, office=office(settings), join_key=join_key)


def _auditd(settings: Settings) -> AuditdLedger:
    bounds = LedgerLimits(append_deadline_s=settings.audit.append_deadline_s)
    path = str(settings.auditd_socket)
    drawing = settings.samples.per_10000 > 0 or settings.samples.per_10000_at_risk > 0
    return AuditdLedger(path, limits=bounds, origin=settings.audit.origin, keys_ahead=drawing)


def _holds(settings: Settings, ledger: Ledger, halts: Halts) -> RedisHoldStore:
    return SwitchedHoldStore(
        connect(settings.redis_url),
        ledger.exchange_keys,
        hold_limits(settings),
        lambda store: _reapply(store, ledger),
        halts,
    )


def _halts(settings: Settings, ledger: Ledger, clock: Clock, metrics: Metrics) -> HaltWatch:
    store, silence_s = HaltStore(connect(settings.redis_url)), settings.halt.silence_s
    return HaltWatch(store, ledger, clock, silence_s=silence_s, told=metrics.halts_standing)


def _grants(settings: Settings, granting: Granting, ledger: Ledger, clock: Clock) -> GrantDesk:
    limits = GrantLimits(**settings.grants.model_dump())
    backends = [one.id for one in settings.backends]
    return GrantDesk(granting, ledger, clock, limits=limits, backends=backends)


def _shadowed(
    settings: Settings, engine: EmbeddedOPA | ServerOPA, unsettled: Unsettled, metrics: Metrics
) -> ShadowedEngine:
    """The rules in force, with what they said before remembered and what others would say noted."""
    memoized = MemoizedEngine(engine, settings.policy.memo_max, metrics.decision_kept)
    return ShadowedEngine(memoized, unsettled.add, metrics.shadow_decided)


def _around(
    settings: Settings,
    granting: Granting,
    engine: EmbeddedOPA | ServerOPA,
    shadowed: ShadowedEngine,
    metrics: Metrics,
) -> Surroundings:
    """What test items have to fit: the rules in force, the backends and office of the settings, and
    what operators count of requests.
    """

    def counted() -> None:
        metrics.seeded()
        shadowed.seeded()

    return Surroundings(
        rules=granting.rules,
        revision=lambda: engine.revision,
        scanner=engine.scanner,
        catalog=catalog(settings),
        office=office(settings),
        ttl_s_max=hold_limits(settings).ttl_s_max,
        counted=counted,
        waiting=metrics.inflight.track_inprogress,
        wait_s=hold_limits(settings).wait_total_s,
    )


def _granting(
    settings: Settings, ledger: Ledger, halts: Halts, bundle: Callable[[], Bundle]
) -> Granting:
    """Grants at work; a grant ends with its rules, which are known once some are loaded."""

    def rules() -> frozenset[str] | None:
        try:
            return bundle().rules
        except PolicyUnavailable:
            return None

    return Granting(ledger, halts, rules, risk_below=settings.grants.risk_below)


def _rooms(
    settings: Settings,
    holds: HoldStore,
    ledger: Ledger,
    clock: Clock,
    launch: Callable[..., None],
    *,
    halts: Halts,
) -> tuple[Waiting, Background]:
    """How clients meet holds: those that wait, and those that come back."""
    limits, url = hold_limits(settings), settings.public_url
    waiting = Waiting(
        holds, ledger, clock, limits=limits, public_url=url, launch=launch, halts=halts
    )
    alone, stream_s = partial(launch, alone=True), limits.wait_total_s
    return waiting, Background(waiting, holds, ledger, launch=alone, stream_s=stream_s)


def _notifier(
    settings: Settings,
    outbox: RedisOutbox,
    ledger: Ledger,
    clock: SystemClock,
    metrics: Metrics,
    *,
    glass: BreakGlass,
) -> Notifier | None:
    """Who tells people; nobody where there is no channel."""
    notify = settings.notify
    if not notify.channels:
        return None
    return Notifier(
        outbox,
        couriers(notify, os.environ, clock, settings.public_url),
        channels(notify),
        ledger,
        schedule=Schedule(notify.reminder_percent, notify.escalation_percent, office(settings)),
        give_up_s=notify.give_up_s,
        counted=metrics.notification,
        alarm=alarm(settings, glass),
    )


def _policies(settings: Settings, ledger: Ledger) -> RemotePolicyDesk:
    return RemotePolicyDesk(
        PolicyStore(settings.policies_dir),
        lambda: Registry.look(settings.registry_path),
        worker_evidence(ledger, asyncio.get_running_loop()),
        settings.policy,
    )


def _limiter(settings: Settings, ledger: Ledger, rules: Callable[[], UsageRules]) -> RedisLimiter:
    """Counts by the rules in force, whichever those are by then."""
    return RedisLimiter(connect(settings.redis_url), ledger, rules, lease_terms(settings))


async def _reapply(store: RedisHoldStore, ledger: Ledger) -> None:
    await rebuild.reapply(store, ledger)

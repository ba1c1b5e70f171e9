"""Break-glass put together: at work, at its desk, and what raises the alarm."""

from __future__ import annotations

from collections.abc import Callable

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.bundle import Bundle
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.config import Settings
from sekisho.errors import PolicyUnavailable
from sekisho.holding.alarm import Alarm
from sekisho.holding.break_glass import BreakGlass
from sekisho.holding.break_glass_desk import BreakGlassDesk, OpeningLimits
from sekisho.model.halts import Halts
from sekisho.ports import Clock, Ledger
from sekisho.telemetry import Metrics


def break_glass(
    ledger: Ledger,
    auditd: AuditdLedger,
    halts: Halts,
    clock: Clock,
    *,
    people: SqlDirectory,
    metrics: Metrics,
) -> BreakGlass:
    """Break-glass at work; `auditd` tells what is open, `ledger` takes what is used."""
    return BreakGlass(
        ledger, auditd.openings, halts, clock, holds_role=people.holds, gauges=metrics
    )


def break_glass_desk(
    settings: Settings,
    glass: BreakGlass,
    ledger: Ledger,
    clock: Clock,
    bundle: Callable[[], Bundle],
) -> BreakGlassDesk:
    """Where it is opened, ended and reviewed."""

    def rules() -> frozenset[str] | None:
        try:
            return bundle().rules
        except PolicyUnavailable:
            return None

    limits = OpeningLimits(**settings.break_glass.model_dump())
    return BreakGlassDesk(glass, ledger, clock, rules, limits=limits)


def alarm(settings: Settings, glass: BreakGlass) -> Alarm:
    """Every channel of the settings is told."""
    return Alarm(lambda: glass.standing, [one.name for one in settings.notify.channels])

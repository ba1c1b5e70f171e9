"""Break-glass for tests: openings, and workers at a real auditd that know who may open."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.errors import DirectoryUnavailable
from sekisho.holding.break_glass import BreakGlass
from sekisho.holding.break_glass_desk import BreakGlassDesk, OpeningLimits
from sekisho.model import evidence
from sekisho.model.break_glass import Need, Opening
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason
from sekisho.model.grants import Asking
from sekisho.model.ids import uuid7
from sekisho.model.principal import Principal, Role
from support.holds import ONE_REVIEW, SystemClock, person
from support.switch import Switch

RULE, OTHER_RULE = "default.content", "team.money"
RULES = frozenset({RULE, OTHER_RULE})
CHIEF = person("chief-1", Role.BREAK_GLASS)
CHIEF_2 = person("chief-2", Role.BREAK_GLASS)
REVIEWER = person("reviewer-1", Role.REVIEWER)
AUDITOR = person("auditor-1", Role.AUDITOR, groups=())
OPERATOR = person("operator-1", Role.OPERATOR, groups=())
FOR_CHIEF = Asking("chief-1", "chief-1", ("sales",))
TERMS = HoldTerms("request", ONE_REVIEW, 600, 90, no_grant=True)
WHY = "The plant is down and no reviewer answers."
MINUTE_US = 60_000_000


def opening(**other: Any) -> Opening:
    """One that is open, as the ledger would tell it."""
    now_us = time.time_ns() // 1000
    told: dict[str, Any] = {
        "id": uuid7(),
        "person": "chief-1",
        "rules": (RULE,),
        "minutes": 15,
        "review_hours": 24,
        "reason": WHY,
        "opened_us": now_us,
        "until_us": now_us + 15 * MINUTE_US,
        "review_by_us": now_us + 15 * MINUTE_US + 24 * 60 * MINUTE_US,
    }
    return Opening(**{**told, **other})


def held(terms: HoldTerms = TERMS, *rules: str) -> Decision:
    """Rules want people to look at it."""
    reasons = tuple(Reason("r", "Because.", rule) for rule in rules or (RULE,))
    return Decision(Effect.HOLD, reasons, "sha256:0", Obligations(hold=terms))


def needed(exchange: str = "", who: str = "chief-1", *rules: str) -> Need:
    """A request that waits for people."""
    decision = held(TERMS, *rules)
    event = evidence.decided(exchange or uuid7(), who, "request", decision, b"{}")
    return Need(event, frozenset(rules or (RULE,)))


@dataclass
class Gauges:
    """What operators would see."""

    open: int = 0
    used: int = 0

    def break_glass_open(self, count: int) -> None:
        self.open = count

    def break_glass_used(self, count: int) -> None:
        self.used += count


@dataclass
class Holders:
    """Who holds the role, as far as the directory knows."""

    names: set[str] = field(default_factory=lambda: {"chief-1", "chief-2"})
    away: bool = False

    def __call__(self, principal: str, role: Role) -> bool:
        if self.away:
            raise DirectoryUnavailable("the registry is away")
        return role is Role.BREAK_GLASS and principal in self.names


@dataclass
class Plant:
    """One worker's part in it; `clock` can be set."""

    ledger: AuditdLedger
    glass: BreakGlass
    desk: BreakGlassDesk
    switch: Switch
    holders: Holders
    gauges: Gauges
    known: set[str]

    async def opened(self, who: Principal = CHIEF, *rules: str) -> Opening:
        """Somebody has to go on."""
        return await self.desk.open(who, rules or (RULE,), WHY, None)

    async def tidy(self) -> None:
        """Nothing is open, and nothing waits."""
        await self.glass.consult()
        for one in self.glass.standing:
            who = CHIEF if one.person == CHIEF.id else CHIEF_2
            if not one.ended:
                await self.desk.end(who, one.id)
            await self.desk.review(AUDITOR, one.id, "justified", "It was.")


async def open_plant(socket: str, limits: OpeningLimits | None = None) -> Plant:
    """A worker at this auditd; `known` are the rules in force."""
    ledger = AuditdLedger(socket, limits=LedgerLimits(append_deadline_s=1.0))
    await ledger.start()
    switch, holders, gauges, clock = Switch(), Holders(), Gauges(), SystemClock()
    known = set(RULES)
    glass = BreakGlass(ledger, ledger.openings, switch, clock, holds_role=holders, gauges=gauges)
    desk = BreakGlassDesk(glass, ledger, clock, lambda: known, limits=limits or OpeningLimits())
    return Plant(ledger, glass, desk, switch, holders, gauges, known)

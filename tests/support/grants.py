"""Standing grants for tests: workers at a real auditd, people who agree, and what they agree to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.holding.grant_desk import Asked, GrantDesk, GrantLimits
from sekisho.holding.granting import Granting
from sekisho.model import evidence
from sekisho.model.argument_pattern import read
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason
from sekisho.model.grants import Asking, Grant, Wanted
from sekisho.model.ids import uuid7
from sekisho.model.principal import Role
from support.holds import ONE_REVIEW, SystemClock, person
from support.switch import Switch

ONE = person("reviewer-1", Role.REVIEWER, groups=("risk",))
TWO = person("reviewer-2", Role.REVIEWER, groups=("risk",))
AUDITOR = person("auditor-1", Role.AUDITOR, groups=())
RULE = "default.ladder"
RULES = frozenset({RULE, "default.content"})
TERMS = HoldTerms("tool_call", ONE_REVIEW, 600, 50)
ARGUMENTS = {"path": "/reports/q3.md"}
PATTERN = read({"named": {"path": {"prefix": "/reports/"}}, "others": "absent"})
FOR_STAFF = Asking("staff-7", "staff-7", ("sales",))
CALLS = Asked(
    rules=(RULE,),
    backend="demo",
    count=2,
    hours=1,
    reason="The report of the quarter.",
    principal="staff-7",
    tool="kb.read",
    pattern=PATTERN,
)
REQUESTS = replace(CALLS, tool=None, pattern=None)


def grant(**other: Any) -> Grant:
    """A grant that stands, as the ledger would tell it."""
    told: dict[str, Any] = {
        "id": uuid7(),
        "rules": (RULE,),
        "backend": "demo",
        "count": 2,
        "hours": 1,
        "risk_below": 60,
        "counts_for": ("reviewer",),
        "principal": "staff-7",
        "group": None,
        "tool": "kb.read",
        "pattern": PATTERN,
        "reviewers": ("reviewer",),
        "reason": "The report of the quarter.",
        "readable": True,
        "proposed_by": "reviewer-1",
        "confirmed_by": "reviewer-2",
        "confirmed_counts_for": ("reviewer",),
        "proposed_us": 1,
        "until_us": 4_000_000_000_000_000,
        "used": 0,
    }
    return Grant(**{**told, **other})


def held(terms: HoldTerms = TERMS, rule: str = RULE, effect: Effect = Effect.HOLD) -> Decision:
    """Rules want people to look at it."""
    asked = Obligations(hold=terms if effect is Effect.HOLD else None)
    return Decision(effect, (Reason("r", "Because.", rule),), "sha256:0", asked)


def wanted(
    exchange: str = "", *, terms: HoldTerms = TERMS, arguments: Any = None, **other: Any
) -> Wanted:
    """A tool call that waits for people."""
    event = evidence.decided(
        exchange or uuid7(), "staff-7", terms.stage, held(terms), b"{}", tool="kb.read"
    )
    told: dict[str, Any] = {
        "event": event,
        "stage": "tool_call",
        "backend": "demo",
        "terms": terms,
        "rules": frozenset({RULE}),
        "tool": "kb.read",
        "arguments": ARGUMENTS if arguments is None else arguments,
    }
    return Wanted(**{**told, **other})


@dataclass
class Office:
    """One worker's part in it."""

    ledger: AuditdLedger
    granting: Granting
    desk: GrantDesk
    switch: Switch
    known: set[str]

    async def granted(self, asked: Asked = CALLS) -> Grant:
        """A grant that two agreed to."""
        made = await self.desk.propose(ONE, asked)
        return await self.desk.confirm(TWO, made.id)

    async def close(self) -> None:
        await self.ledger.close()


async def open_office(
    socket: str, limits: GrantLimits | None = None, backends: Sequence[str] = ("demo", "cloud")
) -> Office:
    """A worker at this auditd; `known` are the rules in force."""
    ledger = AuditdLedger(socket, limits=LedgerLimits(append_deadline_s=1.0))
    await ledger.start()
    switch, limits, known = Switch(), limits or GrantLimits(), set(RULES)
    granting = Granting(ledger, switch, lambda: known, risk_below=limits.risk_below)
    desk = GrantDesk(granting, ledger, SystemClock(), limits=limits, backends=backends)
    return Office(ledger, granting, desk, switch, known)

"""What /readyz asks the parts of a worker: questions they can only answer when they work."""

from __future__ import annotations

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.redis_holds import RedisHoldStore
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.errors import LedgerUnavailable, Overloaded
from sekisho.unsettled import Unsettled
from sekisho.web.health import Check


def every_check(
    ledger: AuditdLedger,
    holds: RedisHoldStore,
    keys: SqlDirectory,
    policy: Check,
    unsettled: Unsettled,
) -> dict[str, Check]:
    """What is asked, by the name operators read."""
    return {
        "ledger": ledger_check(ledger),
        "holds": holds_check(holds),
        "registry": keys.check,
        "policy": policy,
        "outcomes": outcomes_check(unsettled),
    }


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

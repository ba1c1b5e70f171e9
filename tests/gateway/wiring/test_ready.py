from __future__ import annotations

from typing import Any, cast

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import LedgerUnavailable, Overloaded
from sekisho.model import evidence
from sekisho.unsettled import EVENTS_MAX, Unsettled
from sekisho.wiring import ready
from support.memory_ledger import MemoryLedger


class _Auditd:
    """Only its status."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    async def status(self) -> dict[str, Any]:
        return self._status


async def test_a_ledger_that_stopped_for_good_is_not_ready() -> None:
    """It answers, but writes nothing any more; the message says where to look."""
    await ready.ledger_check(cast("AuditdLedger", _Auditd({"poisoned": False})))()
    with pytest.raises(LedgerUnavailable, match="recover"):
        await ready.ledger_check(cast("AuditdLedger", _Auditd({"poisoned": True})))()


async def test_a_worker_that_can_promise_no_outcome_is_not_ready() -> None:
    """With its queue full, another exchange might stay without its end."""
    unsettled = Unsettled(MemoryLedger())
    await ready.outcomes_check(unsettled)()
    for _ in range(EVENTS_MAX):
        unsettled.add(evidence.cancelled("x", "staff-7", "decide"))

    with pytest.raises(Overloaded):
        await ready.outcomes_check(unsettled)()

"""Pruning asked on the officers' socket: by whom, and for exactly what was shown."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho_audit.report import Verdict
from sekisho_audit.rules import DAY_US
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.verify import verify
from support.ledgers import Auditd
from support.officers import OFFICER, appoint, ask
from support.old_ledgers import Clock, live, open_at

NOW_US = time.time_ns() // 1000
BEFORE = {"before_us": NOW_US - 3_000 * DAY_US}
PLAN = {"op": "prune_plan", **BEFORE}
PRUNE = {"op": "prune", **BEFORE, "authority": "schedule 7"}


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    clock = Clock(NOW_US - 4_000 * DAY_US)
    ledger = open_at(tmp_path, clock)
    live(ledger, clock, 99, step=40)
    ledger.close()
    made = Auditd(tmp_path, "--retention", "leaves=184")
    await made.start()
    yield made
    await made.end()


async def test_what_was_shown_is_what_goes(auditd: Auditd, tmp_path: Path) -> None:
    """Another size than the plan's removes nothing."""
    secret = appoint(tmp_path)
    [(answer, _)] = await ask(auditd, secret, PLAN)
    size = answer["plan"]["size"]
    other, unsaid, (done, _), again = await ask(
        auditd,
        secret,
        {**PRUNE, "size": size + 1},
        {**PRUNE, "size": size, "authority": " "},
        {**PRUNE, "size": size},
        {**PRUNE, "size": size},
    )
    assert (other.code, unsaid.code, again.code) == ("busy", "bad_request", "nothing_to_prune")
    assert "another one by now" in str(other)
    assert done["pruned"]["size"] == size == held_from(auditd.ledger, EVENTS)
    await auditd.end()
    report = verify(auditd.ledger)
    assert (report.verdict, report.pruned) == (Verdict.SOUND, size)


async def test_only_who_has_the_duty(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path, OFFICER, ["erase", "legal_hold"])
    found = await ask(auditd, secret, PLAN, {**PRUNE, "size": 100})
    assert [one.code for one in found] == ["no_duty"] * 2
    assert held_from(auditd.ledger, EVENTS) == 0

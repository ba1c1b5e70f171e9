"""Retention is asked for by officers with the duty, and by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho_audit.auditd import EXIT_USAGE
from sekisho_audit.officer_client import OfficerError
from support.ledgers import Auditd, open_ledger, run_exchange
from support.officers import SECOND, appoint, ask, ask_as


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.close()
    made = Auditd(tmp_path, "--retention", "query=keep,leaves=200")
    await made.start()
    yield made
    await made.end()


async def test_it_tells_how_things_stand(auditd: Auditd, tmp_path: Path) -> None:
    """Ceilings, what is over, held back and there; a run with nothing to do is told."""
    secret = appoint(tmp_path)
    question = {"op": "retention"}
    (shown, _), (ran, _) = await ask(auditd, secret, question, {**question, "now": True})
    report = shown["retention"]
    assert report["leaves_days"] == 200
    rows = {row["class"]: row for row in report["classes"]}
    assert list(rows) == ["content", "input", "reason", "query"]
    assert (rows["content"]["days"], rows["query"]["days"]) == (180, "keep")
    assert (rows["content"]["keys"], rows["content"]["held"], rows["content"]["there"]) == (0, 0, 1)
    assert "up_to" in rows["content"]
    assert "up_to" not in rows["query"]
    assert ran["retention"] == {**report, "begun": None, "done": None}


async def test_the_duty_is_needed(auditd: Auditd, tmp_path: Path) -> None:
    """Whoever may erase or search may not shorten what is kept."""
    secret = appoint(tmp_path, SECOND, ["search", "erase", "legal_hold", "disclose", "export"])
    for now in (False, True):
        question = {"op": "retention", "now": now}
        [refused] = await ask_as(auditd, {SECOND: secret}, question)
        assert isinstance(refused, OfficerError)
        assert refused.code == "no_duty"


async def test_now_is_a_flag(auditd: Auditd, tmp_path: Path) -> None:
    """Anything else is no question of ours: it is not taken for yes."""
    secret = appoint(tmp_path)
    [refused] = await ask(auditd, secret, {"op": "retention", "now": "no"})
    assert isinstance(refused, OfficerError)


async def test_ceilings_that_cannot_be_are_an_error_of_the_start(tmp_path: Path) -> None:
    """Before a ledger is opened: nothing runs under a ceiling that nobody meant."""
    auditd = Auditd(tmp_path, "--retention", "content=0")
    with pytest.raises(RuntimeError, match="--retention: content=0: 2 to 36500 days, or `keep`"):
        await auditd.start()
    assert auditd.process.returncode == EXIT_USAGE
    assert not auditd.ledger.exists()

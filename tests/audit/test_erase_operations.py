"""What must be kept is kept, until whoever may say so says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support.ledgers import STAFF, Auditd, open_ledger, run_exchange
from support.officers import OFFICER, appoint, ask

ERASE = {"op": "erase", "principal": STAFF, "purpose": "they left", "ticket": "T-1"}
SET = {"op": "legal_hold_set", "authority": "court order 12"}
RELEASE = {"op": "legal_hold_release", "authority": "court order 13"}


@pytest.fixture
async def exchange(tmp_path: Path) -> str:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    sent = run_exchange(ledger, "s-1")
    ledger.close()
    return str(sent.exchange)


@pytest.fixture
async def auditd(tmp_path: Path, exchange: str) -> AsyncIterator[Auditd]:
    assert exchange
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


def codes(found: list[Any]) -> list[str]:
    return [getattr(one, "code", "") for one in found]


async def test_a_hold_beats_erasure_until_it_is_released(
    auditd: Auditd, tmp_path: Path, exchange: str
) -> None:
    """Also across a restart, and also if only one exchange is held."""
    secret = appoint(tmp_path)
    [(by_person, _), (by_exchange, _), refused] = await ask(
        auditd, secret, {**SET, "principal": STAFF}, {**SET, "exchange": exchange}, ERASE
    )
    assert refused.code == "legal_hold"
    [first], [second] = by_person["holds"], by_exchange["holds"]
    assert first in str(refused)
    assert second in str(refused)
    await auditd.end()
    await auditd.start()
    listed, _, still = await ask(
        auditd, secret, {"op": "legal_holds"}, {**RELEASE, "hold": first}, ERASE
    )
    assert listed[0]["holds"] == [
        {"hold": first, "principal": STAFF, "exchange": None},
        {"hold": second, "principal": STAFF, "exchange": exchange},
    ]
    assert still.code == "legal_hold"
    found = await ask(auditd, secret, {**RELEASE, "hold": second}, ERASE, {"op": "legal_holds"})
    assert codes(found) == ["", "", ""]
    assert found[2][0]["holds"] == []
    await auditd.end()
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def test_what_cannot_be_held_is_refused(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path)
    unknown = "01890000-0000-7000-8000-000000000000"
    found = await ask(
        auditd,
        secret,
        {**SET, "principal": "nobody"},
        {**SET, "exchange": unknown},
        {**SET, "exchange": "x"},
        {**SET, "principal": STAFF, "exchange": unknown},
        SET,
        {**SET, "principal": STAFF, "authority": ""},
        {**RELEASE, "hold": unknown},
    )
    assert codes(found) == [
        *("not_found", "not_found", "bad_request", "bad_request", "bad_request"),
        *("bad_request", "not_found"),
    ]


async def test_each_has_its_own_duty(auditd: Auditd, tmp_path: Path) -> None:
    """Whoever may erase cannot lift what forbids it."""
    secret = appoint(tmp_path, OFFICER, ["erase"])
    asked = ({**SET, "principal": STAFF}, {**RELEASE, "hold": "x"}, {"op": "legal_holds"})
    assert codes(await ask(auditd, secret, *asked)) == ["no_duty"] * 3
    secret = appoint(tmp_path, OFFICER, ["legal_hold"])
    assert codes(await ask(auditd, secret, ERASE)) == ["no_duty"]

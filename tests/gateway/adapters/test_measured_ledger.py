from __future__ import annotations

import pytest

from sekisho.adapters.measured_ledger import MeasuredLedger
from sekisho.errors import LedgerUnavailable
from sekisho.model import evidence
from sekisho.telemetry import Metrics
from support.memory_ledger import MemoryLedger

EVENT = evidence.cancelled("x1", "staff-7", "decide")


async def test_appends_are_counted_by_how_they_ended() -> None:
    """The ledger's answer and its errors pass unchanged."""
    inner, metrics = MemoryLedger(), Metrics()
    ledger = MeasuredLedger(inner, metrics)

    (place,) = await ledger.append([EVENT])
    inner.down = True
    with pytest.raises(LedgerUnavailable):
        await ledger.append([EVENT])

    assert (0, [EVENT]) == (place.index, inner.events)
    text = metrics.render()[0].decode()
    assert 'sekisho_ledger_append_seconds_count{outcome="ok"} 1.0' in text
    assert 'sekisho_ledger_append_seconds_count{outcome="failed"} 1.0' in text


async def test_everything_else_is_the_ledgers_own() -> None:
    """Keys, holds and name are those of the ledger behind it."""
    inner = MemoryLedger()
    ledger = MeasuredLedger(inner, Metrics())

    assert inner.origin == ledger.origin
    assert await inner.exchange_keys("p", "x") == await ledger.exchange_keys("p", "x")
    assert await inner.open_holds() == await ledger.open_holds()
    asked = [("principal", "staff-7", "d2026-11-24")]
    assert await inner.used(asked) == await ledger.used(asked)
    await ledger.append([EVENT])
    page = await ledger.exchanges("staff-7", "", 10)
    assert [document["id"] for document in page.data] == ["x1"]
    assert page == await inner.exchanges("staff-7", "", 10)
    assert await ledger.exchange("staff-7", "x1") == {**page.data[0], "indexed": 1, "size": 1}
    assert await ledger.exchange("staff-8", "x1") is None
    await ledger.append([evidence.appealed("x1", "staff-7", "staff-7", "No.", b"k" * 32)])
    noted = evidence.read("x1", "staff-7", "auditor-1", purpose="audit", part="appeal")
    [place] = await ledger.append([noted])
    assert await ledger.appealed("x1") == await inner.appealed("x1")
    assert list((await ledger.appeal_reasons("x1", place.index)).values()) == ["No."]

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from sekisho.errors import LedgerUnavailable
from sekisho.telemetry import Metrics
from sekisho.web import health


async def _good() -> None:
    """A part that works."""


async def _broken() -> None:
    raise LedgerUnavailable("auditd does not answer")


async def _hanging() -> None:
    await asyncio.Event().wait()


async def _get(path: str, **checks: health.Check) -> httpx.Response:
    app = FastAPI()
    app.include_router(health.router)
    app.state.checks, app.state.metrics = checks, Metrics()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.get(path)


async def test_alive_needs_nothing() -> None:
    """Broken parts do not make a worker look dead: restarting it would mend nothing."""
    assert 200 == (await _get("/healthz", ledger=_broken)).status_code


async def test_ready_when_every_part_works() -> None:
    """Each part is named."""
    answer = await _get("/readyz", ledger=_good, holds=_good)

    assert 200 == answer.status_code
    assert {"ledger": "ok", "holds": "ok"} == answer.json()["parts"]


async def test_a_broken_part_is_named_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails and one that hangs, each within its own deadline, beside one that works."""
    monkeypatch.setattr(health, "CHECK_S", 0.01)
    answer = await _get("/readyz", ledger=_broken, holds=_hanging, policy=_good)

    assert 503 == answer.status_code
    parts = answer.json()["parts"]
    assert "auditd does not answer" == parts["ledger"]
    assert parts["holds"].startswith("no answer")
    assert "ok" == parts["policy"]


async def test_metrics_are_text_for_prometheus() -> None:
    """What this worker counts."""
    answer = await _get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert "sekisho_inflight" in answer.text

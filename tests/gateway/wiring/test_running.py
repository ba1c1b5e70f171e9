from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from sekisho.errors import LedgerUnavailable, PolicyRejected
from sekisho.wiring import running
from sekisho.wiring.running import Worker

ORDER = [
    *("sweep.stop", "filing.drain", "backend.close", "unsettled.flush", "refusals.flush"),
    *(
        "limiter.close",
        "halts.close",
        "ledger.close",
        "holds.close",
        "people.close",
        "engine.close",
    ),
]


class Part:
    """A part of a worker: notes what is done with it; `hangs` or `fails` where told."""

    def __init__(self, name: str, said: list[str], hangs: frozenset[str]) -> None:
        self._name = name
        self._said = said
        self._hangs = hangs
        self.fails: list[Exception] = []
        self.admitting = True

    @property
    def keys(self) -> Part:
        return self

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[None]]:
        place = f"{self._name}.{verb}"
        self._said.append(place)

        async def act(*_: object) -> None:
            if place in self._hangs or verb in ("run", "drop_stalled"):
                await asyncio.Event().wait()
            if self.fails:
                raise self.fails.pop(0)

        if verb == "open" and self._name == "holds":
            return cast("Any", lambda: None)
        return (
            cast("Any", lambda: None)
            if verb == "start" and self._name in {"limiter", "halts"}
            else act
        )


def worker(said: list[str], hangs: frozenset[str] = frozenset()) -> Worker:
    names = ("app", "ledger", "holds", "engine", "backend", "sweep", "filing", "unsettled")
    parts = {
        name: Part(name, said, hangs) for name in (*names, "refusals", "limiter", "people", "halts")
    }
    return Worker(**cast("Any", parts))


def nobody() -> None:
    """Called when the engines are used up."""


async def test_a_worker_stops_in_the_order_of_dependence() -> None:
    """Outcomes are told while the ledger is there; nobody is admitted meanwhile."""
    said: list[str] = []
    one = worker(said)
    await one.start(nobody)
    said.clear()
    await one.stop()
    assert ORDER == said
    assert not one.app.admitting


async def test_a_step_that_hangs_keeps_no_other_from_being_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process ends in any case, so the rest is still closed."""
    monkeypatch.setattr(running, "STEP_S", 0.02)
    said: list[str] = []
    one = worker(said, frozenset({"sweep.stop", "unsettled.flush", "ledger.close"}))
    await one.stop()
    assert ORDER == said


async def test_a_ledger_or_rules_that_are_down_do_not_stop_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker answers, with the code of what is down, and tries again."""
    monkeypatch.setattr(running, "RELOAD_S", 0.01)
    said: list[str] = []
    one = worker(said)
    cast("Any", one.ledger).fails = [LedgerUnavailable("down")]
    cast("Any", one.engine).fails = [PolicyRejected(["bad"]), PolicyRejected(["worse"])]
    await one.start(nobody)
    async with asyncio.timeout(10):
        while said.count("engine.start") < 3:
            await asyncio.sleep(0.01)
    await one.stop()

"""Rounds go on whatever one of them meets, until they are stopped."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.errors import LedgerUnavailable
from sekisho.holding import rounds as module
from sekisho.holding.rounds import Rounds


class Counting(Rounds):
    """Every second round fails."""

    about = "tests"

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    async def once(self) -> None:
        self.made += 1
        if self.made % 2:
            raise LedgerUnavailable("away")


async def test_a_round_that_fails_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """And `stop` ends them at once, without waiting for the next."""
    monkeypatch.setattr(module, "INTERVAL_S", 0.001)
    counting = Counting()
    running = asyncio.create_task(counting.run())
    async with asyncio.timeout(5):
        while counting.made < 4:
            await asyncio.sleep(0.001)
    monkeypatch.setattr(module, "INTERVAL_S", 60)
    await counting.stop()
    async with asyncio.timeout(5):
        await running


async def test_what_is_stopped_before_makes_none() -> None:
    counting = Counting()
    await counting.stop()
    await counting.run()

    assert counting.made == 0

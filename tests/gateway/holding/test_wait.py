"""Waiting ends with an outcome or with time, with hints or without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sekisho.errors import NotFound
from sekisho.holding import wait as waiting
from sekisho.holding.wait import wait
from sekisho.model.hold import HoldState, StoredAnswer
from support.holds import REVIEWER, Desk

LONG_S = 30.0


async def test_a_hold_that_nobody_decides_is_returned_when_time_is_over(desk: Desk) -> None:
    """The caller gets the pending hold back and can send its client on."""
    view = await desk.file()
    assert (await wait(view.hold.id, desk.store, 0.05)).state is HoldState.PENDING
    assert (await wait(view.hold.id, desk.store, 0)).state is HoldState.PENDING


@pytest.mark.parametrize("hints", [True, False])
async def test_a_denial_ends_the_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, hints: bool
) -> None:
    """With a wake-up at once; if every wake-up is lost, at the next reading."""
    if not hints:
        monkeypatch.setattr(waiting, "REREAD_S", 0.05)

        async def deaf(_: str, timeout_s: float) -> None:
            await asyncio.sleep(timeout_s)

        monkeypatch.setattr(desk.store, "woken", deaf)
    view = await desk.file()
    task = asyncio.create_task(wait(view.hold.id, desk.store, LONG_S))
    await asyncio.sleep(0)
    await desk.review(view, REVIEWER, "deny")
    assert (await task).state is HoldState.DENIED


async def test_an_approval_is_told_once_and_the_wait_goes_on(desk: Desk) -> None:
    """The waiter starts the sending, then waits for the answer like any other."""
    view = await desk.file()
    told: list[str] = []
    task = asyncio.create_task(wait(view.hold.id, desk.store, LONG_S, told.append))
    await desk.approve(view)
    await _until(lambda: bool(told))
    await desk.store.claim(view.hold.id, "w-1")
    await desk.store.finish(view.hold.id, "w-1", StoredAnswer(200, "", b"x"))
    assert (await task).state is HoldState.READY
    assert told == [view.hold.id]


async def test_an_unknown_hold_is_not_waited_for(desk: Desk) -> None:
    """There is nothing to wait for."""
    with pytest.raises(NotFound):
        await wait("hold_" + "0" * 32, desk.store, LONG_S)


async def test_many_waiters_need_few_connections(desk: Desk) -> None:
    """A waiter holds no connection: 200 of them end with one decision."""
    view = await desk.file()
    tasks = [asyncio.create_task(wait(view.hold.id, desk.store, LONG_S)) for _ in range(200)]
    await asyncio.sleep(0)
    await desk.review(view, REVIEWER, "deny")
    assert {one.state for one in await asyncio.gather(*tasks)} == {HoldState.DENIED}


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():
            await asyncio.sleep(0.01)

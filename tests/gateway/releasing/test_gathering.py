"""Who reads an answer whole is waited for only so long, and never left behind."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.errors import BackendFailed
from sekisho.releasing.gathering import Ended, Gathering, within
from sekisho.releasing.replies import Whole

ANSWER = Whole(200, {}, b"{}")
HEADERS = {"x-sekisho-exchange": "x1"}


class Reader:
    """Reads until `there`; notes with which words it was cancelled."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.cancelled: tuple[object, ...] | None = None

    async def read(self) -> Ended:
        try:
            await self.there.wait()
        except asyncio.CancelledError as gone:
            await asyncio.sleep(0)  # as an outcome that is written first
            self.cancelled = gone.args
            raise
        return ANSWER


async def test_what_is_there_in_time_is_given_back() -> None:
    """As if nobody had looked at the clock."""
    reader = Reader()
    reader.there.set()

    assert ANSWER == await within(reader.read(), 30, HEADERS)


async def test_what_fails_in_time_is_raised() -> None:
    """With its own words."""

    async def fails() -> Ended:
        raise BackendFailed("down")

    with pytest.raises(BackendFailed):
        await within(fails(), 30, HEADERS)


async def test_what_takes_longer_goes_on() -> None:
    """And is told when it has ended."""
    reader = Reader()

    gathering = await within(reader.read(), 0, HEADERS)

    assert isinstance(gathering, Gathering)
    assert HEADERS == gathering.headers
    assert not await gathering.has_ended(0)
    reader.there.set()
    assert await gathering.has_ended(30)
    assert ANSWER == gathering.task.result()
    await gathering.close("client_gone")
    assert reader.cancelled is None


async def test_nobody_waits_for_it_any_more() -> None:
    """It ends with the cause, and has ended when that is said."""
    reader = Reader()
    gathering = await within(reader.read(), 0, HEADERS)
    assert isinstance(gathering, Gathering)

    await gathering.close("client_gone")

    assert ("client_gone",) == reader.cancelled


async def test_a_caller_that_is_cancelled_takes_it_along() -> None:
    """The outcome is given before the caller is gone, with the same cause."""
    reader = Reader()
    caller = asyncio.create_task(within(reader.read(), 30, HEADERS))
    await asyncio.sleep(0.01)

    caller.cancel("shutdown")
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert ("shutdown",) == reader.cancelled

"""Hints arrive while the store is there, and waiters do not depend on them."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_wakeups import Wakeups, end
from support.holds import until
from support.valkey import Valkey

LONG_S = 30.0


async def heard(wakeups: Wakeups, url: str) -> bool:
    """Whether a hint sent now reaches a waiter."""
    waiting = asyncio.create_task(wakeups.wait("hold_1", LONG_S))
    await asyncio.sleep(0.02)
    async with Redis.from_url(url) as raw:
        await raw.publish("c", "hold_2")
        await raw.publish("c", "hold_1")
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    waiting.cancel()
    return bool(done)


async def test_a_hint_wakes_its_waiter_and_survives_a_restart() -> None:
    """After the store was killed the subscription comes back by itself."""
    valkey = Valkey()
    valkey.start()
    client = connect(valkey.url)
    wakeups = Wakeups(client, "c")
    wakeups.start()
    try:
        await until(lambda: heard(wakeups, valkey.url))
        valkey.restart()
        await until(lambda: heard(wakeups, valkey.url), 10)
    finally:
        await wakeups.stop()
        await client.aclose()
        valkey.close()


async def test_waiting_ends_without_a_hint(valkey: Valkey) -> None:
    """Never started, never connected: the wait lasts its time and leaves nothing behind."""
    client = connect(valkey.url)
    wakeups = Wakeups(client, "c")
    await wakeups.wait("hold_1", 0.01)
    assert not wakeups._waiters
    await wakeups.stop()
    await client.aclose()


async def test_a_task_that_swallows_a_cancellation_is_ended() -> None:
    """As the client does on Python 3.11 when it is cancelled while it sends."""
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end(task)
    assert swallowed == 3

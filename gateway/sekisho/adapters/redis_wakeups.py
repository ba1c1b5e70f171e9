"""Hints that a hold changed, over one pub/sub connection a worker.

A hint may be lost, late or doubled; it only makes a waiter look sooner. Whoever waits reads the
state again each second whether or not a hint came, so this module never fails a request: it
resubscribes by itself and stays silent while the store is away.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from redis.asyncio import Redis
from redis.exceptions import RedisError

_RESUBSCRIBE_S = 0.5
_CANCEL_AGAIN_S = 0.1
_LISTEN_S = 30.0  # a quiet channel is asked again so that a dead peer is noticed


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task that talks to the store, until it has ended.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which the client uses to send, swallows
    a cancellation that arrives as the sending completes.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)


class Wakeups:
    """Passes hints from the channel to local waiters."""

    def __init__(self, client: Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; twice is once."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="hold wake-ups")

    async def stop(self) -> None:
        """End the subscription."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def wait(self, hold_id: str, timeout_s: float) -> None:
        """Return at a hint for `hold_id`, or for any with "", at latest after `timeout_s`."""
        event = asyncio.Event()
        self._waiters[hold_id].add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._waiters[hold_id].discard(event)
            if not self._waiters[hold_id]:
                del self._waiters[hold_id]

    async def _listen(self) -> None:
        while True:
            try:
                await self._relay()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_RESUBSCRIBE_S)

    async def _relay(self) -> None:
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while True:
                message = await subscription.get_message(
                    ignore_subscribe_messages=True, timeout=_LISTEN_S
                )
                if message is not None:
                    for name in (message["data"].decode(), ""):
                        for event in self._waiters.get(name, ()):
                            event.set()

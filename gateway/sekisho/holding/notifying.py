"""Tells people: one worker of all looks at holds that changed, and sends what waits.

    look      a hold changed, or half of its time is over: its notifications are kept, and that
    alarm     somebody broke the glass: every channel is told
    send      each channel by itself, oldest first; what is not taken comes again, ever later
    give up   after its time: an event, a metric, an error in the log

At least once: a notification is forgotten only after its channel took it, so one whose reply was
lost, or whose sender died, is sent again with the same id. A channel that is in trouble rests, and
neither another channel nor a request ever waits for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from sekisho.errors import SekishoError
from sekisho.holding import evidence
from sekisho.holding.alarm import Alarm
from sekisho.holding.moments import OPEN, Schedule, outstanding
from sekisho.holding.outbox import Outbox, Waiting
from sekisho.model.ids import uuid7
from sekisho.model.notification import (
    OPEN_ONLY,
    Channel,
    Couriers,
    Moment,
    Notification,
    NotSent,
)
from sekisho.ports import Ledger

INTERVAL_S = 1.0
LEASE_S = 10.0  # a sender that died is replaced after this
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 300.0
ASKED_MAX_S = 3600.0  # the longest that a channel may ask us to wait
REST_MAX_S = 60.0  # a channel that works again is noticed by then
_SPREAD = 0.5
_HOLDS_MAX = 200
_BATCH_MAX = 20
_MINUTE_S = 60.0
_SECOND_US = 1_000_000

_log = structlog.get_logger("sekisho.notifications")

Counted = Callable[[str, str], None]
"""From a channel and `sent`, `failed`, `moot` or `given_up` to a count."""


@dataclass
class _Line:
    """One channel as this worker knows it: what it sends now, its rest, what it sent lately."""

    channel: Channel
    task: asyncio.Task[None] | None = None
    rests_until_s: float = 0.0
    failures: int = 0
    sent_s: deque[float] = field(default_factory=deque)


class Notifier:
    """One a worker: `run` as a task, `stop` to end it."""

    def __init__(
        self,
        outbox: Outbox,
        couriers: Couriers,
        channels: Sequence[Channel],
        ledger: Ledger,
        *,
        schedule: Schedule,
        give_up_s: float,
        counted: Counted,
        alarm: Alarm | None = None,
    ) -> None:
        self._alarm = alarm
        self._outbox = outbox
        self._couriers = couriers
        self._channels = tuple(channels)
        self._ledger = ledger
        self._schedule = schedule
        self._give_up_us = int(give_up_s * _SECOND_US)
        self._counted = counted
        self._sender = uuid7()
        self._leads = False
        self._stopped = asyncio.Event()
        self._lines = {one.name: _Line(one) for one in channels}

    async def run(self) -> None:
        """Look and send about once a second, until stopped."""
        while not self._stopped.is_set():
            await self._quietly()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._stopped.wait()

    async def _quietly(self) -> None:
        try:
            await self.once()
        except SekishoError as error:
            _log.warning("holds could not be looked at for telling", code=error.code)
        except Exception:  # noqa: BLE001 - one broken hold must not end the telling of all
            _log.exception("holds could not be looked at for telling")

    async def once(self) -> None:
        """One round, if this worker is the one that sends; sending goes on behind it."""
        self._leads = await self._outbox.lead(self._sender, LEASE_S)
        if not self._leads:
            return
        await self._raise_alarm()
        while await self._look() == _HOLDS_MAX:
            await self._outbox.lead(self._sender, LEASE_S)
        for line in self._lines.values():
            if line.task is None or line.task.done():
                line.task = asyncio.create_task(self._tend(line))
        for told in await self._outbox.refused(_BATCH_MAX):
            await self._give_up(told, 0, "no_room")
        for name in await self._outbox.channels():
            if name not in self._lines:  # taken out of the settings with something in its queue
                for waiting in (await self._outbox.due(name, _BATCH_MAX)).waiting:
                    await self._give_up(waiting.notification, waiting.attempts, "no_channel")

    async def stop(self) -> None:
        """End `run`; another worker goes on at once."""
        self._stopped.set()
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for courier in self._couriers.values():
            await courier.close()
        if self._leads:
            with suppress(SekishoError):  # the lease runs out
                await self._outbox.lead(self._sender, 0)

    async def _raise_alarm(self) -> None:
        """Keep what everybody has to be told, and only then note that it is kept."""
        told = () if self._alarm is None else self._alarm.due(time.time_ns() // 1000)
        fresh = set(await self._outbox.unraised([one.id for one in told])) if told else set()
        if fresh:
            await self._outbox.post([one for one in told if one.id in fresh])
            await self._outbox.raised(sorted(fresh))

    async def _look(self) -> int:
        """Keep what has to be told; how many holds there were to look at."""
        seen = await self._outbox.look(_HOLDS_MAX)
        for changed in seen.changed:
            due = outstanding(changed, self._channels, self._schedule, seen.now_us)
            await self._outbox.note(changed, due.told, due.again_us, due.notifications)
        return len(seen.changed)

    async def _tend(self, line: _Line) -> None:
        """Send what is due over one channel, until it rests or has nothing more."""
        loop = asyncio.get_running_loop()
        try:
            queue = await self._outbox.due(line.channel.name, _BATCH_MAX)
            for waiting in queue.waiting:
                alarm = waiting.notification.moment is Moment.BREAK_GLASS
                if not self._leads or not _may_send(line, loop.time(), alarm=alarm):
                    return
                await self._settle(line, waiting, queue.now_us)
        except SekishoError as error:
            _log.warning("a queue could not be tended", channel=line.channel.name, code=error.code)
        except Exception:  # noqa: BLE001 - a broken message must not end its channel for good
            _log.exception("a queue could not be tended", channel=line.channel.name)

    async def _settle(self, line: _Line, waiting: Waiting, now_us: int) -> None:
        """Bring one notification to its end, or one attempt nearer to it."""
        told, name = waiting.notification, line.channel.name
        if told.moment in OPEN_ONLY and waiting.state not in OPEN:
            self._counted(name, "moot")
            await self._outbox.done(told)
            return
        if now_us - told.created_us > self._give_up_us:
            await self._give_up(told, waiting.attempts, "too_late")
            return
        line.sent_s.append(asyncio.get_running_loop().time())
        try:
            await self._send(told)
        except NotSent as error:
            await self._not_sent(line, waiting, error)
            return
        line.failures = 0
        self._counted(name, "sent")
        await self._outbox.done(told)

    async def _send(self, told: Notification) -> None:
        courier = self._couriers.get(told.channel)
        if courier is None:
            raise NotSent("unusable")
        try:
            await courier.send(told)
        except NotSent:
            raise
        except Exception:  # noqa: BLE001 - of whatever a library throws: it was not sent
            _log.exception("a courier broke", channel=told.channel)
            raise NotSent("internal_fault") from None

    async def _not_sent(self, line: _Line, waiting: Waiting, error: NotSent) -> None:
        told, attempts = waiting.notification, waiting.attempts + 1
        name = line.channel.name
        self._counted(name, "failed")
        _log.warning("not told yet", channel=name, notification=told.id, cause=error.cause)
        if error.final:
            await self._give_up(told, attempts, error.cause)
            return
        line.failures += 1
        asked_s = min(error.retry_after_s or 0.0, ASKED_MAX_S)
        rest_s = max(asked_s, min(_backoff(line.failures), REST_MAX_S))
        line.rests_until_s = asyncio.get_running_loop().time() + rest_s
        await self._outbox.later(told, attempts, max(asked_s, _backoff(attempts)))

    async def _give_up(self, told: Notification, attempts: int, cause: str) -> None:
        """Say so where it stays, then forget it; in this order, so that no crash hides it."""
        await self._ledger.append([evidence.given_up(told, attempts, cause)])
        self._counted(told.channel, "given_up")
        _log.error(
            "nobody was told over this channel: given up",
            channel=told.channel,
            notification=told.id,
            about=told.hold or told.exchange,
            attempts=attempts,
            cause=cause,
        )
        await self._outbox.done(told)


def _may_send(line: _Line, now_s: float, *, alarm: bool) -> bool:
    """An alarm waits for a channel that rests, and not until others may be sent again."""
    while line.sent_s and now_s - line.sent_s[0] > _MINUTE_S:
        line.sent_s.popleft()
    has_room = alarm or len(line.sent_s) < line.channel.per_minute_max
    return has_room and now_s >= line.rests_until_s


def _backoff(attempts: int) -> float:
    """Twice as long each time, and never in step with others."""
    longest = min(RETRY_FIRST_S * 2.0 ** min(attempts - 1, 20), RETRY_MAX_S)
    return longest * random.uniform(1 - _SPREAD, 1)  # noqa: S311 - not a secret

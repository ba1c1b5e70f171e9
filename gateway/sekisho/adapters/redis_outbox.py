"""Notifications in Redis or Valkey, in the slot of the holds: `Outbox` of holding/outbox.py.

The change of a hold and the note that somebody has to be told of it are one script, and so are the
note that it was told and the notification itself: no crash comes in between. The scripts stand
behind the gate of the hold store, so that after a lost store the ledger's holds are told again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
import structlog

from sekisho.adapters.redis_holds import HOLDS, TAG, RedisHoldStore
from sekisho.adapters.redis_scripts import Argument
from sekisho.holding import record
from sekisho.holding.outbox import Changed, Queue, Seen, Waiting
from sekisho.model.notification import Moment, Notification

PREFIX = f"{TAG}:told:"
REFUSED_MAX = 10_000  # until the ledger has them, which takes milliseconds each
RAISED_KEPT_MS = 31 * 86_400_000  # who did not listen for a month is told once more
_SECOND_US = 1_000_000
_log = structlog.get_logger("sekisho.notifications")


class RedisOutbox:
    """One a worker, on the connections of its hold store."""

    def __init__(self, store: RedisHoldStore, waiting_max: int) -> None:
        self._store = store
        self._waiting_max = waiting_max

    async def lead(self, sender: str, lease_s: float) -> bool:
        """See Outbox."""
        reply = await self._run("tell_lead", f"{PREFIX}lead", sender, int(lease_s * 1000))
        return bool(reply[0] == b"ok")

    async def look(self, limit: int) -> Seen:
        """See Outbox."""
        now, rows = await self._run("tell_look", HOLDS, limit)
        changed = []
        for row in rows:
            try:
                changed.append(_changed(row))
            except (ValueError, KeyError) as error:  # it must not keep all others from being told
                cause = type(error).__name__
                _log.error("a hold cannot be told of", hold=row[0].decode(), cause=cause)
        return Seen(int(now), changed)

    async def note(
        self,
        changed: Changed,
        told: frozenset[str],
        again_us: int | None,
        notifications: Sequence[Notification],
    ) -> Sequence[str]:
        """See Outbox."""
        card = changed.card
        return await self._post(
            (
                *(card.id, card.state.value, card.version, _joined(changed.told), _joined(told)),
                *("" if again_us is None else again_us, card.open_step),
            ),
            notifications,
        )

    async def post(self, notifications: Sequence[Notification]) -> Sequence[str]:
        """See Outbox."""
        return await self._post(("",) * 7, notifications)

    async def unraised(self, ids: Sequence[str]) -> Sequence[str]:
        """See Outbox."""
        found = await self._run("tell_raised", f"{PREFIX}raised", "ask", RAISED_KEPT_MS, *ids)
        return [name.decode() for name in found]

    async def raised(self, ids: Sequence[str]) -> None:
        """See Outbox."""
        await self._run("tell_raised", f"{PREFIX}raised", "note", RAISED_KEPT_MS, *ids)

    async def due(self, channel: str, limit: int) -> Queue:
        """See Outbox."""
        now, rows = await self._run("tell_due", HOLDS, PREFIX, channel, limit)
        waiting = []
        for told, body, tries, state in rows:
            notification = await self._read(channel, told, body)
            if notification is not None:
                waiting.append(Waiting(notification, int(tries), state.decode()))
        return Queue(int(now), waiting)

    async def refused(self, limit: int) -> Sequence[Notification]:
        """See Outbox."""
        rows = await self._run("tell_refused", PREFIX, limit)
        read = [await self._read("", told, body) for told, body in rows]
        return [one for one in read if one is not None]

    async def done(self, notification: Notification) -> None:
        """See Outbox."""
        await self._run("tell_after", PREFIX, notification.channel, notification.id, 0, "")

    async def later(self, notification: Notification, attempts: int, delay_s: float) -> None:
        """See Outbox."""
        delay_us = int(delay_s * _SECOND_US)
        about = (notification.channel, notification.id, attempts, delay_us)
        await self._run("tell_after", PREFIX, *about)

    async def channels(self) -> Sequence[str]:
        """See Outbox."""
        return sorted(name.decode() for name in await self._run("tell_channels", PREFIX))

    async def _read(self, channel: str, told: bytes, body: bytes) -> Notification | None:
        """What stands there; None, and dropped, if a later version or a stranger wrote it: it must
        not keep all others from being told.
        """
        try:
            return _decoded(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            cause = type(error).__name__
            _log.error("a notification cannot be read", channel=channel, cause=cause)
            await self._run("tell_after", PREFIX, channel, told, 0, "")
            return None

    async def _post(
        self, hold: Sequence[Argument], notifications: Sequence[Notification]
    ) -> Sequence[str]:
        bodies = [
            part
            for one in notifications
            for part in (one.channel, one.id, orjson.dumps(asdict(one)))
        ]
        bounds = (self._waiting_max, REFUSED_MAX)
        reply = await self._run("tell_post", HOLDS, PREFIX, *hold, *bounds, *bodies)
        return [word.decode() for word in reply[1:]]

    async def _run(self, name: str, *args: Argument) -> Any:
        return await self._store.run_beside(name, *args)


def _changed(row: Sequence[bytes]) -> Changed:
    _, state, version, card, why, told, step = row
    known = record.decode_card(card, state.decode(), justified=why == b"1", open_step=int(step))
    if known.version != int(version):
        raise ValueError("a hold is of another version than its card")
    return Changed(known, frozenset(told.decode().split(",")) - {""})


def _joined(told: frozenset[str]) -> str:
    return ",".join(sorted(told))


def _decoded(body: bytes) -> Notification:
    members = orjson.loads(body)
    moment, rules = Moment(members.pop("moment")), tuple(members.pop("rules"))
    return Notification(moment=moment, rules=rules, **members)

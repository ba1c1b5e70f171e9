"""What is told to people, from the change of a hold until a channel took it: the port `Outbox`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sekisho.model.hold import HoldCard
from sekisho.model.notification import Notification


@dataclass(frozen=True, slots=True)
class Changed:
    """A hold of which somebody may have to be told, as it was at one moment; `told` names what was
    told of it.
    """

    card: HoldCard
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was to look at, at the store's time `now_us`."""

    now_us: int
    changed: Sequence[Changed]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notification that has to be sent now: how often it was tried, and the state of its hold by
    now ("" without one).
    """

    notification: Notification
    attempts: int
    state: str


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for one channel, at the store's time `now_us`."""

    now_us: int
    waiting: Sequence[Waiting]


class Outbox(Protocol):
    """Notifications that nobody took yet, beside the holds, shared by all workers and replicas.

    What is in it survives its server as holds do. Every method is idempotent and raises
    HoldStoreUnavailable within 2 s if it cannot say what became of it.
    """

    async def lead(self, sender: str, lease_s: float) -> bool:
        """Whether `sender` is the one that sends, from now for `lease_s`. 0 gives it up."""
        ...

    async def look(self, limit: int) -> Seen:
        """Holds that changed since they were noted, or whose time to look again has come."""
        ...

    async def note(
        self,
        changed: Changed,
        told: frozenset[str],
        again_us: int | None,
        notifications: Sequence[Notification],
    ) -> Sequence[str]:
        """Keep the notifications and that they are `told`, or neither if the hold changed.

        Returns the ids of those for which there is no room; `refused` has them. `again_us`: look
        again then.
        """
        ...

    async def post(self, notifications: Sequence[Notification]) -> Sequence[str]:
        """Keep notifications that belong to no hold; the ids of those without room."""
        ...

    async def unraised(self, ids: Sequence[str]) -> Sequence[str]:
        """Those of these alarms that were not put into the queues since the store has its data."""
        ...

    async def raised(self, ids: Sequence[str]) -> None:
        """These alarms were."""
        ...

    async def due(self, channel: str, limit: int) -> Queue:
        """What has to be sent now over `channel`."""
        ...

    async def refused(self, limit: int) -> Sequence[Notification]:
        """Those for which there was no room, until they are `done`."""
        ...

    async def done(self, notification: Notification) -> None:
        """It was taken, or given up: forget it."""
        ...

    async def later(self, notification: Notification, attempts: int, delay_s: float) -> None:
        """It was not taken: try again in so long."""
        ...

    async def channels(self) -> Sequence[str]:
        """Channels for which something waits, of the settings or not."""
        ...

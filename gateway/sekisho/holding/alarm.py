"""What everybody is told of break-glass: that it was opened, is used, and waits for its review.

    opened      once it was, also where it is over already: nobody is quicker than the alarm
    used        at each tenth use
    unreviewed  when its time of review is over

Every channel is told, whoever it is for: with rules, a number and times, and never with the reason
or a person, as all notifications. What was told is noted in the outbox after it was put there, so
that neither a worker that dies nor a store that is emptied keeps it from anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sekisho.model.break_glass import Opening
from sekisho.model.notification import Moment, Notification, notification_id, told_rules

USES_EACH = 10


class Alarm:
    """One a worker, asked by whoever sends. `standing` are the openings as they are known now."""

    def __init__(self, standing: Callable[[], Sequence[Opening]], channels: Sequence[str]) -> None:
        self._standing = standing
        self._channels = tuple(channels)

    def due(self, now_us: int) -> Sequence[Notification]:
        """What everybody has to be told by now, whether or not they were."""
        return [one for opening in self._standing() for one in self._about(opening, now_us)]

    def _about(self, opening: Opening, now_us: int) -> Iterator[Notification]:
        tens = opening.used // USES_EACH * USES_EACH
        yield from self._each(opening, "opened", 0, now_us)
        if tens:
            yield from self._each(opening, "used", tens, now_us)
        if opening.overdue_at(now_us):
            yield from self._each(opening, "unreviewed", opening.used, now_us)

    def _each(self, opening: Opening, state: str, uses: int, now_us: int) -> Iterator[Notification]:
        number = str(uses) if state == "used" else ""
        for name in self._channels:
            yield Notification(
                id=notification_id(opening.id, state, number, name),
                channel=name,
                moment=Moment.BREAK_GLASS,
                rules=told_rules(opening.rules),
                state=state,
                opening=opening.id,
                uses=uses,
                created_us=now_us,
                expires_us=opening.until_us if state == "opened" else 0,
            )

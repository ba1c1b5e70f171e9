"""The house: what the time is called where people work, and how long contents are kept.

Rules get the open office, the day and the full hour, so that a decision about them stays good for
an hour; whoever needs more has the time itself beside them. What people have to answer in office
time ends when the office was open for so long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

DAY_US = 86_400 * 1_000_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Office:
    """When the office is open, in minutes of the local day, and where that is.

    `closed_on` are days on which it is closed all the same, `open_on` days on which it is open all
    the same. Office time ends after `wait_days_max` days whatever the calendar says.
    `content_days` is how long the ledger keeps contents at most, None for ever.
    `escalation_percent`: at this part of a hold's time it is put before the next ones.
    """

    opens_min: int = 8 * 60
    closes_min: int = 19 * 60
    days: frozenset[str] = frozenset(DAYS[:5])
    zone: tzinfo = UTC
    content_days: int | None = None
    closed_on: frozenset[date] = frozenset()
    open_on: frozenset[date] = frozenset()
    wait_days_max: int = 31
    escalation_percent: int = 75

    def facts(self, now_us: int) -> dict[str, object]:
        """Members of the input's `context` that come from here, at `now_us`."""
        local = datetime.fromtimestamp(now_us // 1_000_000, self.zone)
        day, minute = DAYS[local.weekday()], local.hour * 60 + local.minute
        open_ = self._works(local.date()) and self.opens_min <= minute < self.closes_min
        return {
            "time_ns": now_us * 1000,
            "office_hours": open_,
            "weekday": day,
            "hour": local.hour,
            "content_days": self.content_days,
        }

    def after(self, start_us: int, open_s: float) -> int:
        """The moment at which the office was open for `open_s` seconds since `start_us`."""
        left_us = int(open_s * 1_000_000)
        last_us = start_us + self.wait_days_max * DAY_US
        for opens_us, closes_us in self._openings(start_us, last_us):
            begins_us = max(start_us, opens_us)
            if closes_us - begins_us >= left_us:
                return min(begins_us + left_us, last_us)
            left_us -= max(0, closes_us - begins_us)
        return last_us

    def _works(self, day: date) -> bool:
        return day in self.open_on or (
            DAYS[day.weekday()] in self.days and day not in self.closed_on
        )

    def _openings(self, start_us: int, last_us: int) -> Iterator[tuple[int, int]]:
        """When it opens and closes, from the day of `start_us` on, in order."""
        day = datetime.fromtimestamp(start_us // 1_000_000, self.zone).date()
        while self._at_us(day, 0) <= last_us:
            if self._works(day):
                yield self._at_us(day, self.opens_min), self._at_us(day, self.closes_min)
            day += timedelta(days=1)

    def _at_us(self, day: date, minute: int) -> int:
        """When the clocks of the house show this minute of the day; 24:00 is the next day."""
        days, minute = divmod(minute, 24 * 60)
        day += timedelta(days=days)
        hour, minute = divmod(minute, 60)
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
        return int(local.timestamp()) * 1_000_000


def training(until_s: int | None, now_us: int) -> str:
    """`none` where nobody recorded a training, `over` when it has run out, else `valid`."""
    if until_s is None:
        return "none"
    return "valid" if now_us < until_s * 1_000_000 else "over"

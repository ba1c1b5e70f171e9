"""The house: what the time is called where people work, and how long contents are kept.

Rules get the open office, the day and the full hour, so that a decision about them stays good for
an hour; whoever needs more has the time itself beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Office:
    """When the office is open, in minutes of the local day, and where that is.

    `content_days` is how long the ledger keeps contents at most, None for ever.
    """

    opens_min: int = 8 * 60
    closes_min: int = 19 * 60
    days: frozenset[str] = frozenset(DAYS[:5])
    zone: tzinfo = UTC
    content_days: int | None = None

    def facts(self, now_us: int) -> dict[str, object]:
        """Members of the input's `context` that come from here, at `now_us`."""
        local = datetime.fromtimestamp(now_us // 1_000_000, self.zone)
        day, minute = DAYS[local.weekday()], local.hour * 60 + local.minute
        open_ = day in self.days and self.opens_min <= minute < self.closes_min
        return {
            "time_ns": now_us * 1000,
            "office_hours": open_,
            "weekday": day,
            "hour": local.hour,
            "content_days": self.content_days,
        }


def training(until_s: int | None, now_us: int) -> str:
    """`none` where nobody recorded a training, `over` when it has run out, else `valid`."""
    if until_s is None:
        return "none"
    return "valid" if now_us < until_s * 1_000_000 else "over"

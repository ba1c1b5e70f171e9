"""Lengths of time as people say them, for messages; headers keep their seconds."""

from __future__ import annotations

_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400
_SECONDS_TOLD_MAX = 120  # beyond that nobody counts seconds


def in_words(seconds: int) -> str:
    """`45 s`, `3 min`, `4 h 29 min`, `2 d 3 h`: rounded up, so that nobody comes back too early."""
    if seconds <= _SECONDS_TOLD_MAX:
        return f"{seconds} s"
    if seconds <= _DAY_S:
        hours, minutes = divmod(-(-seconds // _MINUTE_S), 60)
        return _both((hours, "h"), (minutes, "min"))
    days, hours = divmod(-(-seconds // _HOUR_S), 24)
    return _both((days, "d"), (hours, "h"))


def _both(*parts: tuple[int, str]) -> str:
    return " ".join(f"{count} {unit}" for count, unit in parts if count)

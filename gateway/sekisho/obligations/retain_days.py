"""retain_days: contents are kept no longer than so many days.

The ledger ends contents by the keys of a month or a day, at the ceiling of `[audit.retention]`, and
has no end for a single exchange. So what policy asks holds where the ceiling is no longer than
that, or where no content is kept at all; everything else cannot be promised and is a deny.
"""

from __future__ import annotations


def apply(days: int | None, log_level: str, content_days: int | None) -> str | None:
    """The log level with which `days` is kept; None if it cannot be.

    `content_days` is the ceiling, None for no end.
    """
    if days is None or log_level == "metadata":
        return log_level
    if days == 0:
        return "metadata"
    return log_level if content_days is not None and content_days <= days else None

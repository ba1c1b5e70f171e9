"""How long content is kept: classes of payloads, their ceilings, and the shelves of their keys.

A class is a function of the type of an event and the name of a payload. The key that seals a
payload stands on a *shelf*, which is all of its `kref` behind the pseudonym: the epoch in which the
exchange began (a month, or a day) and the class. What stands on one shelf ends together.

    2026-11           class content        2026-11/reason       class reason
    2026-11-03        class content        2026-11-03/query     class query

The table of classes and the form of shelves are part of SPEC.md. Values only: what the ledger says
about ceilings is in `shelves.py`, ending what is over in `retention_run.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

CONTENT, INPUT, REASON, QUERY = "content", "input", "reason", "query"
CLASSES = (CONTENT, INPUT, REASON, QUERY)
KEEP = "keep"
"""Said in place of a number of days: this class has no ceiling."""

# All payloads of an export belong together: one key of commitments is given out with its bundle.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "policy.decision": {"input": INPUT},
    "hold.review": {"reason": REASON},
    "hold.justified": {"reason": REASON},
    "exchange.appealed": {"reason": REASON},
    "halt.set": {"reason": REASON},
    "halt.lift_proposed": {"reason": REASON},
    "grant.proposed": {"terms": REASON},
    "grant.revoked": {"reason": REASON},
    "sample.judged": {"reason": REASON},
    "break_glass.opened": {"reason": REASON},
    "break_glass.reviewed": {"reason": REASON},
    "legal_hold.set": {"authority": REASON},
    "legal_hold.released": {"authority": REASON},
    "erasure.begun": {"purpose": REASON, "ticket": REASON},
    "audit.pruned": {"authority": REASON},
    "audit.disclosed": {"purpose": REASON, "ticket": REASON},
    "audit.search": {"query": QUERY},
    "audit.export": {"query": QUERY, "purpose": QUERY, "ticket": QUERY},
}
TABLE: Mapping[tuple[str, str], str] = MappingProxyType(
    {(kind, name): which for kind, names in _NAMES.items() for name, which in names.items()}
)
"""Class by (type of event, name of payload); what is not in it is of class content."""

DAYS_MIN, DAYS_MAX = 2, 36_500
"""A day's key must outlive the day, for what is under way; a century is enough for anybody."""
LEAVES_DAYS_MIN = 184
"""Six calendar months at their longest: whoever may ask for the log of half a year finds it."""
DAILY_BELOW_DAYS = 93
"""With a shorter ceiling a month's key would end most of its month much too early."""
_DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
# A class of content is never spelled out: its shelves are those of before there were classes.
SHELF = f"[0-9]{{4}}-[0-9]{{2}}(?:-[0-9]{{2}})?(?:/(?:{INPUT}|{REASON}|{QUERY}))?"
_SHELF = re.compile(SHELF)
_DAY_CHARS = len("2026-11-03")


class BadRetention(ValueError):
    """Ceilings that cannot be; says which and what is allowed."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Ceilings in days: of each class (None: kept), and of what pruning must leave."""

    days: Mapping[str, int | None] = field(
        default_factory=lambda: MappingProxyType(
            {CONTENT: 180, INPUT: 180, REASON: 2_555, QUERY: 365}
        )
    )
    leaves_days: int = 2_555


def parse(text: str) -> Retention:
    """Ceilings as auditd is given them: `content=180,reason=keep,leaves=2555`.

    What is not named has its default. Raises BadRetention.
    """
    default = Retention()
    days, leaves_days = dict(default.days), default.leaves_days
    seen: set[str] = set()
    for part in text.split(","):
        name, _, said = part.strip().partition("=")
        if name not in {*CLASSES, "leaves"} or name in seen:
            raise BadRetention(
                f"{part.strip()[:40]!r}: name each of {', '.join(CLASSES)} and leaves once, "
                "as name=days"
            )
        seen.add(name)
        if name == "leaves":
            leaves_days = _whole(name, said, LEAVES_DAYS_MIN, or_keep=False)
        else:
            days[name] = None if said == KEEP else _whole(name, said, DAYS_MIN, or_keep=True)
    return Retention(MappingProxyType(days), leaves_days)


def _whole(name: str, said: str, least: int, *, or_keep: bool) -> int:
    days = int(said) if said.isascii() and said.isdigit() and len(said) < 6 else -1  # noqa: PLR2004
    if not least <= days <= DAYS_MAX:
        other = f", or `{KEEP}` to keep it" if or_keep else ""
        raise BadRetention(f"{name}={said[:20]}: {least} to {DAYS_MAX} days{other}")
    return days


# -- classes and shelves


def class_of(kind: str, name: str) -> str:
    """The class of a payload of one type of event."""
    return TABLE.get((kind, name), CONTENT)


def shelf(which: str, seconds: int, *, daily: bool) -> str:
    """The shelf of a class for what began at a time (seconds since 1970, UTC)."""
    began = time.gmtime(seconds)
    epoch = f"{began.tm_year:04d}-{began.tm_mon:02d}"
    if daily:
        epoch += f"-{began.tm_mday:02d}"
    return epoch if which == CONTENT else f"{epoch}/{which}"


def class_on(where: str) -> str:
    """The class whose keys stand on a shelf."""
    return where.partition("/")[2] or CONTENT


def first_day(where: str) -> int | None:
    """The first day of a shelf's epoch, in days since 1970; None if it is no shelf of ours."""
    if not _SHELF.fullmatch(where):
        return None
    epoch = where.partition("/")[0]
    return day_from(epoch if len(epoch) == _DAY_CHARS else f"{epoch}-01")


def fits(where: str, kind: str, name: str, month: str, day: str) -> bool:
    """Whether a payload may stand on a shelf: of that month or day, and of its class.

    Ledgers of before have one key a month for all classes, the one of class content.
    """
    epoch, _, which = where.partition("/")
    return epoch in (month, day) and (not which or which == TABLE.get((kind, name)))


def day_of(us: int) -> int:
    """The day, in days since 1970, of a time in microseconds since 1970."""
    return us // 1_000_000 // _DAY_S


def day_text(day: int) -> str:
    """A day in days since 1970 as `2026-11-03`."""
    return date.fromordinal(day + _EPOCH).isoformat()


def day_from(text: str) -> int | None:
    """The day that `day_text` wrote; None for anything else."""
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return None

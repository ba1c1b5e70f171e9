"""Which leaves may go: whole segments from the oldest on, all of them older than what is kept.

A leaf is as old as the latest `ts` of it and all before it. Days are counted back not from the
clock, which somebody may have set, but from the 30th last day on which the ledger wrote: to make
leaves look old, the clock must be led through thirty days that all stand in the ledger. A segment
in which anything is under a legal hold stays, and so does all behind it.

It only reads, from any thread, what is durable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sekisho_audit.errors import Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.places import bodies, heads
from sekisho_audit.recover import State
from sekisho_audit.retention import LEAVES_DAYS_MIN, Retention
from sekisho_audit.rules import DAY_US
from sekisho_audit.scan import EVENTS, PAYLOADS, Segment, segments
from sekisho_audit.shelves import LegalHold

LEAVES_DAYS = Retention().leaves_days
CLOCK_DAYS = 30
"""On so many days must a ledger have written since the moment that days are counted from."""
_TIME = re.compile(rb'"ts":(-?[0-9]+),"type":"[a-z_.]+","v":1\}$')
_STORED = re.compile(rb'"ct":"([0-9a-f]{64})"')


def check_days(days: int) -> int:
    """How many days leaves are kept, if that is enough. Raises ValueError."""
    if days < LEAVES_DAYS_MIN:
        raise ValueError(f"leaves are kept for {LEAVES_DAYS_MIN} days at least, not {days}")
    return days


@dataclass(frozen=True, slots=True)
class Standing:
    """What the writer knows that bears on a plan, at one moment."""

    now_us: int
    holds: Mapping[str, LegalHold]
    first_live: int | None  # the oldest leaf of a held exchange that may still be answered


def standing(ledger: Ledger, now_us: int) -> Standing:
    """In the writer's thread. Raises Poisoned."""
    ledger.forget_old_holds()

    def first_live(state: State) -> int | None:
        return min((filed.leaf["n"] for filed in state.book.holds.values()), default=None)

    return Standing(now_us, dict(ledger.custody.holds), ledger.with_state(first_live))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pruning removes: leaves below `size`, payloads below ordinal `payloads`.

    `blocked`: the legal holds that keep the first segment which would have gone too.
    """

    size: int
    payloads: int
    days: int
    counted_us: int
    oldest_us: int
    newest_us: int
    segments: tuple[Segment, ...]
    payload_segments: tuple[Segment, ...]
    bytes: int
    holds: frozenset[str]
    blocked: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """For whoever decides."""
        return {
            "first": self.segments[0].first,
            "size": self.size,
            "segments": len(self.segments),
            "payload_segments": len(self.payload_segments),
            "bytes": self.bytes,
            "oldest_us": self.oldest_us,
            "newest_us": self.newest_us,
            "days": self.days,
            "counted_us": self.counted_us,
            "blocked": list(self.blocked),
        }


@dataclass(slots=True)
class _Look:
    """What was seen of the oldest segments."""

    newest_us: int = 0
    oldest_us: int = 2**63
    going: list[Segment] = field(default_factory=list)
    blocked: tuple[str, ...] = ()
    why: str = "the ledger has one segment of events, and that one stays"


def make_plan(ledger: Path, known: Standing, before_us: int, days: int) -> Plan:
    """The plan to remove leaves from before a moment. Raises Refused, BrokenSegment, OSError."""
    every = segments(ledger, EVENTS)
    counted_us = _counted_from(every, known.now_us)
    allowed_us = counted_us - check_days(days) * DAY_US
    if before_us > allowed_us:
        raise Refused(
            "too_young",
            f"leaves are kept for {days} days, counted back from {day(counted_us)} (the 30th last "
            f"day on which the ledger wrote): --before can be {day(allowed_us)} or earlier",
        )
    look = _look(every, known, before_us)
    if not look.going:
        code = "legal_hold" if look.blocked else "nothing_to_prune"
        raise Refused(code, look.why)
    staying = every[len(look.going) :]
    payloads = segments(ledger, PAYLOADS)
    first = _first_needed(staying, payloads)
    gone = tuple(one for one in payloads if one.first < first)
    return Plan(
        size=staying[0].first,
        payloads=first,
        days=days,
        counted_us=counted_us,
        oldest_us=look.oldest_us,
        newest_us=look.newest_us,
        segments=tuple(look.going),
        payload_segments=gone,
        bytes=sum(one.path.stat().st_size for one in (*look.going, *gone)),
        holds=frozenset(known.holds),
        blocked=look.blocked,
    )


def day(us: int) -> str:
    """A date as people write it."""
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d}"


def _times(segment: Segment) -> Iterator[tuple[int, bytes]]:
    for body in bodies(segment):
        found = _TIME.search(body)
        if found is None:
            raise Refused("busy", f"{segment.path.name} holds what is no event")
        yield int(found[1]), body


def _counted_from(every: Sequence[Segment], now_us: int) -> int:
    """The beginning of the earliest of the last days on which something was written."""
    days: dict[int, None] = {}
    last_us: int | None = None
    for segment in reversed(every):
        times = [ts for ts, _ in _times(segment)]
        if times and last_us is None:
            last_us = times[-1]
        for ts in reversed(times):
            days[ts // DAY_US] = None
            if len(days) == CLOCK_DAYS:
                break
        if len(days) == CLOCK_DAYS:
            break
    if last_us is None or now_us < last_us:
        raise Refused("clock", "the clock is earlier than the last leaf: set it right first")
    if len(days) < CLOCK_DAYS:
        raise Refused(
            "too_young",
            f"the ledger wrote on {len(days)} days; how old it is, is believed from "
            f"{CLOCK_DAYS} on: nothing can be pruned yet",
        )
    return min(*days, now_us // DAY_US) * DAY_US


def _look(every: Sequence[Segment], known: Standing, before_us: int) -> _Look:
    look = _Look()
    named = {name: (hold.exchange or hold.person).encode() for name, hold in known.holds.items()}
    for segment, following in pairwise(every):
        newest_us, oldest_us = look.newest_us, look.oldest_us
        held: set[str] = set()
        for ts, body in _times(segment):
            newest_us, oldest_us = max(newest_us, ts), min(oldest_us, ts)
            held.update(name for name, needle in named.items() if needle in body)
        span = f"the oldest segment that is left begins with event {segment.first}"
        if newest_us >= before_us:
            look.why = f"{span} and reaches to {day(newest_us)}: it is not old enough"
        elif held:
            look.blocked = tuple(sorted(held))
            look.why = f"{span} and is under legal hold: {', '.join(look.blocked)}"
        elif known.first_live is not None and known.first_live < following.first:
            look.why = f"{span}, and a held exchange in it may still be answered"
        else:
            look.newest_us, look.oldest_us = newest_us, oldest_us
            look.going.append(segment)
            continue
        break
    return look


def _first_needed(staying: Sequence[Segment], payloads: Sequence[Segment]) -> int:
    """The first payload of the segment in which the leaves that stay have their first one.

    The payloads of a batch stand behind those of all batches before it, and its leaves in one
    segment: so it is a payload of the first segment of leaves that has any.
    """
    if not payloads:
        return 0
    wanted: set[bytes] = set()
    for segment in staying:
        for body in bodies(segment):
            wanted.update(bytes.fromhex(one.decode()) for one in _STORED.findall(body))
        if wanted:
            break
    for segment in payloads if wanted else payloads[-1:]:
        if not wanted or any(digest in wanted for _, digest in heads(segment, PAYLOADS)):
            return segment.first
    raise Refused("busy", "a payload of a leaf is missing: run `sekisho-audit verify`")

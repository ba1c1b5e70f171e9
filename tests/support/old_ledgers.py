"""Ledgers of years, made in a second: a clock of their own, days further with each exchange."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sekisho_audit import pruning
from sekisho_audit.events import Payload
from sekisho_audit.ledger import Ledger, Limits
from sekisho_audit.prune_plan import Plan, make_plan, standing
from sekisho_audit.rules import DAY_US
from support.ledgers import ORIGIN, STAFF, run_exchange
from support.officers import in_office

BEGAN_US = 1_514_764_800 * 1_000_000  # 2018-01-01
SEGMENT_BYTES = 16_384
AUTHORITY = Payload("authority", b"schedule 7", b"schedule 7")


class Clock:
    """Microseconds that go on by themselves, and by days when told to."""

    def __init__(self, now_us: int = BEGAN_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        self.now_us += 1_000
        return self.now_us

    def days(self, count: float) -> None:
        """So many days pass."""
        self.now_us += int(count * DAY_US)


def after_days(count: float) -> int:
    """So many days after the first ledger here began."""
    return BEGAN_US + int(count * DAY_US)


def open_at(home: Path, clock: Callable[[], int], **limits: int) -> Ledger:
    """The ledger in `home`, as a writer with this clock opens it."""
    made = Limits(**{"segment_bytes": SEGMENT_BYTES, **limits})
    return Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN, limits=made, now_us=clock)


def live(ledger: Ledger, clock: Clock, days: int, *, step: float = 7) -> None:
    """An exchange on each of so many days, one in `step`."""
    ledger.open_session("s-1", 1)
    for number in range(days):
        run_exchange(ledger, "s-1", b"what was asked on day %d. " % number * 10)
        ledger.forget_old_holds()
        clock.days(step)
    ledger.write_checkpoint()


def old_ledger(home: Path, days: int = 100, *, clock: Clock | None = None) -> Path:
    """A ledger that was written for so many weeks, with an officer; stopped cleanly."""
    clock = clock or Clock()
    ledger = open_at(home, clock)
    live(ledger, clock, days)
    have_officer(ledger)
    ledger.close()
    return ledger.directory


def have_officer(ledger: Ledger) -> None:
    """STAFF may prune from now on."""
    if ledger.pseudonym_of(STAFF) not in ledger.custody.officers:
        in_office(ledger, STAFF)
        ledger.write_checkpoint()


def planned(ledger: Ledger, clock: Callable[[], int], before_us: int, days: int = 184) -> Plan:
    """What would go."""
    return make_plan(ledger.directory, standing(ledger, clock()), before_us, days)


def recorded(ledger: Ledger, clock: Clock, before_us: int, days: int = 184) -> Plan:
    """A pruning that is on record, and not yet done."""
    have_officer(ledger)
    plan = planned(ledger, clock, before_us, days)
    assert ledger.signed is not None
    prepared = pruning.prepare(ledger.directory, ledger.signed[0], plan)
    pruning.begin(ledger, prepared, (STAFF,), AUTHORITY)
    return plan


def prune(ledger: Ledger, clock: Clock, before_us: int, days: int = 184) -> Plan:
    """A whole pruning."""
    plan = recorded(ledger, clock, before_us, days)
    pruning.finish(ledger)
    return plan


def pruned_ledger(home: Path, days: int = 100, before: int = 150) -> Path:
    """A ledger that was pruned and went on; stopped cleanly."""
    clock = Clock()
    ledger = open_at(home, clock)
    live(ledger, clock, days)
    prune(ledger, clock, after_days(before))
    live(ledger, clock, 2)
    ledger.close()
    return ledger.directory

"""What may go: nothing that is young by any account, nothing that must be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.errors import Refused
from sekisho_audit.events import Event
from sekisho_audit.ids import uuid7
from sekisho_audit.prune_plan import CLOCK_DAYS, check_days, make_plan, standing
from sekisho_audit.rules import DAY_US
from sekisho_audit.standing import RuleBroken
from support.ledgers import STAFF, HeldExchange, run_exchange
from support.officers import in_office
from support.old_ledgers import AUTHORITY, Clock, after_days, live, open_at, planned, prune

OTHER = "officer-1@ledger.example"


def test_whole_segments_of_the_oldest_go(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    plan = planned(ledger, clock, after_days(150))
    assert plan.segments[0].first == 0
    assert plan.newest_us < after_days(150)
    assert plan.segments[-1].first < plan.size < ledger.size
    later = planned(ledger, clock, after_days(70))
    assert later.size < plan.size
    with pytest.raises(Refused, match="not old enough") as error:
        planned(ledger, clock, after_days(1))
    assert error.value.code == "nothing_to_prune"
    ledger.close()


def test_nobody_goes_below_half_a_year(memory_path: Path) -> None:
    """Neither by a setting nor by asking, and the ledger's own rules refuse it too."""
    assert check_days(184) == 184
    with pytest.raises(ValueError, match="184"):
        check_days(183)
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    with pytest.raises(Refused, match=r"can be 20[0-9-]+ or earlier") as error:
        planned(ledger, clock, clock.now_us - 184 * DAY_US)
    assert error.value.code == "too_young"
    with pytest.raises(ValueError, match="184"):
        make_plan(ledger.directory, standing(ledger, clock()), after_days(10), 183)
    in_office(ledger, STAFF)
    said = {
        "size": 10,
        "root": "00",
        "state": "00",
        "days": 184,
        "newest_us": clock.now_us - 184 * DAY_US,
        "counted_us": clock.now_us,
    }
    for wrong in (
        {"days": 183},
        {"newest_us": clock.now_us - 183 * DAY_US},
        {"counted_us": clock.now_us + DAY_US},
        {"size": 0},
        {"size": ledger.size + 1},
    ):
        with pytest.raises(Refused) as refused:
            ledger.record("audit.pruned", {**said, **wrong}, actor=STAFF, payloads=(AUTHORITY,))
        assert refused.value.code == "bad_pruning"
        assert isinstance(refused.value.__cause__, RuleBroken)
    ledger.close()


def test_a_clock_set_forward_makes_nothing_old(memory_path: Path) -> None:
    """Not for a day, nor for as many as are less than thirty."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 60, step=1)
    clock.days(4_000)
    for _ in range(CLOCK_DAYS - 1):
        with pytest.raises(Refused, match="kept for 184 days") as error:
            planned(ledger, clock, after_days(60))
        assert error.value.code == "too_young"
        run_exchange(ledger, "s-1")
        clock.days(1)
    ledger.close()


def test_a_clock_set_back_is_refused(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    clock.days(-100)
    with pytest.raises(Refused, match="set it right"):
        planned(ledger, clock, after_days(150))
    ledger.close()


def test_a_ledger_of_a_few_days_is_believed_nothing(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, CLOCK_DAYS - 2, step=100)
    with pytest.raises(Refused, match=r"wrote on \d+ days"):
        planned(ledger, clock, after_days(150))
    ledger.close()


def test_a_leaf_is_as_old_as_the_latest_before_it(memory_path: Path) -> None:
    """A clock that stood in the future for a moment makes all that follows young."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    ledger.open_session("s-1", 1)
    clock.days(300)
    run_exchange(ledger, "s-1")
    clock.days(-300)
    live(ledger, clock, 100)
    with pytest.raises(Refused, match="not old enough"):
        planned(ledger, clock, after_days(250))
    assert planned(ledger, clock, after_days(305)).newest_us >= after_days(300)
    ledger.close()


@pytest.mark.parametrize("whole", [True, False])
def test_a_legal_hold_keeps_its_segment_and_all_behind(memory_path: Path, whole: bool) -> None:
    """Of a person: every leaf that names them; of an exchange: every leaf of it."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    ledger.open_session("s-1", 1)
    held = ""
    for number in range(100):
        if number == 10:
            held = run_exchange(ledger, "s-1").exchange or ""
        elif not whole:
            run_exchange(ledger, "s-1")
        ledger.record_all([_filler() for _ in range(20)])
        clock.days(7)
    ledger.write_checkpoint()
    free = planned(ledger, clock, after_days(150))
    hold = Event(
        *(uuid7(), "legal_hold.set", None if whole else held, None, {"person": STAFF}),
        actor=OTHER,
        payloads=(AUTHORITY,),
    )
    in_office(ledger, OTHER)
    ledger.record_all([hold])
    ledger.write_checkpoint()
    plan = prune(ledger, clock, after_days(150))
    assert plan.blocked == (hold.id,)
    assert 0 < plan.size < free.size
    with pytest.raises(Refused, match=hold.id) as error:
        planned(ledger, clock, after_days(150))
    assert error.value.code == "legal_hold"
    said = {"hold": hold.id}
    ledger.record("legal_hold.released", said, actor=OTHER, payloads=(AUTHORITY,))
    assert planned(ledger, clock, after_days(150)).size == free.size
    ledger.close()


def _filler() -> Event:
    return Event(uuid7(), "officer.paired", None, None, {"duties": []})


def test_a_held_exchange_that_waits_stays(memory_path: Path) -> None:
    """Its content is needed as long as it may be answered."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    ledger.open_session("s-1", 1)
    held = HeldExchange(expires_us=clock.now_us + 1_000 * DAY_US)
    ledger.append_batch(held.filing())
    live(ledger, clock, 100)
    with pytest.raises(Refused, match="may still be answered"):
        planned(ledger, clock, after_days(150))
    clock.days(1_000)
    live(ledger, clock, 40, step=1)
    assert planned(ledger, clock, after_days(150)).size > 10
    ledger.close()

"""What is over cannot be opened any more: after a crash at any step, a new ceiling, old keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import retention_run
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ids import uuid7
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.retention import Retention, parse
from sekisho_audit.retention_run import RESTART, Run
from sekisho_audit.verify import verify
from support.clocks import Clock, ledger_at
from support.ledgers import CANARY, STAFF, HeldExchange, decision, intent, outcome, received
from support.officers import in_office
from support.raw_reading import leaves

OFFICER = "officer-1@ledger.example"
OTHER = "staff-8@ledger.example"
AUTHORITY = (Payload("authority", b"court order", b"court order"),)
QUERY = (Payload("query", b"canary", b"canary"),)


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-11-10")


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    made = ledger_at(tmp_path, clock)
    made.open_session("s-1", 1)
    in_office(made, OFFICER)
    yield made
    made.close()
    assert verify(made.directory).verdict is Verdict.SOUND


def exchanged(ledger: Ledger, clock: Clock, principal: str = STAFF) -> str:
    """A whole exchange of somebody, with content of the classes content and input."""
    exchange = clock.exchange()
    facts = (Payload("input", b'{"facts":1}', b'{"facts":1}'),)
    decided = decision(exchange)
    events = [
        received(exchange, CANARY, principal),
        Event(decided.id, decided.type, exchange, principal, decided.data, payloads=facts),
    ]
    sent = intent(exchange, "s-1")
    ledger.append_batch([*events, Event(**{**_fields(sent), "principal": principal})])
    ledger.append_batch([Event(**{**_fields(outcome(sent)), "principal": principal})])
    return exchange


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in Event.__slots__}


def reviewed(ledger: Ledger, clock: Clock) -> HeldExchange:
    """A held exchange with a review and its reason."""
    held = HeldExchange(exchange=clock.exchange())
    ledger.append_batch(held.filing())
    review = held.review()
    ledger.append_batch([review, held.settled([review])])
    return held


def searched(ledger: Ledger, clock: Clock) -> None:
    data = {"kind": "page", "found": 1, "indexed": 1}
    ledger.record_all(
        [Event(uuid7(clock.us // 1000), "audit.search", None, None, data, OFFICER, QUERY)]
    )


def shelves(ledger: Ledger, principal: str = STAFF) -> set[str]:
    return set(ledger.with_keys(lambda ring: ring.keys_of(principal)))


def ran(ledger: Ledger, clock: Clock, ceilings: str = "content=180") -> Mapping[str, Any] | None:
    """A whole run; returns the rows of its last event by class."""
    run = retention_run.begin(ledger, parse(ceilings), clock())
    if run is None:
        return None
    ended = retention_run.destroy(ledger, run)
    retention_run.finish(ledger, run, ended, texts=0)
    return {row["class"]: row for row in leaves(ledger.directory)[-1]["data"]["classes"]}


def test_each_class_ends_at_its_time(ledger: Ledger, clock: Clock) -> None:
    """First what was said, a year later the search, after seven years the reason."""
    exchanged(ledger, clock)
    reviewed(ledger, clock)
    searched(ledger, clock)
    assert shelves(ledger) == {"2026-11", "2026-11/input", "2026-11/reason"}
    assert shelves(ledger, OFFICER) == {"2026-11/query"}
    clock.set("2027-04-29T23:59:59")
    assert ran(ledger, clock) is None
    clock.set("2027-04-30T00:00:00")  # 180 days after the first of November
    rows = ran(ledger, clock)
    assert rows is not None
    assert (rows["content"]["keys"], rows["input"]["keys"], rows["reason"]["keys"]) == (1, 1, 0)
    assert (rows["content"]["days"], rows["content"]["up_to"]) == (180, "2026-11-01")
    assert shelves(ledger) == {"2026-11/reason"}
    clock.set("2027-11-01")
    ran(ledger, clock)
    assert (shelves(ledger), shelves(ledger, OFFICER)) == ({"2026-11/reason"}, set())
    clock.set("2033-10-30")
    ran(ledger, clock)
    assert shelves(ledger) == set()
    assert ledger.pseudonym_of(STAFF) is not None


def test_nothing_is_kept_longer_than_its_ceiling(ledger: Ledger, clock: Clock) -> None:
    """The youngest of a month ends up to a month early, the oldest on the day."""
    first, last = Clock("2026-11-01T00:00:00"), Clock("2026-11-30T23:59:59")
    exchanged(ledger, first)
    exchanged(ledger, last)
    clock.set("2027-04-30T00:00:00")
    ran(ledger, clock)
    assert shelves(ledger) == set()
    assert clock.us - first.us == 180 * 86_400 * 1_000_000


def test_a_run_without_anything_to_do_says_nothing(ledger: Ledger, clock: Clock) -> None:
    """Neither keys nor new ceilings: no event every day."""
    exchanged(ledger, clock)
    size = ledger.size
    assert ran(ledger, clock) is None
    assert ledger.size == size


def test_a_new_ceiling_is_on_record_and_short_ones_have_days(ledger: Ledger, clock: Clock) -> None:
    """From then on a day is an epoch; what began before keeps its shelf, also under way."""
    before = HeldExchange(exchange=clock.exchange())
    ledger.append_batch(before.filing())
    clock.us += 1_000_000
    assert ran(ledger, clock, "content=30,query=keep") is not None
    begun = leaves(ledger.directory)[-2]["data"]["classes"]
    assert [(row["class"], row["days"]) for row in begun] == [
        *(("content", 30), ("input", 180), ("reason", 2_555), ("query", "keep"))
    ]
    assert "up_to" not in begun[-1]
    assert ran(ledger, clock, "content=30,query=keep") is None
    clock.us += 1_000_000
    exchanged(ledger, clock)
    assert shelves(ledger) == {"2026-11", "2026-11-10", "2026-11/input"}
    review = before.review()
    ledger.append_batch([review, before.settled([review])])
    # Its bytes are compared with what was filed: that needs one key for both.
    ledger.append_batch([before.intent("s-1")])
    assert ledger.exchange_keys(STAFF, before.exchange)
    assert shelves(ledger) == {"2026-11", "2026-11-10", "2026-11/input", "2026-11/reason"}
    clock.set("2026-12-10T00:00:00")
    ran(ledger, clock, "content=30,query=keep")
    assert shelves(ledger) == {"2026-11/input", "2026-11/reason"}
    ran(ledger, clock, "content=180,query=keep")
    clock.us += 1_000_000
    exchanged(ledger, clock)
    assert "2026-12" in shelves(ledger)


def test_ceilings_are_known_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    """From the ledger, not from the settings: shelves stay what they were."""
    ledger = ledger_at(tmp_path, clock)
    ledger.open_session("s-1", 1)
    ran(ledger, clock, "content=30")
    clock.us += 2_000_000
    sent = exchanged(ledger, clock)
    ledger.close()
    again = ledger_at(tmp_path, clock)
    assert again.custody.shelves.days == {**Retention().days, "content": 30}
    assert again.custody.shelves.begun is None
    assert again.custody.shelves.ended == ledger.custody.shelves.ended
    again.append_batch([received(sent)])
    assert shelves(again) == {"2026-11-10", "2026-11/input"}
    again.close()


@pytest.mark.parametrize("whole", [True, False])
def test_a_legal_hold_beats_retention(ledger: Ledger, clock: Clock, whole: bool) -> None:
    """Everything of a person, or the epoch of one exchange; the rest ends, and then that too."""
    old = exchanged(ledger, clock)
    exchanged(ledger, clock, OTHER)
    clock.set("2026-12-10")
    exchanged(ledger, clock)
    held = Event(
        uuid7(),
        "legal_hold.set",
        None if whole else old,
        None,
        {"person": STAFF},
        OFFICER,
        AUTHORITY,
    )
    ledger.record_all([held])
    clock.set("2027-12-10")
    rows = ran(ledger, clock)
    assert rows is not None
    kept = {"2026-11", "2026-11/input"} | ({"2026-12", "2026-12/input"} if whole else set())
    assert (shelves(ledger), shelves(ledger, OTHER)) == (kept, set())
    assert rows["content"]["held"] == rows["input"]["held"] == (2 if whole else 1)
    freed = Event(uuid7(), "legal_hold.released", None, None, {"hold": held.id}, OFFICER, AUTHORITY)
    ledger.record_all([freed])
    # Another hand has made the ceiling longer meanwhile: what was held is judged by that.
    assert ran(ledger, clock, "content=36500,input=180") is not None
    assert {shelf for shelf in shelves(ledger) if "/" not in shelf} == {
        shelf for shelf in kept if "/" not in shelf
    }
    ran(ledger, clock)
    assert shelves(ledger) == set()


def test_a_hold_that_comes_between_the_steps_still_holds(ledger: Ledger, clock: Clock) -> None:
    """Begun is not done: what is held at the moment of destroying stays."""
    exchanged(ledger, clock)
    exchanged(ledger, clock, OTHER)
    clock.set("2027-12-10")
    run = retention_run.begin(ledger, Retention(), clock())
    assert run is not None
    data = {"person": STAFF}
    ledger.record_all([Event(uuid7(), "legal_hold.set", None, None, data, OFFICER, AUTHORITY)])
    ended = retention_run.destroy(ledger, run)
    retention_run.finish(ledger, run, ended, texts=0)
    assert shelves(ledger) == {"2026-11", "2026-11/input"}
    assert ended.people == (OTHER,)
    row = leaves(ledger.directory)[-1]["data"]["classes"][0]
    assert (row["class"], row["keys"], row["held"]) == ("content", 1, 1)


def begun(ledger: Ledger, clock: Clock) -> Run:
    run = retention_run.begin(ledger, Retention(), clock())
    assert run is not None
    return run


def destroyed(ledger: Ledger, clock: Clock) -> Run:
    run = begun(ledger, clock)
    retention_run.destroy(ledger, run)
    return run


@pytest.mark.parametrize(("until", "left"), [(begun, 2), (destroyed, 0)])
def test_a_crash_leaves_a_duty(
    tmp_path: Path, clock: Clock, until: Callable[[Ledger, Clock], Run], left: int
) -> None:
    """The next start finishes what was begun, though a longer ceiling is set by then."""
    ledger = ledger_at(tmp_path, clock)
    ledger.open_session("s-1", 1)
    exchanged(ledger, clock)
    clock.set("2027-12-10")
    run = until(ledger, clock)
    ledger.close()
    again = ledger_at(tmp_path, clock)
    [found] = retention_run.unfinished(again)
    assert (found.begun, found.over, found.cause) == (run.begun, run.over, RESTART)
    ended = retention_run.destroy(again, found)
    assert len(ended.due.keys) == left
    retention_run.finish(again, found, ended, texts=0)
    assert list(retention_run.unfinished(again)) == []
    assert leaves(again.directory)[-1]["data"]["cause"] == RESTART
    assert shelves(again) == set()
    assert ran(again, clock, "content=3650,input=3650") is not None
    again.close()
    assert verify(again.directory).verdict is Verdict.SOUND


def test_a_longer_ceiling_and_old_keys_bring_nothing_back(tmp_path: Path, clock: Clock) -> None:
    """The directory of keys is restored from before the run; the ledger remembers."""
    ledger = ledger_at(tmp_path, clock)
    ledger.open_session("s-1", 1)
    exchanged(ledger, clock)
    path = tmp_path / "keys" / "principals.keys"
    before = path.read_bytes()
    clock.set("2027-12-10")
    ran(ledger, clock)
    ledger.close()
    path.write_bytes(before)
    again = ledger_at(tmp_path, clock)
    assert shelves(again) == {"2026-11", "2026-11/input"}
    rows = ran(again, clock, "content=3650,input=keep")
    assert rows is not None
    assert (rows["content"]["keys"], rows["input"]["keys"]) == (1, 1)
    assert shelves(again) == set()
    again.close()


def test_what_comes_late_makes_no_key(ledger: Ledger, clock: Clock) -> None:
    """Content of a time that is over is committed to and not stored; a repeated append is known."""
    exchange = clock.exchange()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    first = received(exchange)
    [before] = ledger.append_batch([first])
    clock.set("2027-12-10")
    ran(ledger, clock)
    late = outcome(sent)
    [place] = ledger.append_batch([late])
    [again] = ledger.append_batch([late])
    assert (again.index, again.duplicate) == (place.index, True)
    [known] = ledger.append_batch([first])
    assert (known.index, known.duplicate) == (before.index, True)
    [entry] = leaves(ledger.directory)[place.index]["pl"]
    assert sorted(entry) == ["commit", "kref", "len", "name"]
    assert entry["kref"] == f"{ledger.pseudonym_of(STAFF)}/2026-11"
    with pytest.raises(Refused) as error:
        ledger.exchange_keys(STAFF, exchange)
    assert error.value.code == "erased"
    assert shelves(ledger) == set()


def test_a_ledger_of_before_ends_as_content(ledger: Ledger, clock: Clock) -> None:
    """One key a month for everything: it goes with class content, not with a longer one."""
    ledger.with_keys(lambda ring: ring.key(STAFF, "2026-01"))
    ledger.with_keys(lambda ring: ring.key(STAFF, "strange"))
    clock.set("2026-06-30T00:00:00")
    rows = ran(ledger, clock)
    assert rows is not None
    assert rows["content"]["keys"] == 1
    assert shelves(ledger) == {"strange"}


def test_officers_who_ask_are_named(ledger: Ledger, clock: Clock) -> None:
    """One or two; a run by itself names nobody."""
    in_office(ledger, OTHER)
    exchanged(ledger, clock)
    clock.set("2027-12-10")
    retention_run.begin(ledger, Retention(), clock(), (OFFICER, OTHER))
    begun = leaves(ledger.directory)[-1]
    assert begun["actor"] == ledger.pseudonym_of(OFFICER)
    assert begun["data"]["second"] == ledger.pseudonym_of(OTHER)

"""Acts of officers against what the ledger says about them: who had which duty, and two of them."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.ids import uuid7
from sekisho_audit.officer_rules import DUTY_OF, OFFICER_EVENTS
from sekisho_audit.officers import DUTIES
from sekisho_audit.rules import DAY_US
from sekisho_audit.standing import RuleBroken
from support.scribe import Scribe, broken, opened, state

ONE, TWO, PERSON = "p-officer-1", "p-officer-2", "p-person"
NOW_US = 1_900_000_000_000_000
EARLIER, LATER = uuid7(NOW_US // 1000 - 1), uuid7(NOW_US // 1000 + 1)
ACTS: dict[str, dict[str, Any]] = {
    "audit.disclosed": {"first": 0, "last": 1, "payloads": 1, "exchanges": 1, "keys": False},
    "audit.export": {"format": "csv", "found": 1, "events": 1, "size": 2, "root": "0"},
    "erasure.begun": {"person": PERSON, "keys": 1, "holds": 0},
    "legal_hold.set": {"person": PERSON},
    "legal_hold.released": {"hold": "the-hold"},
    "audit.pruned": {
        "size": 1,
        "root": "0",
        "state": "0",
        "days": 184,
        "counted_us": NOW_US,
        "newest_us": NOW_US - 184 * DAY_US,
    },
}


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def act(scribe: Scribe, kind: str, actor: str = ONE, **data: Any) -> dict[str, Any]:
    """An officer acts."""
    leaf = scribe.leaf(kind, **data)
    leaf.update(principal=None, actor=actor, ts=NOW_US)
    scribe.take(leaf)
    return leaf


def refused(scribe: Scribe, kind: str, actor: str = ONE, **data: Any) -> str:
    """The code of the refusal; the book is as before."""
    before = state(scribe.book)
    with pytest.raises(RuleBroken) as caught:
        act(scribe, kind, actor, **data)
    scribe.book.roll_back()
    assert state(scribe.book) == before
    return caught.value.code


def appoint(scribe: Scribe, name: str, *duties: str, removed: bool = False) -> None:
    leaf = scribe.leaf("officer.changed", credential="c", duties=list(duties), removed=removed)
    scribe.take({**leaf, "principal": name})


def held(scribe: Scribe, name: str = "the-hold", person: str = PERSON) -> None:
    leaf = scribe.leaf("legal_hold.set", person=person)
    scribe.take({**leaf, "id": name, "principal": None, "actor": ONE})


@pytest.fixture
def office(scribe: Scribe) -> Scribe:
    """One officer with all duties."""
    appoint(scribe, ONE, *DUTIES)
    return scribe


# -- duties


@pytest.mark.parametrize("kind", DUTY_OF)
def test_an_act_needs_its_duty_at_that_time(scribe: Scribe, kind: str) -> None:
    """Not another, not one that was taken away, not one that comes later; both of two have it."""
    data, duty = ACTS[kind], DUTY_OF[kind]
    appoint(scribe, ONE, *DUTIES)
    held(scribe)
    if kind == "erasure.begun":
        data = {**data, "person": "p-other"}
    others = [one for one in DUTIES if one != duty]
    appoint(scribe, ONE, *others)
    assert refused(scribe, kind, **data) == "no_duty"
    appoint(scribe, ONE, removed=True)
    assert refused(scribe, kind, **data) == "no_duty"
    assert refused(scribe, kind, TWO, **data) == "no_duty"
    appoint(scribe, ONE, duty)
    assert refused(scribe, kind, second=TWO, **data) == "no_duty"
    appoint(scribe, TWO, *others)
    assert refused(scribe, kind, second=TWO, **data) == "no_duty"
    act(scribe, kind, **data)


@pytest.mark.parametrize("kind", DUTY_OF)
def test_two_are_two_where_two_were_asked_for(scribe: Scribe, kind: str) -> None:
    """One alone does nothing; the same one twice is one."""
    data, duty = ACTS[kind], DUTY_OF[kind]
    appoint(scribe, ONE, *DUTIES)
    held(scribe)
    if kind == "erasure.begun":
        data = {**data, "person": "p-other"}
    scribe.write("officer.paired", duties=[duty])
    assert refused(scribe, kind, **data) == "one_officer"
    assert refused(scribe, kind, second=ONE, **data) == "one_officer"
    appoint(scribe, TWO, duty)
    act(scribe, kind, second=TWO, **data)


def test_what_takes_two_changes_with_the_record(office: Scribe) -> None:
    office.write("officer.paired", duties=["legal_hold"])
    act(office, "audit.export", **ACTS["audit.export"])
    office.write("officer.paired", duties=[])
    act(office, "legal_hold.set", person=PERSON)


def test_duties_of_who_left_office_count_no_more(scribe: Scribe) -> None:
    """Whatever the record of it still names."""
    appoint(scribe, ONE, *DUTIES)
    appoint(scribe, ONE, *DUTIES, removed=True)
    assert refused(scribe, "audit.export", **ACTS["audit.export"]) == "no_duty"


def test_what_takes_two_stands_under_one_name_for_ever(scribe: Scribe) -> None:
    """What is left of a pruned ledger has it."""
    scribe.write("officer.paired", duties=["erase"])
    assert scribe.book.officers.pairs == {"two": ("erase",)}


def test_an_office_is_somebodys(scribe: Scribe) -> None:
    leaf = scribe.leaf("officer.changed", credential="c", duties=["erase"], removed=False)
    with pytest.raises(RuleBroken) as caught:
        scribe.take({**leaf, "principal": None})
    assert caught.value.code == "no_officer"


def test_every_type_has_its_rule() -> None:
    """That of a pruning is in `rules.py`, which asks for the duty here."""
    assert set(DUTY_OF) - {"audit.pruned"} < set(OFFICER_EVENTS)
    assert set(DUTY_OF.values()) < set(DUTIES)


# -- what is given away


@pytest.mark.parametrize(("first", "last"), [(0, 3), (2, 1), (-1, 0), (4, 4)])
def test_nothing_is_disclosed_that_is_not_there_yet(office: Scribe, first: int, last: int) -> None:
    data = {**ACTS["audit.disclosed"], "first": first, "last": last}
    assert refused(office, "audit.disclosed", **data) == "unknown_event"
    act(office, "audit.disclosed", **{**data, "first": 1, "last": office.index - 1})
    act(office, "audit.disclosed", **{**data, "first": 1, "last": 1})


@pytest.mark.parametrize("size", [-1, 4, 100])
def test_nothing_is_exported_that_is_not_there_yet(office: Scribe, size: int) -> None:
    data = {**ACTS["audit.export"], "size": size}
    assert refused(office, "audit.export", **data) == "unknown_event"
    act(office, "audit.export", **{**data, "size": office.index})
    act(office, "audit.export", **{**data, "size": 0})


# -- legal holds


def test_a_release_names_a_hold_that_is_set(office: Scribe) -> None:
    """Once, and not by another name."""
    held(office)
    assert refused(office, "legal_hold.released", hold="another") == "unknown_hold"
    act(office, "legal_hold.released", hold="the-hold")
    assert refused(office, "legal_hold.released", hold="the-hold") == "unknown_hold"


def test_a_legal_hold_beats_an_erasure(office: Scribe) -> None:
    """Until the last one is released; another's does not."""
    held(office, "one")
    held(office, "two")
    held(office, "third", "p-other")
    data = ACTS["erasure.begun"]
    for name in ("one", "two"):
        assert refused(office, "erasure.begun", **data) == "legal_hold"
        act(office, "legal_hold.released", hold=name)
    act(office, "erasure.begun", **data)


def test_a_hold_comes_too_late_for_who_is_erased(office: Scribe) -> None:
    """What is begun is finished."""
    begun = act(office, "erasure.begun", **ACTS["erasure.begun"])
    assert refused(office, "legal_hold.set", person=PERSON) == "erased"
    office.write("erasure.done", begun=begun["id"], keys=1, rows=0)
    assert refused(office, "legal_hold.set", person=PERSON) == "erased"
    act(office, "legal_hold.set", person="p-other")


# -- erasures


def test_done_names_what_was_begun_and_is_not_done(office: Scribe) -> None:
    """A second time only because old keys came back."""
    done = {"keys": 1, "rows": 0}
    assert broken(office, "erasure.done", begun="nothing", **done) == "unknown_erasure"
    begun = act(office, "erasure.begun", **ACTS["erasure.begun"])
    other = act(office, "erasure.begun", **{**ACTS["erasure.begun"], "person": "p-other"})
    office.write("erasure.done", begun=begun["id"], **done)
    assert broken(office, "erasure.done", begun=begun["id"], **done) == "erasure_done"
    restart = {**done, "cause": "restart"}
    assert broken(office, "erasure.done", begun=begun["id"], **restart) == "erasure_done"
    office.write("erasure.done", begun=begun["id"], **done, cause="restored")
    office.write("erasure.done", begun=other["id"], **restart)


def test_nobody_is_erased_twice_at_once(office: Scribe) -> None:
    """Again after it was done: old keys had come back."""
    data = ACTS["erasure.begun"]
    begun = act(office, "erasure.begun", **data)
    assert refused(office, "erasure.begun", **data) == "erasure_open"
    office.write("erasure.done", begun=begun["id"], keys=1, rows=0)
    again = act(office, "erasure.begun", **data)
    assert broken(office, "erasure.done", begun=begun["id"], keys=0, rows=0) == "erasure_done"
    office.write("erasure.done", begun=again["id"], keys=1, rows=0)


def test_nobody_in_office_is_erased(office: Scribe) -> None:
    """Themselves neither."""
    appoint(office, PERSON, "search")
    assert refused(office, "erasure.begun", **ACTS["erasure.begun"]) == "still_officer"
    assert refused(office, "erasure.begun", person=ONE, keys=1, holds=0) == "still_officer"
    appoint(office, PERSON, removed=True)
    act(office, "erasure.begun", **ACTS["erasure.begun"])


@pytest.mark.parametrize("kind", ["request.received", "hold.delivered", "outcome.late", "x.new"])
def test_whoever_was_erased_is_named_no_more_by_what_was_before(office: Scribe, kind: str) -> None:
    """Whatever the event; a new exchange is another matter, and so is that of another."""

    def code(exchange: str, principal: str) -> str:
        with pytest.raises(RuleBroken) as caught:
            office.take({**office.leaf(kind, exchange), "principal": principal})
        office.book.roll_back()
        return caught.value.code

    office.take({**office.leaf("request.received", EARLIER), "principal": PERSON})
    act(office, "erasure.begun", **ACTS["erasure.begun"])
    assert code(EARLIER, PERSON) == "erased_name"
    assert code(uuid7(NOW_US // 1000), PERSON) == "erased_name"
    assert code("no uuid", PERSON) == "erased_name"
    for exchange, principal in ((EARLIER, "p-other"), (EARLIER, None), (LATER, PERSON)):
        office.take({**office.leaf("request.received", exchange), "principal": principal})
    office.take({**office.leaf("key.created", None), "principal": PERSON})


# -- retention


def run_begun(scribe: Scribe, actor: str | None = None, **data: Any) -> str:
    """A run of retention that is on record; returns its name."""
    leaf = scribe.leaf("retention.begun", classes=[], **data)
    scribe.take({**leaf, "principal": None, "actor": actor})
    return str(leaf["id"])


def run_refused(scribe: Scribe, kind: str, actor: str | None = None, **data: Any) -> str:
    before = state(scribe.book)
    leaf = scribe.leaf(kind, classes=[], **data)
    with pytest.raises(RuleBroken) as caught:
        scribe.take({**leaf, "principal": None, "actor": actor})
    scribe.book.roll_back()
    assert state(scribe.book) == before
    return caught.value.code


def test_a_retention_is_done_once_and_was_begun(scribe: Scribe) -> None:
    """Runs follow one another; each is named by its end, and none is done that never began."""
    assert run_refused(scribe, "retention.applied", begun="e-0", texts=0) == "unknown_retention"
    for _ in range(2):
        begun = run_begun(scribe)
        assert run_refused(scribe, "retention.begun") == "retention_open"
        assert run_refused(scribe, "retention.applied", begun="e-0", texts=0) == "unknown_retention"
        scribe.write("retention.applied", begun=begun, classes=[], texts=0)
        again = run_refused(scribe, "retention.applied", begun=begun, texts=0)
        assert again == "unknown_retention"


def test_a_retention_that_somebody_asked_for_is_an_officers(scribe: Scribe) -> None:
    """By itself it needs nobody."""
    assert run_refused(scribe, "retention.begun", ONE) == "no_duty"
    appoint(scribe, ONE, "retention")
    appoint(scribe, TWO, "export")
    assert run_refused(scribe, "retention.begun", ONE, second=TWO) == "no_duty"
    begun = run_begun(scribe, ONE)
    scribe.write("retention.applied", begun=begun, classes=[], texts=0)
    scribe.write("officer.paired", duties=["retention"])
    assert run_refused(scribe, "retention.begun", ONE) == "one_officer"
    run_begun(scribe)

"""Whoever is erased is gone for good: after a crash at any step, and when old keys come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import erasure
from sekisho_audit.erasure import RESTART, RESTORED, Erasure
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.keyring import SYSTEM
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_desk import changes
from sekisho_audit.officers import Officer, Roll
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support.ledgers import (
    CANARY,
    REVIEWER,
    STAFF,
    HeldExchange,
    decision,
    intent,
    open_ledger,
    outcome,
    received,
    run_exchange,
    run_held_exchange,
)
from support.officers import OFFICER, in_office
from support.raw_reading import leaves

WHY = (Payload("purpose", b"they left", b"they left"), Payload("ticket", b"T-1", b"T-1"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(tmp_path)
    made.open_session("s-1", 1)
    run_exchange(made, "s-1")
    yield made
    made.close()
    assert verify(made.directory).verdict is Verdict.SOUND


def begun(ledger: Ledger, principal: str = STAFF) -> Erasure:
    if ledger.pseudonym_of(OFFICER) is None:
        in_office(ledger, OFFICER)
    return erasure.begin(ledger, principal, (OFFICER,), WHY)


def erased(ledger: Ledger, principal: str = STAFF) -> Erasure:
    one = begun(ledger, principal)
    keys = erasure.destroy(ledger, one)
    erasure.finish(ledger, one, keys=len(keys), rows=0)
    return one


def test_keys_and_pseudonym_are_gone(ledger: Ledger, tmp_path: Path) -> None:
    """From memory and from the disk; the tree still verifies and says by whom and how much."""
    person = ledger.pseudonym_of(STAFF)
    month = next(leaf["pl"][0]["kref"] for leaf in leaves(ledger.directory) if leaf["pl"]).split(
        "/"
    )[1]
    key = ledger.secret_of(str(person), month)
    assert key is not None
    one = begun(ledger)
    assert erasure.destroy(ledger, one) == {month: key}
    assert erasure.destroy(ledger, one) == {}
    erasure.finish(ledger, one, keys=1, rows=0)
    assert ledger.pseudonym_of(STAFF) is None
    assert ledger.principal_of(str(person)) is None
    assert ledger.secret_of(str(person), month) is None
    began, done = leaves(ledger.directory)[-2:]
    assert (began["data"]["person"], began["data"]["keys"]) == (person, 1)
    assert (began["principal"], began["actor"]) == (None, ledger.pseudonym_of(OFFICER))
    assert (done["data"]["begun"], done["data"]["keys"]) == (began["id"], 1)
    assert list(erasure.unfinished(ledger)) == []


def test_the_reasons_of_an_erasure_outlive_it(ledger: Ledger) -> None:
    """They are the officer's words, under the officer's key."""
    erased(ledger)
    began = leaves(ledger.directory)[-2]
    owner, _, shelf = began["pl"][0]["kref"].partition("/")
    assert owner == ledger.pseudonym_of(OFFICER)
    assert ledger.secret_of(owner, shelf) is not None


def refused(ledger: Ledger, principal: str) -> str:
    in_office(ledger, OFFICER)
    size = ledger.size
    with pytest.raises(Refused) as error:
        begun(ledger, principal)
    assert ledger.size == size
    return error.value.code


def test_nobody_is_not_erased(ledger: Ledger) -> None:
    """A slip in a name is told; the ledger's own content is nobody's to erase."""
    assert refused(ledger, "nobody") == "not_found"
    assert refused(ledger, SYSTEM) == "not_found"
    ledger.record_all([Event(uuid7(), "principal.changed", None, SYSTEM, {})])
    assert refused(ledger, SYSTEM) == "not_found"


def test_an_officer_in_office_is_not_erased(ledger: Ledger) -> None:
    other = Officer("0" * 64, ("erase",))
    ledger.record_all(changes(ledger, Roll({STAFF: other, OFFICER: other})))
    assert refused(ledger, STAFF) == "still_officer"
    ledger.record_all(changes(ledger, Roll({OFFICER: other})))
    erased(ledger)


@pytest.mark.parametrize("exchange", [None, "01890000-0000-7000-8000-000000000000"])
def test_a_legal_hold_beats_erasure(ledger: Ledger, exchange: str | None) -> None:
    """Of a person, and of any exchange of theirs; a released one does not, nor another's."""
    in_office(ledger, OFFICER)
    authority = (Payload("authority", b"court", b"court"),)
    held = Event(uuid7(), "legal_hold.set", exchange, None, {"person": STAFF}, OFFICER, authority)
    other = Event(uuid7(), "legal_hold.set", None, None, {"person": "other"}, OFFICER, authority)
    ledger.record_all([held, other])
    assert refused(ledger, STAFF) == "legal_hold"
    freed = Event(uuid7(), "legal_hold.released", None, None, {"hold": held.id}, OFFICER, authority)
    ledger.record_all([freed])
    erased(ledger)


def test_open_holds_are_withdrawn_first(ledger: Ledger) -> None:
    """Nobody approves, and nothing sends, what somebody asked who is gone."""
    waiting, approved, done = HeldExchange(), HeldExchange(), run_held_exchange(ledger, "s-1")
    ledger.append_batch(waiting.filing())
    ledger.append_batch(approved.filing())
    review = approved.review()
    ledger.append_batch([review, approved.settled([review])])
    erased(ledger)
    settled = [leaf for leaf in leaves(ledger.directory) if leaf["data"].get("cause") == "erased"]
    assert [leaf["data"]["hold"] for leaf in settled] == [waiting.hold]
    assert {leaf["data"]["state"] for leaf in settled} == {"withdrawn"}
    with pytest.raises(Refused) as error:
        ledger.append_batch([waiting.review()])
    assert error.value.code == "hold_settled"
    for held in (waiting, approved, done):
        with pytest.raises(Refused) as error:
            ledger.append_batch([held.intent("s-1")])
        assert error.value.code in {"unapproved_intent", "duplicate_intent"}
    assert list(ledger.open_holds()) == []


def test_what_comes_late_has_no_name_and_no_content(ledger: Ledger) -> None:
    """A request that is under way gets its outcome, and gives the person no new pseudonym."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    erased(ledger)
    ended = outcome(sent)
    [place] = ledger.append_batch([ended])
    [again] = ledger.append_batch([ended])
    assert (again.index, again.duplicate) == (place.index, True)
    leaf = leaves(ledger.directory)[place.index]
    assert leaf["principal"] is None
    assert [sorted(entry) for entry in leaf["pl"]] == [["commit", "kref", "len", "name"]]
    assert ledger.pseudonym_of(STAFF) is None
    with pytest.raises(Refused) as error:
        ledger.exchange_keys(STAFF, exchange)
    assert error.value.code == "erased"
    assert ledger.pseudonym_of(STAFF) is None


@pytest.mark.parametrize("together", [False, True])
def test_what_comes_late_has_no_name_when_the_person_is_back(
    ledger: Ledger, together: bool
) -> None:
    """They ask again while it is under way: the new pseudonym must not lead to the old one."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    erased(ledger)
    comes_back = received(uuid7(ledger.custody.erased_us // 1000 + 1))
    if together:
        *_, place = ledger.append_batch([comes_back, outcome(sent)])
    else:
        ledger.append_batch([comes_back])
        [place] = ledger.append_batch([outcome(sent)])
    assert ledger.pseudonym_of(STAFF) is not None
    nameless(ledger, place.index, exchange)


def test_what_comes_late_has_no_name_after_a_restart_either(tmp_path: Path) -> None:
    """Who is back is read from the leaves."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    in_office(ledger, OFFICER)
    erased(ledger)
    ledger.append_batch([received(uuid7(ledger.custody.erased_us // 1000 + 1))])
    ledger.close()
    ledger = open_ledger(tmp_path)
    [place] = ledger.append_batch([outcome(sent)])
    nameless(ledger, place.index, exchange)
    ledger.close()


def nameless(ledger: Ledger, index: int, exchange: str) -> None:
    """Without name, content and a key."""
    leaf = leaves(ledger.directory)[index]
    assert (leaf["exchange"], leaf["principal"]) == (exchange, None)
    assert not any("ct" in entry for entry in leaf["pl"])
    with pytest.raises(Refused) as error:
        ledger.exchange_keys(STAFF, exchange)
    assert error.value.code == "erased"


def test_between_beginning_and_end_the_name_is_gone_too(ledger: Ledger) -> None:
    """The keys are still there then; what a request under way says has no name any more."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    one = begun(ledger)
    [place] = ledger.append_batch([outcome(sent)])
    assert leaves(ledger.directory)[place.index]["principal"] is None
    with pytest.raises(Refused) as error:
        ledger.exchange_keys(STAFF, exchange)
    assert error.value.code == "erased"
    with pytest.raises(Refused) as error:
        begun(ledger)
    assert error.value.code == "erasure_open"
    held = {"person": STAFF}
    authority = (Payload("authority", b"court", b"court"),)
    with pytest.raises(Refused) as error:
        ledger.record_all([Event(uuid7(), "legal_hold.set", None, None, held, OFFICER, authority)])
    assert error.value.code == "erased"
    erasure.finish(ledger, one, keys=len(erasure.destroy(ledger, one)), rows=0)


def test_whoever_comes_back_is_somebody_new(ledger: Ledger) -> None:
    """With another pseudonym and other keys; nothing leads from one to the other."""
    before = ledger.pseudonym_of(STAFF)
    erased(ledger)
    later = uuid7(ledger.custody.erased_us // 1000 + 5_000)
    ledger.append_batch([received(later)])
    assert ledger.pseudonym_of(STAFF) not in {None, before}
    ledger.exchange_keys(STAFF, later)
    # Others are not touched by any of it.
    ledger.append_batch([received(uuid7(), CANARY, REVIEWER)])


def destroyed(ledger: Ledger) -> object:
    return erasure.destroy(ledger, begun(ledger))


@pytest.mark.parametrize(("until", "left"), [(begun, 1), (destroyed, 0)])
def test_a_crash_leaves_a_duty(
    tmp_path: Path, until: Callable[[Ledger], object], left: int
) -> None:
    """The next start finds what was begun, and nothing else."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    until(ledger)
    ledger.close()
    again = open_ledger(tmp_path)
    [one] = erasure.unfinished(again)
    assert one.cause == RESTART
    keys = erasure.destroy(again, one)
    assert len(keys) == left
    erasure.finish(again, one, keys=len(keys), rows=0)
    assert list(erasure.unfinished(again)) == []
    assert again.pseudonym_of(STAFF) is None
    again.close()
    assert verify(again.directory).verdict is Verdict.SOUND


def test_old_keys_that_come_back_are_destroyed_again(tmp_path: Path) -> None:
    """The directory of keys is restored from before the erasure; the ledger remembers."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    path = tmp_path / "keys" / "principals.keys"
    before = path.read_bytes()
    person = str(ledger.pseudonym_of(STAFF))
    erased(ledger)
    ledger.close()
    path.write_bytes(before)
    again = open_ledger(tmp_path)
    assert again.principal_of(person) == STAFF
    [one] = erasure.unfinished(again)
    assert (one.person, one.cause) == (person, RESTORED)
    assert len(erasure.destroy(again, one)) == 1
    erasure.finish(again, one, keys=1, rows=0)
    assert list(erasure.unfinished(again)) == []
    again.close()

"""Ledgers with samples: what an insider writes into them, the verifier finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import erasure
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.undrawn import OLD_US
from sekisho_audit.verify import verify
from support.insider import Original, Tape, laid_down
from support.ledgers import (
    REVIEWER,
    STAFF,
    decision,
    intent,
    open_ledger,
    outcome,
    received,
    run_exchange,
    run_held_exchange,
)
from support.officers import OFFICER, in_office
from support.officers import SECOND as SECOND_OFFICER
from support.old_ledgers import Clock, open_at

SECOND, THIRD = "reviewer-2@ledger.example", "reviewer-3@ledger.example"
TERMS = {
    "per_10000": 10_000,
    "per_10000_at_risk": 10_000,
    "risk_from": 40,
    "verdicts": 2,
    "keep_days": 7,
}
DRAWN = {"per_10000": 10_000, "risk": 0, "backend": "local", "model": "small", "rules": []}


def terms() -> Event:
    """Everything is drawn."""
    return Event(uuid7(), "sample.terms", None, None, TERMS)


def draw(on: Event, exchange: str | None) -> Event:
    """One exchange was."""
    return Event(uuid7(), "sample.drawn", exchange, STAFF, {"terms": on.id, **DRAWN})


def shown(sample: Event, actor: str) -> Event:
    """Somebody is shown it."""
    data = {"purpose": "review", "part": "sample", "sample": sample.id}
    return Event(uuid7(), "record.read", sample.exchange, STAFF, data, actor)


def judged(sample: Event, actor: str, verdict: str = "fine") -> Event:
    """Somebody judged it."""
    data = {"sample": sample.id, "verdict": verdict, "counts_for": "reviewer"}
    why = (Payload("reason", b"because", b"because"),)
    return Event(uuid7(), "sample.judged", sample.exchange, STAFF, data, actor, why)


def closed(sample: Event, outcome: str, by: str) -> Event:
    """What came of it."""
    data = {"sample": sample.id, "outcome": outcome, "by": by}
    return Event(uuid7(), "sample.closed", sample.exchange, STAFF, data)


def run_sampled(ledger: Ledger, on: Event) -> Event:
    """An exchange that was drawn, in one batch with its outcome."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    sample = draw(on, exchange)
    ledger.append_batch([outcome(sent), sample])
    return sample


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A ledger with one sample on which two agreed, one that a third decided, and one that stands
    and whose request a reviewer had approved.
    """
    home = tmp_path_factory.mktemp("o")
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    on = terms()
    ledger.append_batch([on])
    agreed = run_sampled(ledger, on)
    for who in (REVIEWER, SECOND):
        ledger.append_batch([shown(agreed, who), judged(agreed, who)])
    ledger.append_batch([closed(agreed, "fine", "agreement")])
    disputed = run_sampled(ledger, on)
    said = ((REVIEWER, "fine"), (SECOND, "concern"), (THIRD, "concern"))
    for who, verdict in said:
        ledger.append_batch([shown(disputed, who), judged(disputed, who, verdict)])
    ledger.append_batch([closed(disputed, "concern", "third")])
    held = run_held_exchange(ledger, "s-1")
    sample = draw(on, held.exchange)
    ledger.append_batch([sample, shown(sample, SECOND), judged(sample, SECOND)])
    ledger.close_session("s-1", "ended")
    ledger.close()
    seed = (home / "keys" / "signing.key").read_bytes()
    return Original.read(home, [], [seed])


def test_what_was_drawn_and_judged_verifies(original: Original) -> None:
    """The writer took it, the verifier finds nothing."""
    report = verify(original.directory, key=original.key)

    assert (report.verdict, report.faults) == (Verdict.SOUND, [])


def _of(tape: Tape, kind: str) -> list[dict[str, Any]]:
    return [leaf for leaf in tape.leaves if leaf["type"] == kind]


def _actors(tape: Tape, who: str, kind: str, at: int) -> None:
    """Somebody else was shown and judged the sample of that verdict."""
    judgement = _of(tape, "sample.judged")[at]
    before, sample = judgement["actor"], judgement["data"]["sample"]
    for leaf in (*_of(tape, "record.read"), *_of(tape, "sample.judged")):
        if leaf["data"].get("sample") == sample and leaf["actor"] == before:
            leaf["actor"] = who
    assert kind


def judged_by_who_asked(tape: Tape) -> None:
    _actors(tape, _of(tape, "sample.drawn")[0]["principal"], "own", 0)


def judged_by_who_approved(tape: Tape) -> None:
    _actors(tape, _of(tape, "hold.review")[0]["actor"], "approved", -1)


def judged_twice_by_one(tape: Tape) -> None:
    first, second = _of(tape, "sample.judged")[:2]
    second["actor"] = first["actor"]


def judged_unseen(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "record.read")[0])


def a_verdict_turned(tape: Tape) -> None:
    _of(tape, "sample.judged")[1]["data"]["verdict"] = "concern"


def the_outcome_turned(tape: Tape) -> None:
    _of(tape, "sample.closed")[1]["data"]["outcome"] = "fine"


def a_verdict_left_out(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "sample.judged")[1])


def closed_before_its_time(tape: Tape) -> None:
    for leaf in _of(tape, "sample.judged")[:2]:
        tape.leaves.remove(leaf)
    _of(tape, "sample.closed")[0]["data"] |= {"outcome": "unjudged", "by": "nobody"}


def drawn_of_somebody_else(tape: Tape) -> None:
    _of(tape, "sample.drawn")[0]["principal"] = "p-0123456789abcdef"


def a_draw_left_out(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "sample.drawn")[0])


def a_smaller_share(tape: Tape) -> None:
    _of(tape, "sample.terms")[0]["data"]["per_10000"] = 1


def without_terms(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "sample.terms")[0])


def drawn_again(tape: Tape) -> None:
    leaf = _of(tape, "sample.drawn")[0]
    tape.leaves.insert(tape.leaves.index(leaf) + 1, {**leaf, "id": uuid7()})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (judged_by_who_asked, "nobody judges what they asked, approved or wrote into"),
        (judged_by_who_approved, "nobody judges what they asked, approved or wrote into"),
        (judged_twice_by_one, "this person has judged this sample already"),
        (judged_unseen, "who judges a sample was shown it before"),
        (a_verdict_turned, "the outcome is not what the verdicts come to"),
        (the_outcome_turned, "the outcome is not what the verdicts come to"),
        (a_verdict_left_out, "the outcome is not what the verdicts come to"),
        (closed_before_its_time, "there is time left to judge this sample"),
        (drawn_of_somebody_else, "the exchange is somebody else's"),
        (a_draw_left_out, "no such sample of this exchange stands"),
        (a_smaller_share, "the share is not that of the terms"),
        (without_terms, "no such terms of drawing are on record"),
        (drawn_again, "nothing was given out of it, or it was drawn before"),
    ],
)
def test_the_verifier_finds_what_an_insider_wrote(
    original: Original, tmp_path: Path, change: Callable[[Tape], None], fault: str
) -> None:
    """Whoever has the signing key and writes it himself, with hashes and signature that fit."""
    where = tmp_path / "ledger"
    laid_down(original, where, change)

    report = verify(where, key=original.key)

    assert report.verdict is Verdict.TAMPERED
    assert fault in {one.what for one in report.faults}


def test_the_writer_knows_samples_after_a_start(tmp_path: Path) -> None:
    """Restarted in the middle: the first verdict stands, the same person gives no second one, the
    names are told, and the second closes it.
    """
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    on = terms()
    ledger.append_batch([on])
    sample = run_sampled(ledger, on)
    ledger.append_batch([shown(sample, REVIEWER), judged(sample, REVIEWER, "concern")])
    ledger.close_session("s-1", "ended")
    ledger.close()

    again = open_ledger(tmp_path)
    with pytest.raises(Refused) as caught:
        again.append_batch([judged(sample, REVIEWER, "fine")])
    assert caught.value.code == "second_review"
    told = again.holds.samples()
    [one] = told["samples"]
    assert told["terms"] == {**TERMS, "id": on.id}
    assert (one["principal"], one["barred"]) == (STAFF, [STAFF])
    assert [(each["by"], each["verdict"]) for each in one["verdicts"]] == [(REVIEWER, "concern")]
    again.append_batch([shown(sample, SECOND), judged(sample, SECOND, "concern")])
    again.append_batch([closed(sample, "concern", "agreement")])
    assert again.holds.samples()["samples"] == []
    again.close()
    assert verify(tmp_path / "data" / "ledger").verdict is Verdict.SOUND


def test_a_draw_that_was_lost_is_found_after_a_start(tmp_path: Path) -> None:
    """Of an exchange whose worker was killed before it told it, and of no other; told then, it is
    as any other.
    """
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")  # before there were terms
    on = terms()
    ledger.append_batch([on])
    run_sampled(ledger, on)
    lost = run_exchange(ledger, "s-1")
    ledger.close_session("s-1", "gone")
    ledger.close()

    again = open_ledger(tmp_path)
    later_us = again.now_us() + OLD_US + 1
    assert again.holds.undrawn(-1, again.now_us(), again.exchange_keys)["undrawn"] == []
    told = again.holds.undrawn(-1, later_us, again.exchange_keys)
    expected = {"exchange": lost.exchange, "principal": STAFF, "opening": ""}
    assert told["undrawn"] == [expected]
    again.append_batch([draw(on, lost.exchange)])
    assert again.holds.undrawn(-1, later_us, again.exchange_keys)["undrawn"] == []
    again.close()
    assert verify(tmp_path / "data" / "ledger").verdict is Verdict.SOUND


def test_what_break_glass_let_go_and_nobody_drew_is_told(tmp_path: Path) -> None:
    """By the verifier, which needs no key for it: an hour later, and not if it was drawn."""
    clock = Clock()
    ledger = open_at(tmp_path, clock)
    ledger.open_session("s-1", 1)
    about = {"rules": ["sekisho.default"], "minutes": 15, "review_hours": 24}
    why = (Payload("reason", b"why", b"why"),)
    opening = Event(uuid7(), "break_glass.opened", None, None, about, STAFF, why)
    on = terms()
    ledger.append_batch([opening, on])
    asked = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
    hold = {"stage": "request", "ttl_s": 60, "risk": 50, "thresholds": asked}
    exchanges = [uuid7(), uuid7()]
    for number, exchange in enumerate(exchanges, 1):
        held = decision(exchange, "hold", hold=hold)
        use = {"opening": opening.id, "decision": held.id, "backend": "local", "number": number}
        used = Event(uuid7(), "break_glass.used", exchange, STAFF, use)
        sent = intent(exchange, "s-1")
        ledger.append_batch([received(exchange), used, held, sent])
        ledger.append_batch([outcome(sent)])
    first = draw(on, exchanges[0])
    data = {**first.data, "per_10000": 10_000, "risk": 50, "opening": opening.id}
    ledger.append_batch([replace(first, data=data)])
    ledger.write_checkpoint()
    assert not any("break-glass" in one for one in verify(ledger.directory).notes)
    clock.days(1)
    run_exchange(ledger, "s-1")
    ledger.close_session("s-1", "ended")
    ledger.close()
    report = verify(tmp_path / "data" / "ledger")
    assert (report.verdict, report.faults) == (Verdict.SOUND, [])
    [note] = [one for one in report.notes if "break-glass" in one]
    assert note.startswith("1 exchanges")


def test_an_erased_person_has_no_samples(tmp_path: Path) -> None:
    """Judged by one, then whoever asked is erased: nobody is asked any more, nothing of it can be
    written, also after a start, and the ledger verifies.
    """
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    on = terms()
    ledger.append_batch([on])
    sample = run_sampled(ledger, on)
    ledger.append_batch([shown(sample, REVIEWER), judged(sample, REVIEWER)])
    ledger.close_session("s-1", "ended")
    in_office(ledger, OFFICER, SECOND_OFFICER)
    reasons = (Payload("purpose", b"they left", b"they left"), Payload("ticket", b"T-1", b"T-1"))
    begun = erasure.begin(ledger, STAFF, (OFFICER, SECOND_OFFICER), reasons)
    keys = erasure.destroy(ledger, begun)
    erasure.finish(ledger, begun, keys=len(keys), rows=0)
    assert ledger.holds.samples()["samples"] == []
    ledger.close()

    again = open_ledger(tmp_path)
    assert again.holds.samples()["samples"] == []
    with pytest.raises(Refused):
        again.append_batch([judged(sample, SECOND)])
    again.close()
    assert verify(tmp_path / "data" / "ledger").verdict is Verdict.SOUND

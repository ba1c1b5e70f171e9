"""Answers that people must let pass: what the writer refuses, the verifier finds.

Each attack is tried twice: on the writer, and by an insider who writes and signs the same events
past it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho_audit.errors import Refused
from sekisho_audit.events import Event
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.rules import Book
from sekisho_audit.standing import Leaf, RuleBroken
from sekisho_audit.verify import verify
from support.ledgers import (
    REVIEWER,
    STAFF,
    HeldAnswer,
    HeldExchange,
    decision,
    open_ledger,
    outcome,
    run_held_answer,
    run_held_exchange,
)

BOTH = pytest.mark.parametrize("stage", ["tool_call", "response"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    return opened


def waiting(ledger: Ledger, **more: object) -> HeldAnswer:
    """An answer that waits."""
    held = HeldAnswer(**more)  # type: ignore[arg-type]
    ledger.append_batch(held.asked("s-1"))
    ledger.append_batch(held.waiting())
    return held


def approved(ledger: Ledger, **more: object) -> HeldAnswer:
    """An answer that people let pass."""
    held = waiting(ledger, **more)
    people = [f"reviewer-{number}" for number in range(held.approve)]
    reviews = [held.review(who) for who in people]
    ledger.append_batch([*reviews, held.settled(reviews)])
    return held


def sound(ledger: Ledger) -> list[str]:
    """Stop the writer, verify, and return what the verifier notes."""
    ledger.close()
    report = verify(ledger.directory)
    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
    return report.notes


@BOTH
def test_whole_way_of_a_held_answer_is_sound(ledger: Ledger, stage: str) -> None:
    """Also after a held request in another exchange, and with both holds in one."""
    run_held_answer(ledger, "s-1", stage)
    run_held_exchange(ledger, "s-1")
    both(ledger, stage)
    assert not any("held back" in note for note in sound(ledger))


def both(ledger: Ledger, stage: str = "response") -> HeldAnswer:
    """One exchange whose request and whose answer were held; both holds are delivered."""
    request = HeldExchange()
    ledger.append_batch(request.filing())
    review = request.review()
    sent = request.intent("s-1")
    ledger.append_batch([review, request.settled([review])])
    ledger.append_batch([decision(request.exchange), sent])
    held = HeldAnswer(exchange=request.exchange, stage=stage, sent=sent)
    ledger.append_batch([held.judged("hold", hold=held.terms), held.outcome(), held.filed()])
    again = held.review()
    ledger.append_batch([again, held.settled([again])])
    ledger.append_batch([held.judged(), held.released()])
    ledger.append_batch([held.delivered(), request.delivered()])
    return held


def test_same_release_again_is_the_same(ledger: Ledger) -> None:
    """A reply that was lost is asked for again."""
    held = approved(ledger)
    released = held.released()
    [first] = ledger.append_batch([released])
    [again] = ledger.append_batch([released])
    assert (again.index, again.duplicate) == (first.index, True)
    with pytest.raises(Refused) as caught:
        ledger.append_batch([held.released()])
    assert caught.value.code == "duplicate_release"


@pytest.mark.parametrize("written", range(5))
def test_batch_that_was_cut_by_a_kill_is_asked_for_again(
    tmp_path: Path, ledger: Ledger, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions, outcome and hold are one batch; so many of its events were on disk. An answer that
    waits without a hold is no fault, and the verifier tells it.
    """
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    batch = held.waiting()
    with monkeypatch.context() as patched:
        patched.setattr(Book, "check_request", lambda _self, _leaves: None)
        ledger.append_batch(batch[:written])
    for opened in (ledger.files, ledger._keyring):
        opened.close()
    ledger._lock.release()
    again = open_ledger(tmp_path)
    again.write_checkpoint()
    report = verify(ledger.directory)
    assert (report.verdict, report.faults) == (Verdict.SOUND, [])
    told = [note for note in report.notes if "1 answers were held back" in note]
    assert len(told) == (written == 3)
    again.append_batch(batch)
    assert not any("held back" in note for note in sound(again))


def test_answer_that_waits_is_not_written_without_its_hold(ledger: Ledger) -> None:
    """Nobody would be asked; the outcome is written with the hold or not at all."""
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    size = ledger.size
    with pytest.raises(Refused) as caught:
        ledger.append_batch(held.waiting()[:-1])
    assert caught.value.code == "unfiled_hold"
    assert ledger.size == size
    ledger.append_batch(held.waiting())


def test_answer_of_a_session_that_was_lost_is_not_held(ledger: Ledger) -> None:
    """Its intent has the outcome `unknown`: what comes later changes nothing."""
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    ledger.close_session("s-1", "lost")
    with pytest.raises(Refused) as caught:
        ledger.append_batch(held.waiting())
    assert caught.value.code == "unanswered_hold"


def test_everything_is_known_again_after_a_restart(tmp_path: Path, ledger: Ledger) -> None:
    """What waits, what was released, what policy said."""
    used, open_one = approved(ledger), approved(ledger)
    ledger.append_batch([used.released()])
    denied = approved(ledger)
    ledger.append_batch([denied.judged("deny")])
    ledger.close()
    again = open_ledger(tmp_path)
    for held, code in ((used, "duplicate_release"), (denied, "denied_release")):
        with pytest.raises(Refused) as caught:
            again.append_batch([held.released()])
        assert caught.value.code == code
    again.append_batch([open_one.released()])
    sound(again)


def test_answer_of_somebody_erased_meanwhile_is_not_released(ledger: Ledger) -> None:
    """Nobody is there to be given it."""
    held = approved(ledger)
    ledger._keyring.erase(STAFF)
    with pytest.raises(Refused) as caught:
        ledger.append_batch([held.released()])
    assert caught.value.code == "unapproved_release"


# -- attacks, on the writer and past it


Attack = Callable[[Ledger], list[Event]]
"""Writes what may be written, and returns what must not follow."""


def without_reviews(ledger: Ledger) -> list[Event]:
    return [waiting(ledger).released()]


def approved_by_nobody(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    return [held.settled([])]


def with_too_few_reviews(ledger: Ledger) -> list[Event]:
    held = waiting(ledger, approve=2)
    one = held.review()
    ledger.append_batch([one])
    return [held.settled([one])]


def with_other_bytes(ledger: Ledger) -> list[Event]:
    return [approved(ledger).released(b"another answer")]


def twice(ledger: Ledger) -> list[Event]:
    held = approved(ledger)
    ledger.append_batch([held.released()])
    return [held.released()]


def after_denial(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    no = held.review(answer="deny")
    ledger.append_batch([no, held.settled([no], "denied")])
    return [held.released()]


def after_expiry(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    ledger.append_batch([held.settled([], "expired")])
    return [held.released()]


def approved_too_late(ledger: Ledger) -> list[Event]:
    held = waiting(ledger, expires_us=1)
    yes = held.review()
    ledger.append_batch([yes])
    return [held.settled([yes])]


def hold_with_fewer_reviews(ledger: Ledger) -> list[Event]:
    held = HeldAnswer(approve=2)
    ledger.append_batch(held.asked("s-1"))
    spoken = held.waiting()
    held.approve = 1
    return [*spoken[:-1], held.filed()]


def hold_at_the_earlier_stage(ledger: Ledger) -> list[Event]:
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    spoken = held.waiting()
    held.stage = "tool_call"
    return [*spoken[:-1], held.filed()]


def hold_without_a_backend(ledger: Ledger) -> list[Event]:
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    return [held.judged(), held.filed()]


def released_though_foreseen(ledger: Ledger) -> list[Event]:
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    return [held.judged(), held.outcome("released")]


def released_though_held(ledger: Ledger) -> list[Event]:
    held = HeldAnswer(stage="tool_call")
    ledger.append_batch(held.asked("s-1"))
    return [held.judged("hold", hold=held.terms), held.judged(), held.outcome("released")]


def released_though_denied(ledger: Ledger) -> list[Event]:
    held = HeldAnswer(stage="tool_call")
    ledger.append_batch(held.asked("s-1"))
    return [held.judged("deny"), held.judged(), held.outcome("released")]


def held_though_denied(ledger: Ledger) -> list[Event]:
    held = HeldAnswer(stage="tool_call")
    ledger.append_batch(held.asked("s-1"))
    return [held.judged("deny"), *held.waiting()]


def released_late_though_held(ledger: Ledger) -> list[Event]:
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    ledger.append_batch([held.outcome("failed")])
    return [held.outcome("released")]


def answer_with_the_approval_of_its_request(ledger: Ledger) -> list[Event]:
    held = run_held_exchange(ledger, "s-1")
    answer = HeldAnswer(exchange=held.exchange, hold=held.hold, answer=held.body)
    return [answer.released()]


def answer_filed_as_its_request(ledger: Ledger) -> list[Event]:
    request = HeldExchange()
    ledger.append_batch(request.filing())
    review = request.review()
    sent = request.intent("s-1")
    ledger.append_batch([review, request.settled([review]), decision(request.exchange), sent])
    held = HeldAnswer(exchange=request.exchange, hold=request.hold, version=2, sent=sent)
    return [held.judged("hold", hold=held.terms), held.outcome(), held.filed()]


def request_with_the_approval_of_an_answer(ledger: Ledger) -> list[Event]:
    held = approved(ledger)
    return [replace(held, body=held.answer).intent("s-1")]


def delivered_before_released(ledger: Ledger) -> list[Event]:
    return [approved(ledger).delivered()]


def request_delivered_before_released(ledger: Ledger) -> list[Event]:
    request = HeldExchange()
    ledger.append_batch(request.filing())
    review = request.review()
    sent = request.intent("s-1")
    ledger.append_batch([review, request.settled([review]), decision(request.exchange), sent])
    held = HeldAnswer(exchange=request.exchange, sent=sent)
    ledger.append_batch([held.judged("hold", hold=held.terms), held.outcome(), held.filed()])
    return [request.delivered()]


def reviewed_by_who_asked(ledger: Ledger) -> list[Event]:
    return [waiting(ledger).review(STAFF)]


def reviewed_by_who_stands_behind(ledger: Ledger) -> list[Event]:
    return [waiting(ledger, person="owner-1").review("owner-1")]


def reviewed_twice(ledger: Ledger) -> list[Event]:
    held = waiting(ledger, approve=2)
    ledger.append_batch([held.review()])
    return [held.review()]


def version_of_before(ledger: Ledger) -> list[Event]:
    held = approved(ledger)
    held.version = 2
    ledger.append_batch([held.filed()])
    held.version = 1
    return [held.released()]


def version_that_nobody_reviewed(ledger: Ledger) -> list[Event]:
    held = approved(ledger)
    held.version = 2
    ledger.append_batch([held.filed()])
    return [held.released()]


def edited(held: HeldAnswer, editor: str, *, narrowed: bool = False) -> Event:
    """The next version, made by this person."""
    held.version += 1
    filed = held.filed()
    return replace(filed, data={**filed.data, "editor": editor, "narrowed": narrowed})


def approved_by_its_editor(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    ledger.append_batch([edited(held, REVIEWER)])
    return [held.review(REVIEWER)]


def approved_by_who_wrote_into_a_version_before(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    ledger.append_batch([edited(held, REVIEWER)])
    ledger.append_batch([edited(held, REVIEWER, narrowed=True)])
    return [held.review(REVIEWER)]


def edited_when_its_step_had_filled(ledger: Ledger) -> list[Event]:
    held = waiting(ledger, second="compliance")
    ledger.append_batch([held.review(counts_for=["reviewer"])])
    return [edited(held, "reviewer-9")]


def edited_before_its_step_opened(ledger: Ledger) -> list[Event]:
    version = edited(waiting(ledger, second="compliance"), "reviewer-9")
    return [replace(version, data={**version.data, "step": 2})]


def edited_by_who_asked(ledger: Ledger) -> list[Event]:
    return [edited(waiting(ledger), STAFF)]


def opened_again_after_it_was_denied(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    review = held.review(answer="deny")
    ledger.append_batch([review, held.settled([review], "denied")])
    return [edited(held, "reviewer-9")]


def other_binding(ledger: Ledger) -> list[Event]:
    return [approved(ledger).released(binding="c" * 64)]


def denied_when_asked_again(ledger: Ledger) -> list[Event]:
    held = approved(ledger)
    ledger.append_batch([held.judged("deny")])
    return [held.released()]


def held_for_more_when_asked_again(ledger: Ledger) -> list[Event]:
    held = approved(ledger)
    more = {**held.terms, "thresholds": [{"reviewers": "security", "approve": 1, "deny": 1}]}
    ledger.append_batch([held.judged("hold", hold=more)])
    return [held.released()]


def second_hold(ledger: Ledger) -> list[Event]:
    held = waiting(ledger)
    no = held.review(answer="deny")
    ledger.append_batch([no, held.settled([no], "denied")])
    return [HeldAnswer(exchange=held.exchange, answer=held.answer).filed()]


def sent_again_and_released(ledger: Ledger) -> list[Event]:
    held = waiting(ledger, stage="tool_call")
    again = replace(held, sent=None)
    [_, _, sent] = again.asked("s-1")
    ledger.append_batch([sent])
    return [replace(outcome(sent), principal=STAFF)]


def function_named_elsewhere(ledger: Ledger) -> list[Event]:
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    said = held.judged()
    return [replace(said, data={**said.data, "tool": "send_mail"})]


ATTACKS: dict[str, tuple[Attack, str]] = {
    attack.__name__: (attack, code)
    for attack, code in (
        (without_reviews, "unapproved_release"),
        (approved_by_nobody, "unreviewed_approval"),
        (with_too_few_reviews, "unreviewed_approval"),
        (with_other_bytes, "unapproved_release"),
        (twice, "duplicate_release"),
        (after_denial, "unapproved_release"),
        (after_expiry, "unapproved_release"),
        (approved_too_late, "late_approval"),
        (hold_with_fewer_reviews, "undecided_hold"),
        (hold_at_the_earlier_stage, "undecided_hold"),
        (hold_without_a_backend, "unanswered_hold"),
        (released_though_foreseen, "unapproved_release"),
        (released_though_held, "unapproved_release"),
        (released_though_denied, "denied_release"),
        (held_though_denied, "denied_release"),
        (released_late_though_held, "unapproved_release"),
        (answer_with_the_approval_of_its_request, "unapproved_release"),
        (answer_filed_as_its_request, "hold_taken"),
        (request_with_the_approval_of_an_answer, "unapproved_intent"),
        (delivered_before_released, "unapproved_delivery"),
        (request_delivered_before_released, "unapproved_delivery"),
        (reviewed_by_who_asked, "self_review"),
        (reviewed_by_who_stands_behind, "self_review"),
        (reviewed_twice, "second_review"),
        (version_of_before, "unapproved_release"),
        (version_that_nobody_reviewed, "unapproved_release"),
        (approved_by_its_editor, "self_review"),
        (approved_by_who_wrote_into_a_version_before, "self_review"),
        (edited_by_who_asked, "self_review"),
        (edited_when_its_step_had_filled, "edit_out_of_turn"),
        (edited_before_its_step_opened, "edit_out_of_turn"),
        (opened_again_after_it_was_denied, "hold_settled"),
        (other_binding, "unapproved_release"),
        (denied_when_asked_again, "denied_release"),
        (held_for_more_when_asked_again, "unapproved_release"),
        (second_hold, "hold_taken"),
        (sent_again_and_released, "unapproved_release"),
        (function_named_elsewhere, "bad_decision"),
    )
}


def test_writer_refuses_each(ledger: Ledger) -> None:
    """Whole, with the code that says what was wrong; what was written before is sound."""
    for name, (attack, code) in ATTACKS.items():
        events = attack(ledger)
        before = ledger.size, ledger.root()
        with pytest.raises(Refused) as caught:
            ledger.append_batch(events)
        assert (caught.value.code, ledger.size, ledger.root()) == (code, *before), name
    sound(ledger)


def test_verifier_finds_each(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written all the same by a writer that does not care: it fits in every other way."""
    places = {}
    for name, (attack, _) in ATTACKS.items():
        events = attack(ledger)
        with monkeypatch.context() as patched:
            patched.setattr(Book, "apply", lenient(Book.apply))
            patched.setattr(Book, "check_request", lambda _self, _leaves: None)
            written = ledger.append_batch(events)
        places[name] = {place.index for place in written}
    ledger.write_checkpoint()
    ledger._lock.release()
    report = verify(ledger.directory)
    assert report.verdict is Verdict.TAMPERED
    found = {fault.index for fault in report.faults}
    assert [name for name, where in places.items() if not found & where] == []
    assert found <= set().union(*places.values())


def lenient(apply: Callable[[Book, Leaf], None]) -> Callable[[Book, Leaf], None]:
    """The same rules, of a writer that does not care."""

    def taken(book: Book, leaf: Leaf) -> None:
        with suppress(RuleBroken):
            apply(book, leaf)

    return taken

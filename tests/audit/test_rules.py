"""The book of rules: what is refused changes nothing, what is rolled back never was."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.rules import APPEALS_MAX, Book, forget_oldest
from sekisho_audit.standing import RuleBroken
from support.scribe import BOOT, Scribe, broken, decide, opened, state


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def test_nothing_comes_before_the_boot() -> None:
    """The first event announces its writer."""
    assert broken(Scribe(Book()), "request.received", "x") == "wrong_boot"


def test_boot_names_itself_and_the_last_index(scribe: Scribe) -> None:
    """A boot that was, or that skips events, is refused."""
    assert broken(scribe, "audit.boot", boot=BOOT, last=1, cut=0) == "wrong_boot"
    leaf = scribe.leaf("audit.boot", boot="boot-2", last=0, cut=0) | {"boot": "boot-2"}
    with pytest.raises(RuleBroken, match="another last index"):
        scribe.book.apply(leaf)


def test_event_of_another_boot_is_refused(scribe: Scribe) -> None:
    """A late write of a writer that was replaced does not fit."""
    leaf = scribe.leaf("request.received", "x") | {"boot": "boot-0"}
    with pytest.raises(RuleBroken, match="no boot"):
        scribe.book.apply(leaf)


def test_shutdown_ends_a_boot(scribe: Scribe) -> None:
    """After a clean stop only a boot may follow."""
    scribe.write("session.closed", session="s-1", cause="ended")
    scribe.write("audit.shutdown", boot=BOOT)
    assert broken(scribe, "request.received", "x") == "after_shutdown"


def test_shutdown_and_closing_need_all_outcomes(scribe: Scribe) -> None:
    """Nothing may be left open behind a clean stop or a closed session."""
    decide(scribe, "x")
    scribe.write("backend.intent", "x", session="s-1")
    assert broken(scribe, "audit.shutdown", boot=BOOT) == "open_intents"
    assert broken(scribe, "session.closed", session="s-1", cause="ended") == "open_intents"


def test_clean_stop_closes_all_sessions_and_names_its_boot(scribe: Scribe) -> None:
    """What is still open was not stopped cleanly."""
    assert broken(scribe, "audit.shutdown", boot=BOOT) == "open_sessions"
    scribe.write("session.closed", session="s-1", cause="ended")
    assert broken(scribe, "audit.shutdown", boot="boot-2") == "wrong_boot"
    scribe.write("audit.shutdown", boot=BOOT)


def boot(scribe: Scribe, name: str, cut: int = 0) -> None:
    leaf = scribe.leaf("audit.boot", boot=name, last=scribe.index - 1, cut=cut) | {"boot": name}
    scribe.take(leaf)
    scribe.boot = name


def test_name_of_a_boot_is_never_used_again(scribe: Scribe) -> None:
    """Also if another boot came in between."""
    boot(scribe, "boot-2")
    with pytest.raises(RuleBroken, match="with a new name"):
        boot(scribe, BOOT)


def test_cuts_stand_behind_the_boot_that_found_them(scribe: Scribe) -> None:
    """They are named at once, and are no more than the boot says."""
    assert broken(scribe, "audit.recovered", file="f", bytes=1) == "wrong_boot"
    boot(scribe, "boot-2", cut=10)
    scribe.write("audit.recovered", file="f", bytes=7)
    assert broken(scribe, "audit.recovered", file="f", bytes=4) == "wrong_boot"
    assert broken(scribe, "audit.recovered", file="f", bytes=-1) == "wrong_boot"
    scribe.write("audit.recovered", file="f", bytes=0)
    scribe.write("audit.recovered", file="f", bytes=2)
    scribe.write("session.opened", session="s-2", pid=2)
    assert broken(scribe, "audit.recovered", file="f", bytes=1) == "wrong_boot"


def test_sessions_open_and_close_once(scribe: Scribe) -> None:
    """A session that is open cannot be opened, one that is not cannot be closed."""
    assert broken(scribe, "session.opened", session="s-1", pid=2) == "session_open"
    assert broken(scribe, "session.closed", session="s-2", cause="x") == "unknown_session"
    scribe.write("session.closed", session="s-1", cause="ended")
    scribe.write("session.opened", session="s-1", pid=2)


def test_hold_at_another_stage_does_not_hold_the_request(scribe: Scribe) -> None:
    """A decision that holds the answer lets the request pass; the latest decision counts."""
    decide(scribe, "x", "hold", hold={"stage": "response"})
    scribe.write("backend.intent", "x", session="s-1")
    decide(scribe, "y", "allow")
    decide(scribe, "y", "deny")
    assert broken(scribe, "backend.intent", "y", session="s-1") == "denied_intent"


def test_intent_is_of_the_policy_that_decided(scribe: Scribe) -> None:
    """A decision under one revision lets nothing leave under another."""
    asked = {"stage": "request", "effect": "allow", "obligations": {}}
    scribe.write("policy.decision", "x", **asked, revision="r-1")
    scribe.write("policy.decision", "x", **asked, revision="r-2")
    assert broken(scribe, "backend.intent", "x", session="s-1", revision="r-1") == (
        "undecided_intent"
    )
    scribe.write("backend.intent", "x", session="s-1", revision="r-2")


def test_decision_about_a_tool_call_is_not_one_about_the_request(scribe: Scribe) -> None:
    """Only a decision at the stage `request` lets a request leave."""
    scribe.write("policy.decision", "x", stage="tool_call", effect="allow", obligations={})
    assert broken(scribe, "backend.intent", "x", session="s-1") == "undecided_intent"


def test_cut_and_late_outcome_need_their_intent(scribe: Scribe) -> None:
    """What is said about an intent needs the intent."""
    assert broken(scribe, "delivery.cut", "x", intent="e-9", cause="c") == "unknown_intent"
    assert broken(scribe, "outcome.late", "x", intent="e-9", status="failed") == "unknown_intent"


def test_hold_needs_a_decision(scribe: Scribe) -> None:
    """A hold is filed because policy asked for one."""
    told = {"hold": "h", "version": 1, "stage": "request"}
    assert broken(scribe, "hold.filed", "x", **told) == "undecided_hold"


def test_review_of_nothing_is_refused(scribe: Scribe) -> None:
    """Reviews and deliveries need their hold."""
    for kind in ("hold.review", "hold.settled", "hold.delivered"):
        assert broken(scribe, kind, "x", hold="h", version=1, binding="b") == "unknown_hold"


def test_several_events_are_undone_together(scribe: Scribe) -> None:
    """Rolling back goes back to `begin`, over all kinds of change."""
    decide(scribe, "x")
    sent = scribe.write("backend.intent", "x", session="s-1")
    before = state(scribe.book)
    scribe.book.begin()
    for leaf in (
        scribe.leaf("backend.outcome", "x", intent=sent["id"], status="released"),
        scribe.leaf("session.closed", session="s-1", cause="ended"),
        scribe.leaf("policy.decision", "z", stage="request", effect="deny", obligations={}),
        scribe.leaf("audit.shutdown", boot=BOOT),
    ):
        scribe.book.apply(leaf)
    assert state(scribe.book) != before
    scribe.book.roll_back()
    assert state(scribe.book) == before


def test_oldest_are_forgotten_a_quarter_at_a_time() -> None:
    """What is needed is never forgotten, and forgetting costs little each time."""
    kept: dict[str, int] = {}
    lengths = set()
    for number in range(100):
        kept[str(number)] = number
        forget_oldest(kept, 8)
        lengths.add(len(kept))
        assert list(kept.values()) == list(range(number + 1))[-len(kept) :]
    assert lengths == set(range(1, 11))


def test_memory_of_finished_exchanges_is_bounded() -> None:
    """The writer forgets the oldest; open intents are never forgotten."""
    scribe = Scribe(Book(memory=4))
    scribe.write("audit.boot", boot=BOOT, last=-1, cut=0)
    scribe.write("session.opened", session="s-1", pid=1)
    decide(scribe, "first")
    kept = scribe.write("backend.intent", "first", session="s-1")
    for number in range(20):
        decide(scribe, f"x-{number}")
        sent = scribe.write("backend.intent", f"x-{number}", session="s-1")
        scribe.write("backend.outcome", f"x-{number}", intent=sent["id"], status="released")
    assert len(scribe.book.decided) <= 5
    assert len(scribe.book.closed) <= 5
    scribe.write("backend.outcome", "first", intent=kept["id"], status="released")


def test_what_stands_about_an_answer_is_known_as_long_as_it_is_awaited() -> None:
    """However many others came meanwhile; then it is forgotten like theirs."""
    scribe = Scribe(Book(memory=4))
    scribe.write("audit.boot", boot=BOOT, last=-1, cut=0)
    scribe.write("session.opened", session="s-1", pid=1)
    terms = [{"stage": "response", "thresholds": []}]
    decide(scribe, "first", hold_later=terms)
    kept = scribe.write("backend.intent", "first", session="s-1")
    for number in range(20):
        decide(scribe, f"x-{number}", hold_later=terms)
    out = {"intent": kept["id"], "status": "released"}
    assert broken(scribe, "backend.outcome", "first", **out) == "unapproved_release"
    scribe.write("backend.outcome", "first", **{**out, "status": "stopped"})
    for number in range(20):
        decide(scribe, f"y-{number}", hold_later=terms)
    assert "first" not in scribe.book.answers
    assert len(scribe.book.answers) <= 5


def test_answers_of_which_nothing_stands_are_not_kept(scribe: Scribe) -> None:
    """Most tool calls are let pass."""
    decide(scribe, "x")
    sent = scribe.write("backend.intent", "x", session="s-1")
    told = {"stage": "tool_call", "effect": "allow", "obligations": {}}
    scribe.write("policy.decision", "x", **told)
    assert "x" in scribe.book.answers
    scribe.write("backend.outcome", "x", intent=sent["id"], status="released")
    assert scribe.book.answers == {}


# -- appeals


def test_appeals_are_bounded(scribe: Scribe) -> None:
    """Five for an exchange; another exchange has its own; a refused batch counts none."""
    for number in range(APPEALS_MAX - 1):
        scribe.write("exchange.appealed", "x", appeal=f"a-{number}")
    scribe.book.begin()
    scribe.book.apply(scribe.leaf("exchange.appealed", "x", appeal="undone"))
    scribe.book.roll_back()
    scribe.write("exchange.appealed", "x", appeal="last")
    assert broken(scribe, "exchange.appealed", "x", appeal="sixth") == "too_many_appeals"
    scribe.write("exchange.appealed", "y", appeal="a-0")


def test_whatever_is_remembered_of_the_past_is_bounded() -> None:
    """By the memory and a quarter of it, however much one request brings."""
    book = Book(memory=8)
    past = {
        "closed": book.closed,
        "decided": book.decided,
        "appeals": book.appeals,
        "answers": book.answers,
        "wanted": book.drafts.wanted,
        "given": book.samples.given,
        "passed": book.samples.passed,
        "opened": book.samples.opened,
        "grants cleared": book.grants.cleared,
        "grants named": book.grants.named,
        "openings cleared": book.break_glass.cleared,
        "openings named": book.break_glass.named,
    }
    kept: list[Any] = list(past.values())
    for where in kept:
        where.update({str(number): None for number in range(100)})
    book.commit()
    assert {name: len(where) for name, where in past.items()} == dict.fromkeys(past, 8)

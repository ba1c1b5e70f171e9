"""The book of rules: what is refused changes nothing, what is rolled back never was."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sekisho_audit.rules import Book, RuleBroken

BOOT = "boot-1"


class Scribe:
    """Writes leaves in order, as far as the book cares."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.index = 0

    def leaf(self, kind: str, exchange: str | None = None, **data: Any) -> dict[str, Any]:
        return {
            "id": f"e-{self.index}",
            "n": self.index,
            "boot": BOOT,
            "ts": 1,
            "type": kind,
            "exchange": exchange,
            "principal": "p-1",
            "actor": None,
            "data": data,
            "pl": [],
        }

    def write(self, kind: str, exchange: str | None = None, **data: Any) -> dict[str, Any]:
        leaf = self.leaf(kind, exchange, **data)
        self.book.begin()
        self.book.apply(leaf)
        self.book.commit()
        self.index += 1
        return leaf


def state(book: Book) -> Any:
    """Everything the book knows."""
    known = (book.writer, book.sessions, book.intents, book.closed, book.decided, book.holds)
    return copy.deepcopy(known)


@pytest.fixture
def scribe() -> Scribe:
    made = Scribe(Book())
    made.write("audit.boot", boot=BOOT, last=-1, cut=0)
    made.write("session.opened", session="s-1", pid=1)
    return made


def decide(scribe: Scribe, exchange: str, effect: str = "allow", **obligations: Any) -> None:
    scribe.write(
        "policy.decision", exchange, stage="request", effect=effect, obligations=obligations
    )


def broken(scribe: Scribe, kind: str, exchange: str | None = None, **data: Any) -> str:
    """The code of the refusal; the book is as before."""
    before = state(scribe.book)
    with pytest.raises(RuleBroken) as caught:
        scribe.write(kind, exchange, **data)
    scribe.book.roll_back()
    assert state(scribe.book) == before
    return caught.value.code


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
    scribe.write("audit.shutdown", boot=BOOT)
    assert broken(scribe, "request.received", "x") == "after_shutdown"


def test_shutdown_and_closing_need_all_outcomes(scribe: Scribe) -> None:
    """Nothing may be left open behind a clean stop or a closed session."""
    decide(scribe, "x")
    scribe.write("backend.intent", "x", session="s-1")
    assert broken(scribe, "audit.shutdown", boot=BOOT) == "open_intents"
    assert broken(scribe, "session.closed", session="s-1", cause="ended") == "open_intents"


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
    assert broken(scribe, "hold.filed", "x", hold="h", version=1) == "undecided_hold"


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

"""The book of rules: what is refused changes nothing, what is rolled back never was."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sekisho_audit.rules import APPEALS_MAX, APPROVAL_LATE_US, Book, RuleBroken

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
    return copy.deepcopy((*known, book.held, book.appeals))


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


# -- holds

EXPIRES_US = 1_000_000
TWO_GROUPS = [
    {"reviewers": "reviewer", "approve": 1, "deny": 1},
    {"reviewers": "security", "approve": 1, "deny": 1},
]
TWO_OF_ONE = [{"reviewers": "reviewer", "approve": 2, "deny": 2}]
NAMED = {"hold": "h", "version": 1, "binding": "b"}


class Held:
    """A hold of p-1, and what people say about it."""

    def __init__(self, scribe: Scribe, thresholds: list[dict[str, Any]], **more: Any) -> None:
        self.scribe = scribe
        decide(scribe, "x", "hold", hold={"stage": "request"})
        terms = {"stage": "request", "expires_us": EXPIRES_US, "backend": "local", **more}
        scribe.write("hold.filed", "x", **NAMED, thresholds=thresholds, **terms)
        self.reviews: list[str] = []

    def leaf(self, who: str, decision: str = "approve", **more: Any) -> dict[str, Any]:
        leaf = self.scribe.leaf("hold.review", "x", **NAMED, decision=decision, **more)
        return leaf | {"actor": who}

    def say(self, who: str, decision: str = "approve", **more: Any) -> None:
        leaf = self.leaf(who, decision, **more)
        self.scribe.book.begin()
        self.scribe.book.apply(leaf)
        self.scribe.book.commit()
        self.scribe.index += 1
        self.reviews.append(leaf["id"])

    def refused(self, who: str, decision: str = "approve", **more: Any) -> str:
        with pytest.raises(RuleBroken) as caught:
            self.scribe.book.apply(self.leaf(who, decision, **more))
        return caught.value.code

    def settled(self, *reviews: str) -> dict[str, Any]:
        return {**NAMED, "state": "approved", "reviews": list(reviews or self.reviews)}

    def approve_at(self, ts: int) -> None:
        leaf = self.scribe.leaf("hold.settled", "x", **self.settled()) | {"ts": ts}
        self.scribe.book.apply(leaf)


def test_one_person_does_not_fill_two_thresholds(scribe: Scribe) -> None:
    """Two groups asked for are two people, also if one person is in both."""
    held = Held(scribe, TWO_GROUPS)
    held.say("p-2", counts_for=["reviewer", "security"])
    assert broken(scribe, "hold.settled", "x", **held.settled()) == "unreviewed_approval"
    held.say("p-3", counts_for=["security"])
    scribe.write("hold.settled", "x", **held.settled())


@pytest.mark.parametrize("cited", [True, False])
def test_enough_denials_stand_against_an_approval(scribe: Scribe, cited: bool) -> None:
    """Also if the settlement cites only those who approve."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    held.say("p-2", "deny")
    held.say("p-3")
    told = held.reviews if cited else held.reviews[1:]
    assert broken(scribe, "hold.settled", "x", **held.settled(*told)) == "denied_approval"


def test_fewer_denials_than_asked_for_do_not(scribe: Scribe) -> None:
    """With two denials needed, one is outvoted."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-2", "deny")
    held.say("p-3")
    held.say("p-4")
    scribe.write("hold.settled", "x", **held.settled())


def test_silence_never_approves(scribe: Scribe) -> None:
    """After its time a hold is not approved; what was decided in time may be written just after."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    held.say("p-2")
    with pytest.raises(RuleBroken, match="time to approve"):
        held.approve_at(EXPIRES_US + APPROVAL_LATE_US + 1)
    held.approve_at(EXPIRES_US + APPROVAL_LATE_US)


def test_late_denial_is_taken(scribe: Scribe) -> None:
    """Only an approval can come too late: every other end lets nothing through."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    settled = {**held.settled(), "state": "expired", "reviews": []}
    leaf = scribe.leaf("hold.settled", "x", **settled) | {"ts": EXPIRES_US * 1_000}
    scribe.book.apply(leaf)


def test_later_allow_does_not_free_a_held_exchange(scribe: Scribe) -> None:
    """What policy once wanted people to see is sent with their approval or not at all."""
    decide(scribe, "x", "hold", hold={"stage": "request"})
    decide(scribe, "x", "allow")
    assert broken(scribe, "backend.intent", "x", session="s-1") == "unapproved_intent"


def test_filed_hold_binds_its_exchange(scribe: Scribe) -> None:
    """Also when the decision that led to it said allow, or was forgotten."""
    decide(scribe, "x", "allow")
    terms = {"stage": "request", "expires_us": 9, "backend": "local", "thresholds": TWO_OF_ONE}
    scribe.write("hold.filed", "x", **NAMED, **terms)
    scribe.book.decided.clear()
    decide(scribe, "x", "allow")
    assert broken(scribe, "backend.intent", "x", session="s-1") == "unapproved_intent"


def test_approved_exchange_is_decided_again_and_sent(scribe: Scribe) -> None:
    """The line as the gateway walks it: hold, approval, allow, intent that names the hold."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    held.say("p-2")
    scribe.write("hold.settled", "x", **held.settled())
    decide(scribe, "x", "allow")
    scribe.write("backend.intent", "x", session="s-1", backend="local", **NAMED)


def test_forgotten_holds_leave_nothing_behind(scribe: Scribe) -> None:
    """What is kept for a hold goes with it."""
    Held(scribe, TWO_OF_ONE)
    scribe.book.forget_holds(EXPIRES_US + 1)
    assert (scribe.book.holds, scribe.book.held) == ({}, {})


# -- delegates


@pytest.mark.parametrize(
    ("who", "seat"), [("p-1", "p-2"), ("p-2", "p-1"), ("p-9", "p-2"), ("p-2", "p-9")]
)
def test_nobody_reviews_through_a_delegate(scribe: Scribe, who: str, seat: str) -> None:
    """Neither speaker nor seat may be the requester p-1 or the person p-9 behind it."""
    held = Held(scribe, TWO_OF_ONE, person="p-9")
    assert held.refused(who, person=seat) == "self_review"


SHARED = {
    "the seat of the first": ("p-2", None),
    "the delegate in their own name": ("p-3", None),
    "another delegate in that seat": ("p-4", "p-2"),
    "the delegate in another seat": ("p-3", "p-4"),
    "the first as delegate of somebody": ("p-2", "p-4"),
    "somebody in the delegate's seat": ("p-4", "p-3"),
}


@pytest.mark.parametrize("story", SHARED)
def test_delegate_and_seat_are_one_human(scribe: Scribe, story: str) -> None:
    """After p-3 spoke in the seat of p-2, neither is heard again, under whatever name."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-3", person="p-2")
    who, seat = SHARED[story]
    more = {} if seat is None else {"person": seat}
    assert held.refused(who, **more) == "second_review"
    assert broken(scribe, "hold.settled", "x", **held.settled()) == "unreviewed_approval"


def test_two_delegates_in_two_seats_are_two(scribe: Scribe) -> None:
    """Four people, two reviews, nobody in both."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-3", person="p-2")
    held.say("p-5", person="p-4")
    scribe.write("hold.settled", "x", **held.settled())


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

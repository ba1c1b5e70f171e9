"""Answers of which nobody has said what became of them: so many at most, and no more leaves."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.carried import book_json, read_book
from support.scribe import Scribe, broken, decide, opened, state

REVIEW = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def intent(scribe: Scribe, exchange: str) -> str:
    """Something is about to leave; its id."""
    data = {"session": "s-1", "backend": "b", "model": "m"}
    return str(scribe.write("backend.intent", exchange, **data)["id"])


def refused(scribe: Scribe, exchange: str) -> str:
    """The code with which an intent is refused."""
    return broken(scribe, "backend.intent", exchange, session="s-1", backend="b", model="m")


def answered(scribe: Scribe, exchange: str, status: str = "released", **asked: Any) -> None:
    """A request and its answer, of which a word is wanted."""
    decide(scribe, exchange, **{"drafts_max": 2, **asked})
    sent = intent(scribe, exchange)
    scribe.write("backend.outcome", exchange, intent=sent, status=status)


def said(scribe: Scribe, exchange: str, by: str = "p-1") -> None:
    """What became of it."""
    leaf = scribe.leaf("draft.answered", exchange, decision="accepted")
    leaf["actor"] = by
    scribe.take(leaf)


def test_no_more_leaves_while_too_many_are_open(scribe: Scribe) -> None:
    """Until whoever asked has said of one what became of it; nobody else can say it."""
    answered(scribe, "x-1")
    answered(scribe, "x-2")
    decide(scribe, "x-3", drafts_max=2)
    assert refused(scribe, "x-3") == "drafts_outstanding"

    said(scribe, "x-1", by="p-reviewer")
    assert refused(scribe, "x-3") == "drafts_outstanding"
    said(scribe, "x-1")
    intent(scribe, "x-3")


def test_what_is_on_its_way_counts(scribe: Scribe) -> None:
    """Several at once are several; what came to nothing makes room."""
    for exchange in ("x-1", "x-2", "x-3"):
        decide(scribe, exchange, drafts_max=2)
    first = intent(scribe, "x-1")
    intent(scribe, "x-2")
    assert refused(scribe, "x-3") == "drafts_outstanding"

    scribe.write("backend.outcome", "x-1", intent=first, status="failed")
    intent(scribe, "x-3")
    assert refused(scribe, "x-1") == "drafts_outstanding"


@pytest.mark.parametrize("status", ["cancelled", "stopped", "failed", "unknown"])
def test_what_was_read_in_part_is_open(scribe: Scribe, status: str) -> None:
    """Nobody gets around their word by hanging up before the last chunk."""
    for exchange in ("x-1", "x-2"):
        decide(scribe, exchange, drafts_max=2)
        sent = intent(scribe, exchange)
        scribe.write("backend.outcome", exchange, intent=sent, status=status, chunks=3)
    decide(scribe, "x-3", drafts_max=2)
    assert refused(scribe, "x-3") == "drafts_outstanding"
    said(scribe, "x-1")
    sent = intent(scribe, "x-3")
    scribe.write("backend.outcome", "x-3", intent=sent, status=status, chunks=0)
    decide(scribe, "x-4", drafts_max=2)
    intent(scribe, "x-4")


def test_another_attempt_of_one_is_the_same_one(scribe: Scribe) -> None:
    """It does not stand in its own way."""
    answered(scribe, "x-1")
    decide(scribe, "x-2", drafts_max=2)
    intent(scribe, "x-2")
    intent(scribe, "x-2")
    assert scribe.book.drafts.open == {"p-1": ("x-1", "x-2")}


@pytest.mark.parametrize("status", ["failed", "stopped", "cancelled", "unknown"])
def test_what_came_to_nothing_is_not_open(scribe: Scribe, status: str) -> None:
    """There is nothing of which a word could be said."""
    for number in range(5):
        answered(scribe, f"x-{number}", status)
    assert scribe.book.drafts.open == {}


def test_only_under_decisions_that_want_it(scribe: Scribe) -> None:
    """Others neither count nor are stopped; each decision has a number of its own."""
    decide(scribe, "x-0")
    sent = intent(scribe, "x-0")
    scribe.write("backend.outcome", "x-0", intent=sent, status="released")
    answered(scribe, "x-1")
    answered(scribe, "x-2")
    decide(scribe, "x-3")
    intent(scribe, "x-3")
    answered(scribe, "x-4", drafts_max=3)


@pytest.mark.parametrize("odd", [0, -1, "2", None, True, 1.5])
def test_a_number_that_cannot_be_read_is_the_smallest(scribe: Scribe, odd: Any) -> None:
    """Where least is let through."""
    answered(scribe, "x-1")
    decide(scribe, "x-2", drafts_max=odd)
    assert refused(scribe, "x-2") == "drafts_outstanding"


def test_a_later_decision_does_not_take_it_back(scribe: Scribe) -> None:
    """The strictest counts."""
    answered(scribe, "x-1")
    decide(scribe, "x-2", drafts_max=1)
    decide(scribe, "x-2", drafts_max=9)
    decide(scribe, "x-2")
    assert refused(scribe, "x-2") == "drafts_outstanding"


def test_a_held_answer_is_open_when_people_released_it(scribe: Scribe) -> None:
    """And not while it waits, nor if it was denied."""
    rules = scribe.book.drafts
    decide(scribe, "x-1", drafts_max=2)
    leaf = scribe.leaf("backend.intent", "x-1")
    rules.check_intent(leaf)
    rules.end("x-1", "p-1", {"status": "held"})
    assert rules.open == {}
    rules.release(scribe.leaf("hold.released", "x-1"))
    assert rules.open == {"p-1": ("x-1",)}


def test_it_is_carried_over_a_cut(scribe: Scribe) -> None:
    """Read back it is what it was; a book without is written as before."""
    assert "drafts" not in book_json(scribe.book)
    answered(scribe, "x-1")

    told = book_json(scribe.book)
    again = read_book(told, "o", None)

    assert state(again) == state(scribe.book)
    assert told["drafts"] == {"wanted": [["x-1", 2]], "open": [["p-1", ["x-1"]]]}


def test_a_refused_request_leaves_nothing(scribe: Scribe) -> None:
    """Rolled back, the book is as before."""
    before = state(scribe.book)
    scribe.book.begin()
    scribe.book.apply(
        scribe.leaf(
            "policy.decision",
            "x-1",
            stage="request",
            effect="allow",
            obligations={"drafts_max": 1},
        )
    )
    scribe.book.roll_back()
    assert state(scribe.book) == before

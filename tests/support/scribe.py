"""Leaves written into a book of rules one by one, as far as the book cares."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sekisho_audit.rules import Book
from sekisho_audit.standing import RuleBroken

BOOT = "boot-1"


class Scribe:
    """Writes leaves in order, as far as the book cares."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.index = 0
        self.boot = BOOT

    def leaf(self, kind: str, exchange: str | None = None, **data: Any) -> dict[str, Any]:
        """The next leaf, not written."""
        return {
            "id": f"e-{self.index}",
            "n": self.index,
            "boot": self.boot,
            "ts": 1,
            "type": kind,
            "exchange": exchange,
            "principal": "p-1",
            "actor": None,
            "data": data,
            "pl": [],
        }

    def write(self, kind: str, exchange: str | None = None, **data: Any) -> dict[str, Any]:
        """Write the next leaf, as a request of its own. Raises RuleBroken."""
        leaf = self.leaf(kind, exchange, **data)
        self.take(leaf)
        return leaf

    def take(self, leaf: dict[str, Any]) -> None:
        """Write a leaf made by hand."""
        self.book.begin()
        self.book.apply(leaf)
        self.book.commit()
        self.index += 1


def opened() -> Scribe:
    """A scribe with a book of its own, and one session open."""
    made = Scribe(Book())
    made.write("audit.boot", boot=BOOT, last=-1, cut=0)
    made.write("session.opened", session="s-1", pid=1)
    return made


def decide(scribe: Scribe, exchange: str, effect: str = "allow", **obligations: Any) -> None:
    """Policy answers about the request."""
    scribe.write(
        "policy.decision", exchange, stage="request", effect=effect, obligations=obligations
    )


def state(book: Book) -> Any:
    """Everything the book knows."""
    known = (book.writer, book.sessions, book.intents, book.closed, book.decided, book.holds)
    more = (book.answers, book.held, book.held_answers, book.appeals, book.boots)
    officers = book.officers
    custody = (officers.duties, officers.pairs, officers.holds, officers.begun)
    halts, grants = book.halts.standing, book.grants
    granted = (grants.standing, grants.named, grants.cleared, book.drafts.wanted, book.drafts.open)
    samples = book.samples
    drawn = (samples.terms, samples.given, samples.passed, samples.standing, samples.tallies)
    let_go = samples.opened
    glass = book.break_glass
    opened = (glass.standing, glass.named, glass.cleared)
    ruled = (drawn, let_go, halts, *granted, *opened)
    return copy.deepcopy((*known, *more, *custody, officers.open, officers.erased, *ruled))


def broken(scribe: Scribe, kind: str, exchange: str | None = None, **data: Any) -> str:
    """The code of the refusal; the book is as before."""
    before = state(scribe.book)
    with pytest.raises(RuleBroken) as caught:
        scribe.write(kind, exchange, **data)
    scribe.book.roll_back()
    assert state(scribe.book) == before
    return caught.value.code

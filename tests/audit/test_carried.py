"""What is carried over a cut is what it was, and nothing that is not a state reads as one."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from sekisho_audit.carried import (
    CARRIED_EVENTS,
    BadCarried,
    book_json,
    custody_json,
    read_book,
    read_custody,
)
from sekisho_audit.custody import Custody
from sekisho_audit.events import BadEvent
from sekisho_audit.recover import State
from sekisho_audit.rules import MEMORY_EVENTS, Book
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.standing import Answer, Decided, Filed
from support.ledgers import ORIGIN, HeldAnswer, open_ledger, run_held_answer

GOLDEN = Path(__file__).parents[1] / "golden" / "ledgers"


def leaves() -> list[dict[str, Any]]:
    """Those of the newest golden ledger: all rules meet in it."""
    ledger = max(GOLDEN.glob("*/**/events")).parent
    return [orjson.loads(f.body) for s in segments(ledger, EVENTS) for f in frames(s, EVENTS)]


def test_a_book_goes_on_at_any_cut() -> None:
    """Cut anywhere, written as JSON and read back: in the end it is the same book."""
    whole, every = Book(), leaves()
    for leaf in every:
        whole.apply(leaf)
        whole.commit()
    for cut in range(len(every) + 1):
        first = Book()
        for leaf in every[:cut]:
            first.apply(leaf)
            first.commit()
        second = read_book(json.loads(json.dumps(book_json(first))), every[0]["log"], None)
        for leaf in every[cut:]:
            second.apply(leaf)
            second.commit()
        assert book_json(second) == book_json(whole), cut


def test_custody_goes_on_at_any_cut() -> None:
    whole, every = Custody(), leaves()
    for leaf in every:
        whole.apply(leaf)
    for cut in range(len(every) + 1):
        first = Custody()
        for leaf in every[:cut]:
            first.apply(leaf)
        second = read_custody(json.loads(json.dumps(custody_json(first))))
        for leaf in every[cut:]:
            second.apply(leaf)
        assert second == whole, cut


def test_as_much_is_carried_as_any_writer_knows() -> None:
    """A writer forgets in steps; what it may still know is there for the verifier too."""
    book = Book(MEMORY_EVENTS)
    most = 0
    for number in range(MEMORY_EVENTS * 2):
        book.closed[str(number)] = ""
        if number % 1_000 == 0:
            book.commit()
            most = max(most, len(book.closed))
    assert most <= CARRIED_EVENTS


def test_every_member_is_looked_at() -> None:
    """Whatever stands in its place, it is refused and nothing falls over."""
    book = Book()
    for leaf in leaves():
        book.apply(leaf)
        book.commit()
    log = leaves()[0]["log"]
    said = json.loads(json.dumps(book_json(book)))
    assert book_json(read_book(said, log, None)) == said
    for member in said:
        for wrong in (None, 7, "x", [7], [[7, 7]], [["a"]], {"a": 1}, [["a", [1]]], [{}]):
            with pytest.raises((BadCarried, BadEvent, KeyError, TypeError)):
                read_book({**said, member: wrong}, log, None)
    for sizes in ([], [["else", 1]], [["size", 1], ["more", 1]]):
        with pytest.raises(BadCarried):
            read_book({**said, "pruned": sizes}, log, None)
    kept = json.loads(json.dumps(custody_json(Custody())))
    for member in kept:
        for wrong in (7.5, "x", [7], {"a": 1}, [["a"]]):
            with pytest.raises(BadCarried):
                read_custody({**kept, member: wrong})


def test_answers_that_wait_go_on_at_any_cut(tmp_path: Path) -> None:
    """What was foreseen and said of them, and what was released."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    for stage in ("tool_call", "response"):
        run_held_answer(ledger, "s-1", stage)
    waiting = HeldAnswer()
    ledger.append_batch(waiting.asked("s-1"))
    ledger.append_batch(waiting.waiting())
    files = segments(ledger.directory, EVENTS)
    every = [orjson.loads(f.body) for s in files for f in frames(s, EVENTS)]
    whole, copies = Book(), []
    for leaf in every:
        copies.append(read_book(json.loads(json.dumps(book_json(whole))), ORIGIN, None))
        for book in (whole, *copies):
            book.apply(leaf)
            book.commit()
    assert whole.answers
    assert all(book_json(book) == book_json(whole) for book in copies)
    ledger.close()


def test_answers_are_read_as_they_were_written_before_any_could_be_held() -> None:
    """A decision that was about the answer: that it wanted people, that it denied."""
    said = json.loads(json.dumps(book_json(Book())))
    asked = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
    said["answers"] = [["x", ["hold", True, "r", asked]], ["y", ["deny", False, None, None]]]
    book = read_book(said, ORIGIN, None)
    assert book.answers == {
        "x": Answer({"response": tuple(asked)}),
        "y": Answer(denied=True),
    }


def test_a_reason_is_carried() -> None:
    """That it was asked for, and that it was given; only `true` says so."""
    every = leaves()
    book, log = Book(), every[0]["log"]
    filed = next(leaf for leaf in every if leaf["type"] == "hold.filed")
    said = {**filed, "type": "hold.justified", "actor": filed["principal"], "data": {}, "pl": []}
    said["data"] = {name: filed["data"][name] for name in ("hold", "version", "binding")}
    book.holds["h"] = Filed("h", filed, justified=said)
    book.decided["x"] = Decided("allow", must_hold=False, must_justify=True)
    told = json.loads(json.dumps(book_json(book)))
    again = read_book(told, log, None)
    assert (again.holds, again.decided) == ({"h": book.holds["h"]}, book.decided)
    for wrong in (False, 1, None, "x"):
        told["decided"][0][1][-1] = wrong
        with pytest.raises(BadCarried):
            read_book(told, log, None)
    told["decided"] = []
    for bad in (None, filed, {}):
        told["holds"][0]["justified"] = bad
        with pytest.raises((BadCarried, BadEvent, KeyError, TypeError)):
            read_book(told, log, None)


def test_nothing_that_leaves_add_up_to_is_left_behind() -> None:
    """Whoever lets leaves say something new decides here what of it must outlive them."""
    assert {one.name for one in fields(Custody)} == set(custody_json(Custody()))
    names = {name for name in vars(Book()) if not name.startswith("_")}
    # Where some stand: tests of their rules.
    told = {"halts", "grants", "drafts", "samples", "break_glass"}
    assert names - told == set(book_json(Book()))
    carried = {"edge", "book", "sums", "custody", "rotations"}
    of_the_disk = {"recent", "firsts", "events", "payloads", "hold_payloads", "cut", "roots"}
    of_what_is_under_way = {"arrivals"}  # nothing is that began before the cut
    known = carried | of_the_disk | of_what_is_under_way | {"pruned"}
    assert {one.name for one in fields(State)} == known

"""Rows of answers follow the ledger: in any step, again from nothing, and after pruning."""

from __future__ import annotations

from pathlib import Path

from sekisho_audit.history_file import HistoryFile
from sekisho_audit.review_figures import Figures
from sekisho_audit.review_rows import ReviewRows
from support.ledgers import ORIGIN, REVIEWER, HeldExchange, open_ledger, run_held_exchange
from support.review_leaves import Written, kept


def figures(path: Path, ledger: Path, size: int, step: int) -> Figures:
    """What a file built in such steps, opened anew for each, tells."""
    while True:
        file = HistoryFile(path, ledger, ORIGIN, lambda _: True)
        more = file.advance(size, step)
        found = file.figures(0, 1)
        file.close()
        if not more:
            return found


def test_any_step_gives_the_same_rows(tmp_path: Path) -> None:
    """One event at a time with a new process each, or all at once; what a real writer wrote."""
    ledger = open_ledger(tmp_path, segment_bytes=8_192)
    ledger.open_session("s-1", 1)
    for _ in range(4):
        run_held_exchange(ledger, "s-1")
    denied = HeldExchange()
    ledger.append_batch(denied.filing())
    review = denied.review(answer="deny")
    ledger.append_batch([review, denied.settled([review], "denied")])
    whole = figures(tmp_path / "data" / "whole.db", ledger.directory, ledger.size, 10_000)
    slow = figures(tmp_path / "data" / "slow.db", ledger.directory, ledger.size, 1)
    ledger.close()
    assert slow == whole
    assert (whole["total"]["decisions"], whole["total"]["approved"]) == (5, 4)
    assert len(whole["people"]) == 1
    assert REVIEWER not in str(whole)


def test_an_answer_whose_filing_is_gone_is_not_counted() -> None:
    """Pruning took the filing with it: neither a rule nor a time is known."""
    written = Written()
    written.answered("h", "p-1", "approve")
    assert kept(written.leaves).execute("SELECT count(*) FROM answered").fetchone() == (0,)


def test_rules_of_a_request_are_not_those_of_its_answer() -> None:
    """The hold of a request has those that held it; that of the answer has both."""
    written = Written()
    written.decided("x-h", "r.ask")
    written.filed("h")
    written.decided("x-h", "r.call", stage="tool_call")
    written.add("hold.filed", "x-h", hold="a", version=1, stage="tool_call")
    found = set(kept(written.leaves).execute("SELECT hold, rule FROM ruled"))
    assert found == {("h", "r.ask"), ("a", "r.ask"), ("a", "r.call")}


def test_a_test_item_is_told_from_a_request_by_its_leaves_alone() -> None:
    """From the one that puts it there on, in memory and after a restart; others are none."""
    written = Written()
    written.decided("x-h", "r.a")
    written.filed("h")
    written.seeded("t", "r.a")
    written.answered("t", "p-1", "deny")
    written.answered("h", "p-1", "deny")
    db = kept(written.leaves)
    rows = ReviewRows(db)
    rows.load()
    about = [rows.is_test(leaf) for leaf in written.leaves]
    assert about == [False, False, True, True, False]
    assert [n for (n,) in db.execute("SELECT n FROM answered WHERE seeded")] == [3]

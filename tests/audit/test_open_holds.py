"""Holds come back with their content as long as keys and bytes are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.errors import Poisoned
from support.ledgers import CANARY, REVIEWER, STAFF, HeldAnswer, HeldExchange, open_ledger


def test_delegate_and_seat_come_back_apart(tmp_path: Path) -> None:
    """Who spoke and in whose name are both known again, by their ids."""
    ledger = open_ledger(tmp_path)
    held = HeldExchange()
    ledger.append_batch([*held.filing(), held.review("deputy-2", person=REVIEWER)])
    [found] = ledger.open_holds()
    [review] = found.reviews
    assert (review["reviewer"], review["person"]) == ("deputy-2", REVIEWER)
    assert found.record == b"record:" + CANARY


def test_hold_of_an_answer_is_used_by_its_release(tmp_path: Path) -> None:
    """Approved until then, though its exchange was sent before; then like one that was sent."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    held = HeldAnswer()
    ledger.append_batch(held.asked("s-1"))
    ledger.append_batch(held.waiting())
    review = held.review()
    ledger.append_batch([review, held.settled([review])])
    [found] = ledger.open_holds()
    assert (found.intent, found.outcome) == (False, None)
    assert found.settled is not None
    assert found.settled["state"] == "approved"
    ledger.append_batch([held.released()])
    [found] = ledger.open_holds()
    assert (found.intent, found.outcome) == (True, "released")


def test_holds_are_given_in_order_from_a_place(tmp_path: Path) -> None:
    """`after` leaves out what was given before."""
    ledger = open_ledger(tmp_path)
    for _ in range(3):
        ledger.append_batch(HeldExchange().filing())
    names = [item.hold for item in ledger.open_holds()]
    assert names == sorted(names)
    assert [item.hold for item in ledger.open_holds(names[0])] == names[1:]


def test_hold_of_somebody_erased_is_left_out(tmp_path: Path) -> None:
    """Without its key there is nothing to build a hold from."""
    ledger = open_ledger(tmp_path)
    ledger.append_batch(HeldExchange().filing())
    ledger._keyring.erase(STAFF)
    assert list(ledger.open_holds()) == []


def test_damaged_content_stops_the_writer(tmp_path: Path) -> None:
    """A payload that does not fit its hash any more is evidence changed under us."""
    ledger = open_ledger(tmp_path)
    ledger.append_batch(HeldExchange().filing())
    [path] = (ledger.directory / "payloads").iterdir()
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(Poisoned):
        list(ledger.open_holds())

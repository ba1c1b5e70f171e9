"""Content of the live store is opened whole or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters import hold_content
from sekisho.adapters.hold_cipher import seal
from sekisho.errors import HoldStoreUnavailable
from sekisho.model.hold import HoldState, Justification, Review, StoredAnswer
from support.holds import CANARY, Desk

KEY = b"k" * 32
NONE_OF = ("hops", "settled_index", "outcome", "proposal", "deciding_us", "justification")


@given(st.integers(100, 599), st.text(max_size=50), st.binary(max_size=200))
def test_an_answer_comes_back_exactly(status: int, content_type: str, body: bytes) -> None:
    """Status, content type and body, byte for byte."""
    answer = StoredAnswer(status, content_type, body)
    sealed = hold_content.seal_answer(KEY, "hold_1", 1, answer)
    assert hold_content.open_answer(KEY, "hold_1", 1, sealed) == answer


async def test_a_view_is_put_together_from_its_fields(desk: Desk) -> None:
    """State, reviews, and the reason of the denial as the outcome's reason."""
    hold = (await desk.file()).hold
    reviews = [
        Review(f"r-{n}", hold.id, 1, f"p-{n}", f"p-{n}", said, f"because {n}", "b", 0)
        for n, said in enumerate(("approve", "deny"))
    ]
    row = {"state": b"denied", "version": b"1", "record": hold_content.seal_hold(KEY, hold)}
    rest = dict.fromkeys(NONE_OF)
    sealed = [hold_content.seal_review(KEY, review) for review in reviews]
    view = hold_content.open_view(hold.id, KEY, row | rest, sealed)
    assert (view.hold, view.state) == (hold, HoldState.DENIED)
    assert view.reviews == tuple(reviews)
    assert view.outcome_reason == "because 1"


async def test_a_justification_is_sealed_for_its_hold(desk: Desk) -> None:
    """It opens for the hold it was said of, and for no other."""
    hold = (await desk.file(justify=True)).hold
    said = Justification("j-1", hold.id, 1, "staff-7", CANARY, "b", 5)
    sealed = hold_content.seal_justification(KEY, said)
    assert CANARY.encode() not in sealed
    row = {"state": b"pending", "version": b"1", "record": hold_content.seal_hold(KEY, hold)}
    row |= {**dict.fromkeys(NONE_OF), "justification": sealed}
    assert hold_content.open_view(hold.id, KEY, row, []).justification == said
    other = hold_content.seal_justification(KEY, replace(said, hold="hold_1"))
    with pytest.raises(HoldStoreUnavailable):
        hold_content.open_view(hold.id, KEY, row | {"justification": other}, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [("state", b"approved!"), ("record", None), ("record", seal(KEY, "hold_1", "record", 1, b"x"))],
    ids=["state", "no record", "no JSON inside"],
)
async def test_a_row_that_makes_no_sense_is_refused(name: str, value: bytes | None) -> None:
    """An unknown state or a record that is not one: an error, never a guess."""
    row = dict.fromkeys((*NONE_OF, "record"))
    good = {"state": b"pending", "version": b"1"}
    with pytest.raises(HoldStoreUnavailable) as caught:
        hold_content.open_view("hold_1", KEY, row | good | {name: value}, [])
    assert caught.value.code == "hold_unreadable"

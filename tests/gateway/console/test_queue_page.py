from __future__ import annotations

from dataclasses import replace

from sekisho.console.queue_page import queue_page
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldCard, HoldState
from sekisho.model.principal import Scope
from support.holds import REVIEWER, ROBOT, STAFF, STRANGER

CARD = HoldCard(
    id="hold_1",
    state=HoldState.PENDING,
    exchange="x",
    version=1,
    stage="request",
    principal="staff-7",
    person="staff-7",
    endpoint="chat.completions",
    model="m",
    backend="b",
    stream=False,
    revision="sha256:0",
    rules=("r",),
    thresholds=(Threshold("reviewer", 1, 1),),
    risk=0,
    created_us=0,
    expires_us=1_000_000_000,
    outgoing_bytes=1,
)


def card(name: str, left_s: int, risk: int = 0) -> HoldCard:
    """A hold that ends in `left_s` seconds from 0 on."""
    return replace(CARD, id=name, expires_us=left_s * 1_000_000, risk=risk)


def order(*cards: HoldCard) -> list[str]:
    """The names in the order of the queue."""
    return [line.card.id for line in queue_page(cards, REVIEWER, 0).waiting]


def test_what_ends_first_is_in_front_and_risk_counts_in() -> None:
    """Risk 50 is as urgent as none with half the time."""
    assert order(card("b", 200), card("a", 100)) == ["a", "b"]
    assert order(card("b", 100), card("a", 100, 1)) == ["a", "b"]
    assert order(card("b", 100, 0), card("a", 190, 50)) == ["a", "b"]
    assert order(card("b", 100, 0), card("a", 210, 50)) == ["b", "a"]
    assert order(card("b", 100, 100), card("a", 0, 0)) == ["a", "b"]


def test_what_is_over_has_no_time_left() -> None:
    """Not less than none."""
    page = queue_page([card("a", 1)], REVIEWER, 5_000_000)
    assert page.waiting[0].left_s == 0


def test_ones_own_stand_apart_from_what_one_reviews() -> None:
    """Nobody reviews what they asked, nor what their service account did."""
    own = replace(CARD, id="own", principal="robot-1", person="reviewer-1")
    page = queue_page([CARD, own], REVIEWER, 0)

    assert [line.card.id for line in page.waiting] == ["hold_1"]
    assert [line.card.id for line in page.own] == ["own"]


def test_what_waits_for_others_first_stands_apart() -> None:
    """Until its step opens."""
    asked = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))
    waits = replace(CARD, thresholds=asked)
    page = queue_page([waits], REVIEWER, 0)
    assert (page.waiting, [line.card.id for line in page.others_turn]) == ((), ["hold_1"])
    page = queue_page([replace(waits, open_step=2)], REVIEWER, 0)
    assert ([line.card.id for line in page.waiting], page.others_turn) == (["hold_1"], ())
    assert (
        queue_page([waits], replace(REVIEWER, scopes=frozenset({Scope.SELF})), 0).others_turn == ()
    )


def test_who_does_not_review_is_shown_no_empty_list_of_reviews() -> None:
    """By role, by group, or by a key that was made for something else."""
    assert queue_page([], REVIEWER, 0).reviews
    assert not queue_page([], STAFF, 0).reviews
    assert not queue_page([CARD], replace(REVIEWER, scopes=frozenset({Scope.SELF})), 0).waiting
    assert not queue_page([CARD], ROBOT, 0).waiting
    by_group = replace(CARD, thresholds=(Threshold("sales", 1, 1),))
    assert queue_page([by_group], STRANGER, 0).reviews

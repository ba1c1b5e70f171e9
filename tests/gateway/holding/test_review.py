"""Who may answer a hold; the races and the wire are tested beside the store and over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound
from sekisho.holding.review import (
    REASON_CHARS_MAX,
    RISK_NEEDS_REASON,
    Seat,
    find,
    is_own,
    may_review,
    may_see,
    review,
    seat_of,
    withdraw,
)
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState
from sekisho.model.principal import Principal, Role
from support.holds import (
    REVIEWER,
    REVIEWER_2,
    ROBOT,
    STAFF,
    STRANGER,
    TWO_REVIEWS,
    Desk,
    person,
)

SECOND = frozenset({(Role.REVIEWER, "reviewer-2")})
MIXED = (Threshold("reviewer", 1, 1), Threshold("security", 1, 1))


DEPUTY = replace(
    person("deputy-1"),
    roles=frozenset({Role.EMPLOYEE, Role.REVIEWER}),
    stands_in_for=frozenset({"reviewer-1", "reviewer-2"}),
    lent=frozenset({(Role.REVIEWER, "reviewer-1"), (Role.REVIEWER, "reviewer-2")}),
)


def test_reviewers_are_named_by_role_or_group() -> None:
    """In the order of the thresholds, each once."""
    both = person("reviewer-3", Role.REVIEWER, groups=("security",))

    assert Seat("reviewer-3", ("reviewer", "security")) == seat_of(both, MIXED)
    assert Seat("reviewer-1", ("reviewer",)) == seat_of(REVIEWER, (*MIXED, MIXED[0]))
    assert seat_of(STRANGER, MIXED) is None


def test_a_service_account_never_reviews() -> None:
    """A person decides, whatever roles its account was given."""
    robot = Principal("robot-2", frozenset(Role), frozenset({"security"}), owner="reviewer-9")
    assert seat_of(robot, MIXED) is None


def test_a_delegate_takes_a_free_seat_of_those_who_lent_the_role() -> None:
    """Their own comes first; the lender's group is not lent with the role."""
    assert Seat("reviewer-1", ("reviewer",)) == seat_of(DEPUTY, MIXED)
    second = seat_of(DEPUTY, MIXED, frozenset({"reviewer-1"}))
    assert Seat("reviewer-2", ("reviewer",)) == second
    own = replace(DEPUTY, groups=frozenset({"security"}))
    assert Seat("deputy-1", ("security",)) == seat_of(own, MIXED)


async def test_a_delegate_answers_once_for_one_seat(desk: Desk) -> None:
    """Two approvals are two people: not a delegate twice, and not with the one who appointed."""
    view = await desk.file(thresholds=TWO_REVIEWS)
    after = await desk.approve(view, DEPUTY)
    assert ("deputy-1", "reviewer-1") == (after.reviews[0].reviewer, after.reviews[0].person)

    assert 1 == len((await desk.approve(view, DEPUTY)).reviews)
    for again in (REVIEWER, person("deputy-1", Role.REVIEWER), replace(DEPUTY, lent=SECOND)):
        with pytest.raises(Conflict) as caught:
            await desk.review(view, again, "deny", "no")
        assert "already_reviewed" == caught.value.code
    assert HoldState.APPROVED == (await desk.approve(view, REVIEWER_2)).state


async def test_a_delegate_does_not_answer_for_whom_they_stand_in(desk: Desk) -> None:
    """Neither what the lender asked, nor what the lender's service account asked."""
    for requester in (person("reviewer-1"), ROBOT):
        view = await desk.file(requester.id, principal=requester)
        with pytest.raises(Forbidden) as caught:
            await desk.approve(view, DEPUTY)
        assert "self_approval" == caught.value.code
        assert not may_review(DEPUTY, view)


async def test_the_person_behind_a_request_is_no_reviewer_of_it(desk: Desk) -> None:
    """Not under their own name, and not for their service account."""
    mine = await desk.file(principal=person("staff-7", Role.REVIEWER))
    robots = await desk.file("other", principal=ROBOT)

    assert is_own(STAFF, mine.hold)
    assert is_own(REVIEWER, robots.hold)
    assert not may_review(person("staff-7", Role.REVIEWER), mine)
    assert not may_review(REVIEWER, robots)
    assert may_see(REVIEWER, robots)
    assert may_review(REVIEWER, mine)


async def test_reviewing_ones_own_request_is_refused(desk: Desk) -> None:
    """With a code that says why."""
    view = await desk.file(principal=ROBOT)
    with pytest.raises(Forbidden) as caught:
        await desk.approve(view, REVIEWER)
    assert "self_approval" == caught.value.code


@pytest.mark.parametrize("hold_id", ["", "hold_x", "hold_" + "0" * 32, "*", "hold_" + "0" * 31])
async def test_what_is_not_there_and_what_is_not_yours_look_the_same(
    desk: Desk, hold_id: str
) -> None:
    """Nobody learns from an answer which holds exist."""
    view = await desk.file()
    said = set()
    for wanted in (hold_id, view.hold.id):
        with pytest.raises(NotFound) as caught:
            await find(desk.store, STRANGER, wanted)
        said.add(caught.value.message)
    assert 1 == len(said)


async def test_a_review_of_something_else_does_not_count(desk: Desk) -> None:
    """Another binding or version: the reviewer looked at other bytes."""
    view = await desk.file()
    for binding, version in (("0" * 64, None), (view.hold.binding, 2)):
        with pytest.raises(Conflict) as caught:
            await review(
                desk.store, desk.ledger, REVIEWER, view.hold.id,
                decision="approve", binding=binding, reason="looked", version=version,
            )  # fmt: skip
        assert "binding_mismatch" == caught.value.code


@pytest.mark.parametrize(
    ("decision", "reason", "risk", "code"),
    [
        ("deny", " ", 0, "reason_required"),
        ("approve", "", RISK_NEEDS_REASON, "reason_required"),
        ("approve", "x" * (REASON_CHARS_MAX + 1), 0, "invalid_request"),
        ("maybe", "x", 0, "invalid_request"),
    ],
)
async def test_words_that_are_missing_or_too_many_are_refused(
    desk: Desk, decision: str, reason: str, risk: int, code: str
) -> None:
    """Nothing is recorded of such a review."""
    view = await desk.file(risk=risk)
    with pytest.raises(BadRequest) as caught:
        await desk.review(view, REVIEWER, decision, reason)

    assert code == caught.value.code
    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (HoldState.PENDING, ()) == (after.state, after.reviews)


async def test_below_that_risk_an_approval_may_be_silent(desk: Desk) -> None:
    """Friction only where it helps."""
    view = await desk.file(risk=RISK_NEEDS_REASON - 1)
    assert HoldState.APPROVED == (await desk.review(view, REVIEWER, "approve", "")).state


async def test_one_person_cannot_be_two_reviewers(desk: Desk) -> None:
    """A second approval by the same person leaves the hold waiting for another."""
    view = await desk.file(thresholds=TWO_REVIEWS)
    await desk.approve(view)
    again = await desk.approve(view)

    assert HoldState.PENDING == again.state
    assert 1 == len(again.reviews)


async def test_only_the_requester_takes_a_request_back(desk: Desk) -> None:
    """A reviewer denies; withdrawing is not theirs."""
    view = await desk.file()
    with pytest.raises(NotFound):
        await withdraw(desk.store, desk.ledger, REVIEWER, view.hold.id)

    after = await withdraw(desk.store, desk.ledger, STAFF, view.hold.id)
    assert HoldState.WITHDRAWN == after.state

"""Answers in the place of who was asked: by whom policy named, when it is time, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.hold_rules import RELIEF_EARLY_US
from sekisho_audit.standing import RuleBroken
from sekisho_audit.thresholds import covered, merged, strict
from support.scribe import Scribe, broken, decide, opened

DESK = {"reviewers": "desk", "approve": 1, "deny": 1}
RELIEVED = {**DESK, "relief": ["head", "legal"]}
NAMED = {"hold": "h", "version": 1, "binding": "b"}
SINCE_US = 10 * RELIEF_EARLY_US


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def file(scribe: Scribe, *thresholds: dict[str, Any], asked: Any = None, **more: Any) -> None:
    """A hold as policy asked for it, or otherwise than it `asked`."""
    told = list(thresholds) if asked is None else asked
    decide(scribe, "x", "hold", hold={"stage": "request", "thresholds": told})
    terms = {"stage": "request", "expires_us": 10**15, "backend": "local", "relief_us": SINCE_US}
    scribe.write("hold.filed", "x", **NAMED, thresholds=list(thresholds), **(terms | more))


def review(scribe: Scribe, ts: int, relief: str | None = "head", **more: Any) -> dict[str, Any]:
    """The leaf of an approval at a time."""
    data = {**NAMED, "decision": "approve", "counts_for": ["desk"], **more}
    data |= {} if relief is None else {"relief": relief}
    return scribe.leaf("hold.review", "x", **data) | {"actor": "p-2", "ts": ts}


def refused(scribe: Scribe, leaf: dict[str, Any]) -> str:
    with pytest.raises(RuleBroken) as caught:
        scribe.book.apply(leaf)
    return caught.value.code


def test_relief_approves_when_it_is_time(scribe: Scribe) -> None:
    """By the ledger's clock; that of the store may be a minute ahead."""
    file(scribe, RELIEVED)
    early = SINCE_US - RELIEF_EARLY_US - 1
    assert refused(scribe, review(scribe, early)) == "early_relief"
    assert refused(scribe, review(scribe, early, decision="deny")) == "early_relief"
    given = review(scribe, early + 1)
    scribe.take(given)
    scribe.write("hold.settled", "x", **NAMED, state="approved", reviews=[given["id"]])


def test_a_hold_without_a_moment_has_no_relief(scribe: Scribe) -> None:
    """Whatever its thresholds say, those who are asked answer themselves."""
    decide(scribe, "x", "hold", hold={"stage": "request", "thresholds": [RELIEVED]})
    terms = {"stage": "request", "expires_us": 10**15, "backend": "local"}
    scribe.write("hold.filed", "x", **NAMED, thresholds=[RELIEVED], **terms)
    assert refused(scribe, review(scribe, 10**14)) == "early_relief"
    scribe.take(review(scribe, 10**14, relief=None))


@pytest.mark.parametrize(
    ("relief", "counts_for"),
    [
        ("sales", ["desk"]),  # nobody named them
        ("desk", ["desk"]),  # they are asked themselves
        ("head", ["other"]),  # whom they do not relieve
        ("head", ["desk", "other"]),
        ("head", []),
        ("", ["desk"]),
    ],
)
def test_nobody_else_answers_in_their_place(
    scribe: Scribe, relief: str, counts_for: list[str]
) -> None:
    """By no other group and for no other."""
    file(scribe, RELIEVED, {"reviewers": "other", "approve": 1, "deny": 1})
    leaf = review(scribe, SINCE_US, relief, counts_for=counts_for)
    assert refused(scribe, leaf) == "review_out_of_turn"


def test_who_counts_for_any_relieves_nobody(scribe: Scribe) -> None:
    """A review without `counts_for` would count for all thresholds."""
    file(scribe, RELIEVED)
    leaf = review(scribe, SINCE_US)
    del leaf["data"]["counts_for"]
    assert refused(scribe, leaf) == "review_out_of_turn"


def test_relief_is_of_a_step(scribe: Scribe) -> None:
    """Who relieves those of the second has nothing to say at the first."""
    second = {**RELIEVED, "step": 2}
    file(scribe, DESK, second)
    assert refused(scribe, review(scribe, SINCE_US)) == "review_out_of_turn"
    scribe.take(review(scribe, SINCE_US, relief=None))
    scribe.take(review(scribe, SINCE_US, step=2) | {"actor": "p-3"})


def test_relief_is_nobody_who_asked_and_nobody_twice(scribe: Scribe) -> None:
    """The rules of reviews are theirs."""
    file(scribe, {**RELIEVED, "approve": 2})
    assert refused(scribe, review(scribe, SINCE_US) | {"actor": "p-1"}) == "self_review"
    scribe.take(review(scribe, SINCE_US))
    assert refused(scribe, review(scribe, SINCE_US, "legal")) == "second_review"


@pytest.mark.parametrize(
    "given", [{**DESK, "relief": ["sales"]}, {**RELIEVED, "relief": ["head", "legal", "sales"]}]
)
def test_no_hold_has_more_relief_than_policy_wants(scribe: Scribe, given: dict[str, Any]) -> None:
    """Neither at first nor in a later version; less is stricter and stays possible there."""
    decide(scribe, "x", "hold", hold={"stage": "request", "thresholds": [RELIEVED]})
    terms = {"stage": "request", "expires_us": 10**15, "backend": "local", "relief_us": SINCE_US}
    assert (
        broken(scribe, "hold.filed", "x", **NAMED, thresholds=[given], **terms) == "undecided_hold"
    )
    scribe.write("hold.filed", "x", **NAMED, thresholds=[RELIEVED], **terms)
    second = {**NAMED, "version": 2, **terms}
    assert broken(scribe, "hold.filed", "x", **second, thresholds=[given]) == "undecided_hold"
    scribe.write("hold.filed", "x", **second, thresholds=[DESK])


@pytest.mark.parametrize(
    ("asked", "enough"),
    [
        (RELIEVED, True),
        ({**RELIEVED, "relief": ["legal", "head", "sales"]}, True),
        ({**RELIEVED, "relief": ["head"]}, False),
        (DESK, False),
        ({**RELIEVED, "relief": "head"}, False),
        ({**RELIEVED, "relief": [1]}, False),
        ({**RELIEVED, "relief": None}, False),
    ],
)
def test_what_relief_approved_is_enough_while_it_may(asked: dict[str, Any], enough: bool) -> None:
    """Rules that changed meanwhile ask those whom they want to hear."""
    assert covered([asked], [RELIEVED]) is enough
    assert strict([asked], [RELIEVED]) is enough


def test_relief_is_what_all_want() -> None:
    """What two decisions ask of a group is answered in its place by whom both let."""
    assert merged([RELIEVED], [{**RELIEVED, "relief": ["legal"]}]) == [
        {**DESK, "relief": ["legal"]}
    ]
    assert merged([RELIEVED], [DESK]) == [DESK]


def test_an_edit_moves_no_moment(scribe: Scribe) -> None:
    """Neither earlier nor later, nor is there one where there was none."""
    file(scribe, RELIEVED)
    edited = {**NAMED, "version": 2, "editor": "p-3", "narrowed": False}
    terms = {"stage": "request", "expires_us": 10**15, "backend": "local"}
    given = edited | terms | {"thresholds": [RELIEVED]}
    for moved in (1, SINCE_US - 1, SINCE_US + 1):
        assert broken(scribe, "hold.filed", "x", **given, relief_us=moved) == "early_relief"
    scribe.write("hold.filed", "x", **given, relief_us=SINCE_US)
    third = given | {"version": 3, "thresholds": [DESK]}
    scribe.write("hold.filed", "x", **third)
    assert (
        broken(scribe, "hold.filed", "x", **(third | {"version": 4}), relief_us=SINCE_US)
        == "early_relief"
    )

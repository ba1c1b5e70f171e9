"""Enough reviews are enough people, and enough denials stand against any approval."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from sekisho.holding.tally import tally
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState, Review
from sekisho_audit.thresholds import covered, missing, objection, people

TWO = [
    {"reviewers": "reviewer", "approve": 1, "deny": 1},
    {"reviewers": "security", "approve": 1, "deny": 2},
]


def said(who: str, decision: str = "approve", *groups: str, person: str | None = None) -> Any:
    data: dict[str, Any] = {"decision": decision}
    if groups:
        data["counts_for"] = list(groups)
    if person:
        data["person"] = person
    return {"actor": who, "data": data}


def test_one_person_in_two_groups_is_one_person() -> None:
    """Two thresholds need two people, however many groups one of them belongs to."""
    both = said("p-1", "approve", "reviewer", "security")
    assert missing(TWO, [both]) == "2 people are required, each for one threshold; 1 can be counted"
    assert missing(TWO, [both, said("p-2", "approve", "reviewer")]) is None


@pytest.mark.parametrize(
    ("asked", "enough"),
    [
        ([], True),
        (TWO, True),
        (TWO[:1], True),
        ([{**TWO[0], "approve": 2}], False),
        ([{**TWO[0], "reviewers": "legal"}], False),
        ([{**TWO[0], "approve": True}], False),
        ([{"reviewers": "reviewer"}], False),
        ([{"approve": 1}], False),
        ([[]], False),
        (None, False),
    ],
)
def test_reviews_cover_what_is_asked_later(asked: Any, enough: bool) -> None:
    """The same groups, no more approvals; what does not read is covered by nothing."""
    assert covered(asked, TWO) is enough


def test_people_are_seated_where_all_find_a_place() -> None:
    """Whoever may sit in either place makes room for who may sit in one only, in any order."""
    both, only = said("p-1", "approve", "reviewer", "security"), said("p-2", "approve", "reviewer")
    assert missing(TWO, [both, only]) is None
    assert missing(TWO, [only, both]) is None
    assert missing(TWO, [only, said("p-3", "approve", "reviewer")]) is not None


def test_denials_count_whether_or_not_they_are_cited() -> None:
    """The objection looks at every review; below its number there is none."""
    deny = said("p-1", "deny", "security")
    assert objection(TWO, [deny]) is None
    assert objection(TWO, [deny, said("p-2", "deny", "security")]) is not None
    assert objection(TWO, [said("p-1", "deny", "reviewer")]) is not None


def test_threshold_without_denials_is_denied_by_one() -> None:
    """Nought or less does not mean that nobody can deny, nor that everybody has."""
    never = [{"reviewers": "reviewer", "approve": 1, "deny": 0}]
    assert objection(never, []) is None
    assert objection(never, [said("p-1", "deny", "reviewer")]) is not None


def test_absurd_number_of_approvals_costs_nothing() -> None:
    """A threshold of a quadrillion is answered at once, not by building that many seats."""
    absurd = [{"reviewers": "reviewer", "approve": 2**53 - 1, "deny": 1}]
    assert missing(absurd, [said("p-1")]) is not None


def test_people_are_the_speaker_and_the_seat() -> None:
    """A delegate and whoever they speak for are both behind a review."""
    assert people(said("p-1")) == {"p-1"}
    assert people(said("p-1", person="p-2")) == {"p-1", "p-2"}


GROUPS = [("reviewer",), ("security",), ("reviewer", "security")]
ANSWERS = list(product(["approve", "deny"], GROUPS))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_ledger_and_gateway_come_to_the_same_answer(count: int) -> None:
    """What the gateway's tally approves is what this module approves, over all small cases."""
    wanted = tuple(Threshold(t["reviewers"], t["approve"], t["deny"]) for t in TWO)
    for answers in product(ANSWERS, repeat=count):
        leaves = [said(f"p-{n}", word, *groups) for n, (word, groups) in enumerate(answers)]
        reviews = [
            Review(str(n), "h", 1, f"p-{n}", f"p-{n}", word, "", "b", 0, counts_for=groups)
            for n, (word, groups) in enumerate(answers)
        ]
        ours = objection(TWO, leaves) is None and missing(TWO, leaves) is None
        assert ours == (tally(wanted, 1, reviews) is HoldState.APPROVED), answers

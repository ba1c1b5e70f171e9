"""Reviews in order: who is asked later answers later, as another person, or the ledger refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.holding.tally import tally
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState, Review
from sekisho.model.steps import open_step as gateway_open_step
from sekisho_audit.standing import RuleBroken
from sekisho_audit.thresholds import (
    covered,
    merged,
    missing,
    objection,
    open_step,
    out_of_turn,
    steps_of,
    strict,
)
from support.scribe import Scribe, broken, decide, opened

LEAD = {"reviewers": "team-lead", "approve": 1, "deny": 1}
COMPLIANCE = {"reviewers": "compliance", "approve": 1, "deny": 1, "step": 2}
IN_ORDER = [LEAD, COMPLIANCE]
NAMED = {"hold": "h", "version": 1, "binding": "b"}


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def file(scribe: Scribe, thresholds: list[dict[str, Any]], *, asked: Any = None) -> None:
    """A hold as policy asked for it, or otherwise than it `asked`."""
    told = thresholds if asked is None else asked
    decide(scribe, "x", "hold", hold={"stage": "request", "thresholds": told})
    terms = {"stage": "request", "expires_us": 10**6, "backend": "local"}
    scribe.write("hold.filed", "x", **NAMED, thresholds=thresholds, **terms)


def review(scribe: Scribe, who: str, group: str, step: int = 1, **more: Any) -> dict[str, Any]:
    """The leaf of a review; without `step` in it where it is the first."""
    data = {**NAMED, "decision": "approve", "counts_for": [group], **more}
    if step > 1:
        data["step"] = step
    return scribe.leaf("hold.review", "x", **data) | {"actor": who}


def refused(scribe: Scribe, leaf: dict[str, Any]) -> str:
    with pytest.raises(RuleBroken) as caught:
        scribe.book.apply(leaf)
    return caught.value.code


def settle(*reviews: dict[str, Any]) -> dict[str, Any]:
    return {**NAMED, "state": "approved", "reviews": [one["id"] for one in reviews]}


def test_a_hold_is_approved_step_by_step(scribe: Scribe) -> None:
    """The second step opens when the first has its approvals; then the hold is approved."""
    file(scribe, IN_ORDER)
    first = review(scribe, "p-2", "team-lead")
    scribe.take(first)
    assert broken(scribe, "hold.settled", "x", **settle(first)) == "unreviewed_approval"
    second = review(scribe, "p-3", "compliance", 2)
    scribe.take(second)
    assert broken(scribe, "hold.settled", "x", **settle(second)) == "unreviewed_approval"
    scribe.write("hold.settled", "x", **settle(first, second))


@pytest.mark.parametrize("decision", ["approve", "deny"])
@pytest.mark.parametrize(
    ("group", "step"),
    [
        ("compliance", 2),  # their step is not open
        ("compliance", 1),  # they say that they are asked first
        ("team-lead", 2),  # those who are asked first say that they are second
        ("nobody", 1),
        ("team-lead", 3),
        ("team-lead", 0),
    ],
)
def test_nobody_answers_at_a_step_that_is_not_open(
    scribe: Scribe, group: str, step: int, decision: str
) -> None:
    """Neither approves nor denies, whatever step is named in the review."""
    file(scribe, IN_ORDER)
    leaf = review(scribe, "p-3", group, step, decision=decision)
    leaf["data"]["step"] = step
    assert refused(scribe, leaf) == "review_out_of_turn"


@pytest.mark.parametrize("step", [1, 2])
def test_a_review_of_the_first_step_is_none_of_the_second(scribe: Scribe, step: int) -> None:
    """Replayed for it, by a colleague who would have been asked first, it does not stand."""
    file(scribe, IN_ORDER)
    scribe.take(review(scribe, "p-2", "team-lead"))
    assert refused(scribe, review(scribe, "p-3", "team-lead", step)) == "review_out_of_turn"


def test_a_group_that_is_asked_twice_is_two_people(scribe: Scribe) -> None:
    """At both steps the same group: whoever answered first does not answer second."""
    file(scribe, [LEAD, {**LEAD, "step": 2}])
    scribe.take(review(scribe, "p-2", "team-lead"))
    assert refused(scribe, review(scribe, "p-2", "team-lead", 2)) == "second_review"
    # Meant for the step before, by somebody who did not know yet that another had answered.
    assert refused(scribe, review(scribe, "p-3", "team-lead", 1)) == "review_out_of_turn"
    scribe.take(review(scribe, "p-3", "team-lead", 2))


def test_a_delegate_sits_at_one_step(scribe: Scribe) -> None:
    """Not for two lenders at two steps, nor does the lender sit at the other one themselves."""
    file(scribe, IN_ORDER)
    scribe.take(review(scribe, "p-9", "team-lead", person="p-2"))
    assert refused(scribe, review(scribe, "p-9", "compliance", 2, person="p-3")) == "second_review"
    assert refused(scribe, review(scribe, "p-8", "compliance", 2, person="p-2")) == "second_review"
    assert refused(scribe, review(scribe, "p-2", "compliance", 2)) == "second_review"
    scribe.take(review(scribe, "p-8", "compliance", 2, person="p-3"))


def test_a_denial_at_the_open_step_stands_against_all(scribe: Scribe) -> None:
    """Whoever approves afterwards, and whatever is cited."""
    file(scribe, [LEAD, {**COMPLIANCE, "approve": 1}])
    first, second = review(scribe, "p-2", "team-lead"), review(scribe, "p-3", "compliance", 2)
    scribe.take(first)
    scribe.take(review(scribe, "p-4", "compliance", 2, decision="deny"))
    scribe.take(second)
    assert broken(scribe, "hold.settled", "x", **settle(first, second)) == "denied_approval"


def test_a_new_version_begins_with_the_first_step(scribe: Scribe) -> None:
    """An edit voids what was said at all steps."""
    file(scribe, IN_ORDER)
    scribe.take(review(scribe, "p-2", "team-lead"))
    terms = {"stage": "request", "expires_us": 10**6, "backend": "local"}
    again = {**NAMED, "version": 2}
    scribe.write("hold.filed", "x", **again, thresholds=IN_ORDER, **terms)
    assert refused(scribe, review(scribe, "p-3", "compliance", 2, version=2)) == (
        "review_out_of_turn"
    )
    scribe.take(review(scribe, "p-2", "team-lead", version=2))


def edit(scribe: Scribe, *, version: int = 2, **more: Any) -> dict[str, Any]:
    """The leaf of a version that somebody made by an edit."""
    terms = {"stage": "request", "expires_us": 10**6, "backend": "local", "thresholds": IN_ORDER}
    data = {**NAMED, "version": version, **terms, "editor": "p-7", **more}
    return scribe.leaf("hold.filed", "x", **data)


def test_an_edit_is_made_at_the_step_that_is_open(scribe: Scribe) -> None:
    """Who read the first step voids nothing of what opened the second, and nobody is ahead."""
    file(scribe, IN_ORDER)
    assert refused(scribe, edit(scribe, step=2)) == "edit_out_of_turn"
    scribe.take(review(scribe, "p-2", "team-lead"))
    assert refused(scribe, edit(scribe)) == "edit_out_of_turn"
    assert refused(scribe, edit(scribe, step=3)) == "edit_out_of_turn"
    scribe.take(edit(scribe, step=2))
    scribe.take(edit(scribe, version=3))


def test_what_is_asked_anew_is_no_edit(scribe: Scribe) -> None:
    """A version after the approval still says who wrote it, and is asked at all steps again."""
    file(scribe, IN_ORDER)
    first, second = review(scribe, "p-2", "team-lead"), review(scribe, "p-3", "compliance", 2)
    scribe.take(first)
    scribe.take(second := {**second, "id": "r-2"})
    scribe.write("hold.settled", "x", **settle(first, second))
    scribe.take(edit(scribe))


@pytest.mark.parametrize("given", [[LEAD, {**COMPLIANCE, "step": 1}], [LEAD], [COMPLIANCE]])
def test_a_hold_asks_in_the_order_that_policy_asked(scribe: Scribe, given: Any) -> None:
    """All at once is not one after the other."""
    given = [{k: v for k, v in one.items() if (k, v) != ("step", 1)} for one in given]
    decide(scribe, "x", "hold", hold={"stage": "request", "thresholds": IN_ORDER})
    terms = {"stage": "request", "expires_us": 9, "backend": "local", "thresholds": given}
    assert broken(scribe, "hold.filed", "x", **NAMED, **terms) == "undecided_hold"


def test_without_steps_everything_is_as_it_was(scribe: Scribe) -> None:
    """Ledgers of before know no steps: a review that counts for nobody is still one."""
    file(scribe, [LEAD, {"reviewers": "compliance", "approve": 1, "deny": 1}])
    for who, group in (("p-2", "compliance"), ("p-3", "other"), ("p-4", "team-lead")):
        scribe.take(review(scribe, who, group))


@pytest.mark.parametrize(
    ("asked", "enough"),
    [
        (IN_ORDER, True),
        ([LEAD], True),
        ([COMPLIANCE], True),
        ([{**LEAD, "step": 1}], True),
        ([{**LEAD, "step": 2}], False),
        ([{"reviewers": "compliance", "approve": 1, "deny": 1}], False),
        ([{**COMPLIANCE, "step": "2"}], False),
        ([{**COMPLIANCE, "step": True}], False),
        ([{**COMPLIANCE, "step": None}], False),
        ([{**COMPLIANCE, "step": []}], False),
    ],
)
def test_what_was_approved_in_order_covers_the_same_order(asked: Any, enough: bool) -> None:
    """A group counts at the step at which it was asked; one that does not read is not."""
    assert covered(asked, IN_ORDER) is enough
    assert strict(asked, IN_ORDER) is enough


def test_what_two_ask_is_merged_at_each_step() -> None:
    """The same group at two steps stays asked twice."""
    both = merged([LEAD, {**COMPLIANCE, "deny": 2}], [{**COMPLIANCE, "approve": 2}, COMPLIANCE])
    assert both == [LEAD, {**COMPLIANCE, "approve": 3}]
    twice = merged([LEAD], [{**LEAD, "step": 2}])
    assert twice == [LEAD, {**LEAD, "step": 2}]


GROUPS = ("a", "b")
THRESHOLDS = st.lists(
    st.builds(
        Threshold,
        st.sampled_from(GROUPS),
        st.integers(1, 2),
        st.integers(1, 2),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: (one.reviewers, one.step),
)
SAID = st.lists(
    st.tuples(
        st.sampled_from(["approve", "approve", "approve", "deny"]),
        st.sampled_from([("a",), ("b",), ("a", "b")]),
    ),
    max_size=7,
)


def leaf_of(number: int, decision: str, counts_for: tuple[str, ...], step: int) -> dict[str, Any]:
    data: dict[str, Any] = {"decision": decision, "counts_for": list(counts_for), "step": step}
    return {"id": str(number), "actor": f"p-{number}", "data": data}


@given(THRESHOLDS, SAID)
def test_ledger_and_gateway_open_the_same_steps(
    thresholds: list[Threshold], said: list[tuple[str, tuple[str, ...]]]
) -> None:
    """Review after review both find the same step open, and the same end."""
    asked = [one.told() for one in thresholds]
    leaves: list[dict[str, Any]] = []
    reviews: list[Review] = []
    for number, (decision, counts_for) in enumerate(said):
        now = open_step(asked, leaves)
        assert now == gateway_open_step(thresholds, reviews)
        leaf = leaf_of(number, decision, counts_for, now)
        if out_of_turn(asked, leaves, leaf) is not None:
            continue  # the gateway would not have let them
        leaves.append(leaf)
        who = f"p-{number}"
        one = Review(str(number), "h", 1, who, who, decision, "", "b", 0, counts_for, now)
        reviews.append(one)
        approved = objection(asked, leaves) is None and missing(asked, leaves) is None
        assert approved == (tally(thresholds, 1, reviews) is HoldState.APPROVED)


@given(THRESHOLDS, SAID)
def test_approved_means_that_each_step_was_filled_after_the_one_before(
    thresholds: list[Threshold], said: list[tuple[str, tuple[str, ...]]]
) -> None:
    """By people of its own, found by trying all ways to cut the reviews into steps."""
    asked = [one.told() for one in thresholds]
    leaves: list[dict[str, Any]] = []
    for number, (_, counts_for) in enumerate(said):
        leaf = leaf_of(number, "approve", counts_for, open_step(asked, leaves))
        if out_of_turn(asked, leaves, leaf) is None:
            leaves.append(leaf)
    if missing(asked, leaves) is not None:
        return
    groups = [tuple(leaf["data"]["counts_for"]) for leaf in leaves]
    steps = [
        [one.reviewers for one in thresholds if one.step == step for _ in range(one.approve)]
        for step in steps_of(asked)
    ]
    assert _cut(groups, steps)


def _cut(groups: list[tuple[str, ...]], steps: list[list[str]]) -> bool:
    """Whether some beginning of `groups` fills the first step and the rest the others."""
    if not steps:
        return True
    return any(
        _seats(groups[:end], steps[0]) and _cut(groups[end:], steps[1:])
        for end in range(len(groups) + 1)
    )


def _seats(groups: list[tuple[str, ...]], seats: list[str]) -> bool:
    if not seats:
        return True
    return any(
        seats[0] in one and _seats([*groups[:at], *groups[at + 1 :]], seats[1:])
        for at, one in enumerate(groups)
    )

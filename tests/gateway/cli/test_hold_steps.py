"""Whose turn it is and who answered, at a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.cli.hold_steps import answer_lines, asked_in_order, is_ordered, step_of_steps

THRESHOLDS = [
    {"reviewers": "team-lead", "approve": 1, "deny": 1, "step": 1},
    {"reviewers": "compliance", "approve": 2, "deny": 1, "step": 3},
]


def said(who: str, step: int = 1, decision: str = "approve", **more: Any) -> dict[str, Any]:
    """A review as the API tells it."""
    told = {"reviewer": who, "person": None, "step": step, "decision": decision, "reason": ""}
    return {**told, "version": 2, **more}


def a_hold(*reviews: dict[str, Any], open_step: int | None = 1) -> dict[str, Any]:
    """A hold with two steps."""
    shown = {"version": 2, "thresholds": THRESHOLDS, "open_step": open_step}
    return {**shown, "reviews": list(reviews)}


def test_steps_are_told_in_order_with_who_answered_at_them() -> None:
    """And what they wrote, for those who are asked after them."""
    first = said("lead-1", reason="The board knows.")
    assert answer_lines(a_hold(first, open_step=3)) == [
        "step 1    team-lead (1): approved",
        "          approved by lead-1: The board knows.",
        "step 3    compliance (2): now",
    ]
    assert answer_lines(a_hold())[1] == "step 3    compliance (2): not asked yet"


@pytest.mark.parametrize(
    ("reviews", "told"),
    [
        ((), ["not asked", "not asked"]),
        ((said("a"),), ["answered", "not asked"]),
        ((said("a", decision="deny"),), ["denied", "not asked"]),
    ],
)
def test_what_ended_is_told_as_far_as_it_came(
    reviews: tuple[dict[str, Any], ...], told: list[str]
) -> None:
    """A step that was not asked is not asked any more."""
    lines = answer_lines(a_hold(*reviews, open_step=None))
    assert [line.rsplit(": ", 1)[1] for line in lines if line.startswith("step")] == told


def test_a_delegate_is_named_with_whom_they_stood_in_for() -> None:
    """Also where there are no steps; reviews of versions before are not told."""
    plain = {**a_hold(said("deputy", person="lead-1"), said("x", version=1))}
    plain["thresholds"] = THRESHOLDS[:1]
    assert answer_lines(plain) == ["answer    approved by deputy for lead-1"]


def test_words_of_reviewers_do_not_drive_the_terminal() -> None:
    """They are somebody else's."""
    lines = answer_lines(a_hold(said("a\x1b[2J", reason="\u202eyes\nno")))
    assert not {"\x1b", "\u202e", "\n"} & set("".join(lines))


def test_the_open_step_stands_in_a_column() -> None:
    """Of those that there are; where there is one only, nothing is told."""
    assert (is_ordered(a_hold()), step_of_steps(a_hold())) == (True, "1 of 1, 3")
    assert step_of_steps(a_hold(open_step=None)) == "-"
    assert step_of_steps({**a_hold(), "thresholds": THRESHOLDS[1:]}) == "-"


def test_who_would_be_asked_is_told_by_steps() -> None:
    """Only where there are several."""
    assert [step for step, _ in asked_in_order(THRESHOLDS[::-1])] == ["Step 1: ", "Step 3: "]
    assert asked_in_order(THRESHOLDS[1:]) == [("", THRESHOLDS[1])]

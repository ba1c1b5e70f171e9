"""Whether an opening is for what is held: its rules and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sekisho.model.break_glass import answers, need
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations
from sekisho_audit.events import Event
from support.break_glass import OTHER_RULE, RULE, TERMS, held, needed, opening
from support.holds import ONE_REVIEW

EVENT = Event("d-1", "policy.decision", "x-1", "chief-1", {})
CALLS = HoldTerms("tool_call", ONE_REVIEW, 600, 10, rules=(RULE,))
ALLOWED = Decision(Effect.ALLOW, (), "sha256:0", Obligations())


def test_a_hold_needs_the_rules_behind_it() -> None:
    """All of them, whatever the risk, and whether or not a grant could answer."""
    found = need(EVENT, "request", held(TERMS, RULE, OTHER_RULE), (), 64)

    assert found is not None
    assert found.rules == {RULE, OTHER_RULE}


def test_what_was_foreseen_is_needed_too() -> None:
    """Also where rules say nothing any more."""
    other = replace(CALLS, rules=(OTHER_RULE,))
    found = need(EVENT, "tool_call", ALLOWED, (CALLS, other), 64)

    assert found is not None
    assert found.rules == {RULE, OTHER_RULE}


def test_what_nobody_holds_needs_nothing() -> None:
    """It stands beside what is held, without a use."""
    found = need(EVENT, "tool_call", ALLOWED, (), 64)

    assert found is not None
    assert found.rules == frozenset()


@pytest.mark.parametrize(
    ("decision", "foreseen"),
    [
        (replace(held(), effect=Effect.DENY), ()),
        (replace(held(), obligations=Obligations(hold=TERMS, justify=True)), ()),
        (replace(held(), obligations=Obligations()), ()),
        (replace(held(), reasons=()), ()),
        (held(replace(TERMS, no_break_glass=True)), ()),
        (held(replace(TERMS, stage="response")), ()),
        (held(replace(TERMS, thresholds=())), ()),
        (held(TERMS, *(f"rule.{number}" for number in range(65))), ()),
        (ALLOWED, (replace(TERMS, rules=()),)),
        (ALLOWED, (replace(TERMS, rules=(RULE,), no_break_glass=True),)),
        (held(), (replace(TERMS, rules=()),)),
    ],
)
def test_what_nothing_opens_is_not_tried(decision: Decision, foreseen: Any) -> None:
    """A denial, a reason asked for, terms that say so or do not read, rules that are not told."""
    assert need(EVENT, "request", decision, foreseen, 64) is None


def test_every_rule_must_be_named() -> None:
    """And something must be held at all: an opening is no pass."""
    one, two = needed(), needed("", "chief-1", RULE, OTHER_RULE)

    assert answers(opening(), [one])
    assert not answers(opening(), [one, two])
    assert answers(opening(rules=(OTHER_RULE, RULE)), [one, two])
    assert not answers(opening(), [])
    assert not answers(opening(), [replace(one, rules=frozenset())])


def test_it_is_open_for_its_time_and_overdue_after_its_review() -> None:
    """To the microsecond; what ended before its time is not open."""
    one = opening()

    assert one.open_at(one.until_us)
    assert not one.open_at(one.until_us + 1)
    assert not replace(one, ended="person").open_at(one.opened_us)
    assert not one.overdue_at(one.review_by_us)
    assert one.overdue_at(one.review_by_us + 1)

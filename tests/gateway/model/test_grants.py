"""Whether a grant is for what waits: every way in which it nearly is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sekisho.model.decision import Decision, Effect, HoldTerms, Reason, Threshold
from sekisho.model.grants import Asking, chosen, is_for, rules_of
from support.grants import FOR_STAFF, RULE, TERMS, grant, wanted
from support.holds import TWO_REVIEWS


def test_a_grant_is_for_what_it_names() -> None:
    assert is_for(grant(), FOR_STAFF, wanted())


@pytest.mark.parametrize(
    "other",
    [
        {"principal": "staff-8"},
        {"principal": None},
        {"principal": None, "group": "hr"},
        {"principal": "staff-7", "group": "sales"},
        {"backend": "cloud"},
        {"tool": "kb.write"},
        {"tool": None, "pattern": None},
        {"pattern": None},
        {"rules": ("default.content",)},
        {"rules": ()},
        {"risk_below": 50},
        {"counts_for": ("legal",), "confirmed_counts_for": ("legal",)},
        {"confirmed_by": None},
        {"halted": True},
        {"readable": False},
        {"used": 2},
        {"proposed_by": "staff-7"},
        {"confirmed_by": "staff-7"},
    ],
    ids=repr,
)
def test_a_grant_is_not_for_anything_else(other: dict[str, Any]) -> None:
    """Somebody else's, elsewhere, of another rule, unconfirmed, over, or one's own."""
    assert not is_for(grant(**other), FOR_STAFF, wanted())


@pytest.mark.parametrize(
    "other",
    [
        {"arguments": {"path": "/etc/passwd"}},
        {"arguments": {"path": "/reports/a", "force": True}},
        {"arguments": {}},
        {"tool": "KB.read"},
        {"backend": "DEMO"},
        {"stage": "response"},
        {"rules": frozenset({RULE, "default.content"})},
        {"rules": frozenset()},
        {"terms": replace(TERMS, no_grant=True)},
        {"terms": replace(TERMS, risk=60)},
        {"terms": replace(TERMS, thresholds=())},
        {"terms": replace(TERMS, stage="response")},
        {"terms": replace(TERMS, thresholds=(Threshold("reviewer", 3, 1),))},
        {"terms": replace(TERMS, thresholds=(Threshold("legal", 1, 1),))},
        {
            "terms": replace(
                TERMS, thresholds=(Threshold("reviewer", 1, 1), Threshold("reviewer", 1, 1, 2))
            )
        },
        {
            "terms": replace(
                TERMS, thresholds=(Threshold("legal", 1, 1), Threshold("reviewer", 1, 1))
            )
        },
    ],
)
def test_what_differs_in_anything_waits(other: dict[str, Any]) -> None:
    """Other arguments, rules that say no grant, more risk, more or other people, an order."""
    assert not is_for(grant(), FOR_STAFF, wanted(**other))


def test_a_service_account_of_who_agreed_has_nothing_of_it() -> None:
    """The person behind the principal counts, also for a group."""
    robot = Asking("robot-1", "reviewer-1", ("sales",))

    assert not is_for(grant(principal="robot-1"), robot, wanted())
    assert not is_for(grant(principal=None, group="sales"), robot, wanted())
    assert is_for(grant(principal="robot-1"), replace(robot, person="boss-1"), wanted())


def test_a_group_is_for_those_who_are_in_it() -> None:
    assert is_for(grant(principal=None, group="sales"), FOR_STAFF, wanted())


def test_two_persons_are_two_reviews() -> None:
    """Each counts for one threshold."""
    both = (Threshold("legal", 1, 1), Threshold("reviewer", 1, 1))
    terms = replace(TERMS, thresholds=both)

    assert is_for(grant(), FOR_STAFF, wanted(terms=replace(TERMS, thresholds=TWO_REVIEWS)))
    assert is_for(grant(counts_for=("legal", "reviewer")), FOR_STAFF, wanted(terms=terms))


def test_a_grant_for_requests_is_for_no_call() -> None:
    """And the other way round."""
    request = wanted(
        terms=HoldTerms("request", TERMS.thresholds, 60, 10), stage="request", tool=None
    )
    asked = grant(tool=None, pattern=None)

    assert is_for(asked, FOR_STAFF, replace(request, arguments=None))
    assert not is_for(asked, FOR_STAFF, request)
    assert not is_for(grant(), FOR_STAFF, replace(request, arguments=None))


def test_each_call_takes_a_use_of_its_own() -> None:
    """One that ends first is used first; where one call has none, none is answered."""
    first, later = grant(count=1, until_us=5), grant(count=1, until_us=9)
    two = [wanted(), wanted()]

    assert chosen([later, first], FOR_STAFF, two, 60) == [(first, 1), (later, 1)]
    assert chosen([first], FOR_STAFF, two, 60) is None
    assert chosen([grant(used=0)], FOR_STAFF, two, 60) is not None
    used = grant(count=5, used=2)
    assert chosen([used], FOR_STAFF, two, 60) == [(used, 3), (used, 4)]
    assert chosen([used], FOR_STAFF, [wanted(), wanted(tool="rm")], 60) is None


def test_the_setting_of_today_counts() -> None:
    """A grant of before it was lowered answers nothing above it."""
    assert chosen([grant()], FOR_STAFF, [wanted()], 51) is not None
    assert chosen([grant()], FOR_STAFF, [wanted()], 50) is None


def test_reasons_that_a_record_cannot_hold_are_not_granted() -> None:
    """The ledger has to see every rule."""
    reasons = tuple(Reason("r", "m", f"rule.{n}") for n in range(3))
    decision = Decision(Effect.HOLD, reasons, "sha256:0")

    assert rules_of(decision, 3) == {"rule.0", "rule.1", "rule.2"}
    assert rules_of(decision, 2) is None


def test_a_grant_is_over_when_nothing_can_come_of_it() -> None:
    assert not grant(until_us=5).over(5)
    assert grant(until_us=5).over(6)
    assert grant(used=2).over(1)
    assert grant(halted=True).over(1)

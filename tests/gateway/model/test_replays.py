from __future__ import annotations

from typing import Any

import pytest

from sekisho.model.replays import NO_GROUP, Recorded, Replayed, summary


def said(effect: str, code: str = "x", rule: str = "team.x", **more: Any) -> dict[str, Any]:
    reasons = [] if effect == "allow" else [{"code": code, "rule": rule, "msg": "Because."}]
    return {
        "stage": "request",
        "effect": effect,
        "reasons": reasons,
        "rules": [reason["rule"] for reason in reasons],
        "obligations": {},
        "revision": "sha256:0",
        **more,
    }


def pair(before: dict[str, Any], after: dict[str, Any], *groups: str) -> Replayed:
    return Replayed(Recorded(1, "exchange-1", 0, before, b"{}"), groups, before, after)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("allow", "allow", None),
        ("allow", "deny", "denied"),
        ("hold", "deny", "denied"),
        ("allow", "hold", "held"),
        ("deny", "hold", "held"),
        ("deny", "allow", "freed"),
        ("hold", "allow", "freed"),
    ],
)
def test_what_changes(before: str, after: str, change: str | None) -> None:
    """By the effect it ends with; the name of the revision alone is no change."""
    one = pair(said(before), said(after, revision="sha256:1"))
    assert one.change == change


def test_other_reasons_are_told_apart() -> None:
    """A decision with the same effect for another reason, or with more to do, is seen too."""
    assert pair(said("deny"), said("deny", "y")).change == "other"
    assert pair(said("allow"), said("allow", obligations={"max_tokens": 1})).change == "other"


def later(*stages: str) -> dict[str, Any]:
    return {"obligations": {"hold_later": [{"stage": stage} for stage in stages]}}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ((), ("response",), "held"),
        (("response",), (), "freed"),
        (("response",), ("tool_call",), "held"),
        (("tool_call", "response"), ("tool_call",), "freed"),
    ],
)
def test_what_is_held_later(before: tuple[str, ...], after: tuple[str, ...], change: str) -> None:
    """The request goes in both, and people wait for its answer: who plans reviews has to know."""
    assert pair(said("allow", **later(*before)), said("allow", **later(*after))).change == change
    assert pair(said("hold", **later(*before)), said("hold", **later(*after))).change == "other"


def test_by_stage() -> None:
    """Decisions about a request, its calls and its answer are told apart."""
    call = {"stage": "tool_call"}
    found = summary(
        [
            pair(said("allow"), said("allow", **later("response"))),
            pair(said("allow", **call), said("deny", **call)),
            pair(said("allow", **call), said("hold", **call)),
        ],
        unread=0,
        unlike=0,
        since_us=0,
        left_out=0,
    )
    assert found["stages"] == {
        "request": {"denied": 0, "held": 1, "freed": 0, "other": 0},
        "tool_call": {"denied": 1, "held": 1, "freed": 0, "other": 0},
    }
    assert [("request", ["response"]), ("tool_call", [])] == [
        (one["stage"], one["later"]) for one in found["examples"]["held"]
    ]


def test_the_sum() -> None:
    """By group and rule; what is freed counts for the rule that no longer speaks."""
    found = summary(
        [
            pair(said("allow"), said("deny", rule="team.new"), "sales", "staff"),
            pair(said("deny", rule="team.old"), said("allow"), "sales"),
            pair(said("allow"), said("hold", rule="team.new")),
            pair(said("allow"), said("allow"), "sales"),
        ],
        unread=2,
        unlike=1,
        since_us=7,
        left_out=3,
    )
    assert found["decisions"] == 4
    assert found["changed"] == {"denied": 1, "held": 1, "freed": 1, "other": 0}
    assert found["groups"]["sales"] == {"denied": 1, "held": 0, "freed": 1, "other": 0}
    assert found["groups"][NO_GROUP]["held"] == 1
    assert found["rules"]["team.new"] == {"denied": 1, "held": 1, "freed": 0, "other": 0}
    assert found["rules"]["team.old"]["freed"] == 1
    assert found["examples"]["denied"] == [
        {
            "exchange": "exchange-1",
            "stage": "request",
            "from": "allow",
            "to": "deny",
            "later": [],
            "rules": ["team.new"],
            "codes": ["x"],
        }
    ]
    assert (found["unread"], found["unlike"], found["left_out"]) == (2, 1, 3)

"""What would happen is told as it would happen, and in full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI

from sekisho.errors import DeniedByPolicy
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason, Threshold
from sekisho.model.facts import Facts, Found
from sekisho.model.hold import Pace
from sekisho.model.outgoing import Outgoing
from sekisho.stages.foretell import Known, foretell
from sekisho.web.openapi import described

FOUND = tuple(Found(("a",), n, n + 1, kind) for n, kind in enumerate(["email", "email", "card"]))
FACTS = Facts({}, "abroad", FOUND)
TERMS = HoldTerms(
    "request", (Threshold("reviewer", 2, 1, relief=("head",)), Threshold("legal", 1, 1)), 600, 70
)


def told(
    effect: Effect,
    *,
    rewritten: tuple[str, ...] = (),
    known: Known | None = None,
    **asked: Any,
) -> dict[str, Any]:
    """What is told of a decision with these obligations."""
    decision = Decision(effect, (Reason("r", "Because.", "a.b"),), "s", Obligations(**asked))
    facts = replace(FACTS, backend="house")
    outgoing = Outgoing(
        "x1", "staff-7", "house", "m", "e", "/p", b"{}", False, facts, decision, (), rewritten
    )
    return foretell("x1", FACTS, decision, outgoing, known or Known({"legal": Pace(8, 700)}))


def test_what_would_be_sent_and_what_would_change_it() -> None:
    """The backend is the one that policy sends it to; only what policy wants masked is."""
    said = told(
        Effect.ALLOW,
        rewritten=("redact", "max_tokens"),
        redact=("email",),
        log_level="full",
        retain_days=200,
        label_output=True,
    )
    assert said == {
        "object": "check",
        "exchange": "x1",
        "sent": False,
        "effect": "allow",
        "reasons": [{"code": "r", "message": "Because.", "texts": {}, "rule": "a.b"}],
        "backend": "house",
        "changed_by": ["redact", "max_tokens"],
        "masked": {"email": 2},
        "labelled": True,
        "kept": {"level": "full", "days": 200},
        "hold": None,
        "answer": {"read_whole": False, "holds": []},
        "justify": False,
        "answered_by": None,
        "drafts": None,
    }


@pytest.mark.parametrize(("now", "refused"), [(0, False), (2, False), (3, True), (4, True)])
def test_open_drafts_are_told_where_they_count(now: int, *, refused: bool) -> None:
    """With as many as may be open, this one would be refused."""
    said = told(Effect.ALLOW, drafts_max=3, known=Known(drafts_open=now))
    assert said["drafts"] == {"max": 3, "open": now, "refused": refused}
    assert told(Effect.DENY, drafts_max=3, known=Known(drafts_open=now))["drafts"] is None


def test_what_would_happen_to_the_answer() -> None:
    """Read whole, held on these terms, with what is known of those who would be asked."""
    assert {"read_whole": True, "holds": []} == told(Effect.ALLOW, review_response=True)["answer"]

    later = replace(TERMS, stage="tool_call")
    answer = told(Effect.ALLOW, hold_later=(later,))["answer"]

    assert answer["read_whole"]
    (hold,) = answer["holds"]
    assert ("tool_call", 600, 70) == (hold["stage"], hold["ttl_s"], hold["risk"])
    assert {"count": 8, "median_s": 700} == hold["asked"][1]["lately"]
    denied = told(Effect.DENY, hold_later=(later,))["answer"]
    assert {"read_whole": False, "holds": []} == denied


def test_who_would_be_asked_and_how_long_they_have() -> None:
    said = told(Effect.HOLD, hold=TERMS)
    assert "hold" == said["effect"]
    assert said["hold"] == {
        "asked": [
            {
                "reviewers": "reviewer",
                "approve": 2,
                "deny": 1,
                "step": 1,
                "relief": ["head"],
                "lately": None,
            },
            {
                "reviewers": "legal",
                "approve": 1,
                "deny": 1,
                "step": 1,
                "relief": [],
                "lately": {"count": 8, "median_s": 700},
            },
        ],
        "ttl_s": 600,
        "office_time": False,
        "risk": 70,
    }


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.HOLD])
def test_a_reason_that_would_be_asked_for_is_told(effect: Effect) -> None:
    said = told(effect, hold=TERMS, justify=True)
    assert (effect.value, True) == (said["effect"], said["justify"])


def test_a_deny_goes_nowhere() -> None:
    """Whatever obligations come with it."""
    said = told(Effect.DENY, redact=("email",), hold=TERMS, label_output=True, justify=True)
    assert ("deny", None, {}, None, False) == (
        said["effect"], said["backend"], said["masked"], said["hold"], said["justify"],
    )  # fmt: skip


def test_an_obligation_that_cannot_be_carried_out_is_a_deny() -> None:
    decision = Decision(Effect.ALLOW, (), "s")
    said = foretell("x1", FACTS, decision, DeniedByPolicy("No way.", code="no_route"), Known())
    assert ("deny", None) == (said["effect"], said["backend"])
    assert [
        {"code": "no_route", "message": "No way.", "texts": {}, "rule": "gateway.obligations"}
    ] == said["reasons"]


@pytest.mark.parametrize(
    "said",
    [
        told(Effect.ALLOW, label_output=True, justify=True),
        told(Effect.HOLD, hold=TERMS, hold_later=(replace(TERMS, stage="response"),)),
        told(Effect.HOLD, hold=TERMS, known=Known(answered_by="grant"), drafts_max=1),
        told(Effect.DENY),
        foretell(
            "x1",
            FACTS,
            Decision(Effect.ALLOW, (), "s"),
            DeniedByPolicy("No route.", code="no_route"),
            Known(),
        ),
    ],
    ids=["allow", "hold", "granted", "deny", "not to be carried out"],
)
def test_what_is_told_is_what_the_api_promises(said: dict[str, Any]) -> None:
    """Member for member, as /openapi.json describes it."""
    document = described(FastAPI())()
    answers = document["paths"]["/v1/check"]["post"]["responses"]
    schema = answers["200"]["content"]["application/json"]["schema"]

    jsonschema_rs.validate(schema, said)

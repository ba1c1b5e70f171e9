"""The contract with Rego, and the schema files that tell admins about it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sekisho.adapters.decision_wire import DecisionWire, to_decision
from sekisho.adapters.input_wire import InputWire
from sekisho.model.decision import Effect, HoldTerms, Obligations, Reason, Threshold
from support.policy_schemas import FOLDER, MODELS, rendered
from support.rules import document

FULL: dict[str, Any] = {
    "schema": "sekisho.decision/v1",
    "effect": "hold",
    "reasons": [{"code": "x", "msg": "X.", "rule": "r"}],
    "obligations": {
        "redact": ["email"],
        "hold": {
            "stage": "request",
            "thresholds": [{"reviewers": "reviewer", "approve": 2, "deny": 1}],
            "ttl_s": 60,
            "risk": 90,
        },
        "route": "backend-1",
        "max_tokens": 5,
        "allow_tools": [],
        "label_output": True,
        "justify": True,
        "retain_days": 7,
        "log_level": "metadata",
        "review_response": True,
        "notify": ["reviewer-1"],
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_schema_files(name: str) -> None:
    """The files say what the models say; `python -m support.policy_schemas` writes them."""
    assert rendered(MODELS[name]) == (FOLDER / name).read_text("utf-8")


def test_every_obligation_arrives() -> None:
    """Nothing of a decision is lost on the way to the line."""
    made = to_decision(
        DecisionWire.model_validate(FULL), revision="sha256:1", engine="e", took_us=3
    )

    assert (Effect.HOLD, "sha256:1", "e", 3) == (
        made.effect, made.revision, made.engine, made.took_us,
    )  # fmt: skip
    assert (Reason("x", "X.", "r"),) == made.reasons
    assert Obligations(
        redact=("email",),
        hold=HoldTerms("request", (Threshold("reviewer", 2, 1),), 60, 90),
        route="backend-1",
        max_tokens=5,
        allow_tools=(),
        label_output=True,
        justify=True,
        retain_days=7,
        log_level="metadata",
        review_response=True,
        notify=("reviewer-1",),
    ) == made.obligations  # fmt: skip


def test_absent_is_not_empty() -> None:
    """No list of allowed tools is not a list of none."""
    bare = DecisionWire.model_validate({**FULL, "effect": "allow", "obligations": {}})

    assert to_decision(bare, revision="", engine="", took_us=0).obligations == Obligations()


@pytest.mark.parametrize(
    ("name", "limit"),
    [("ttl_s", 7 * 86_400 + 1), ("ttl_s", 0), ("risk", 101), ("risk", -1), ("stage", "later")],
)
def test_terms_have_bounds(name: str, limit: Any) -> None:
    """A hold for a year, or of an unknown stage, is not one."""
    hold = {**FULL["obligations"]["hold"], name: limit}

    with pytest.raises(ValidationError):
        DecisionWire.model_validate({**FULL, "obligations": {"hold": hold}})


def test_the_input_of_the_tests_is_one() -> None:
    """What rules are tested with is what the gateway sends."""
    InputWire.model_validate(document())
    with pytest.raises(ValidationError):
        InputWire.model_validate({**document(), "prompt": "text"})


def test_what_hides_or_moves_text_is_written_out() -> None:
    """Sentences have names in them that a client chose."""
    wire = DecisionWire.model_validate(
        {
            "schema": "sekisho.decision/v1",
            "effect": "deny",
            "reasons": [
                {
                    "code": "c",
                    "msg": "The tool a\u202eb\n\x1b[2J is not allowed.",
                    "texts": {"zh": "工具\u200b不行。"},
                    "rule": "r",
                }
            ],
            "obligations": {},
        }
    )
    (reason,) = to_decision(wire, revision="s", engine="e", took_us=0).reasons
    assert "The tool a<U+202E>b<U+000A><U+001B>[2J is not allowed." == reason.msg
    assert {"zh": "工具<U+200B>不行。"} == reason.texts

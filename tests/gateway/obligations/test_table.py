"""What this gateway carries out, and what it admits it cannot."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from sekisho.content.scan import Scanner
from sekisho.model.decision import HoldTerms, Obligations, Threshold
from sekisho.obligations.table import apply_request, unsupported

HOLD = HoldTerms("request", (Threshold("reviewer", 1, 1),), 60, 50)
ASKED: dict[str, Any] = {
    "redact": ("email",),
    "hold": HOLD,
    "hold_later": (replace(HOLD, stage="response"),),
    "route": "backend-1",
    "max_tokens": 5,
    "allow_tools": ("a",),
    "label_output": True,
    "justify": True,
    "retain_days": 5,
    "drafts_max": 5,
    "log_level": "full",
    "review_response": True,
    "notify": ("reviewer-1",),
}
CARRIED_OUT = {
    "hold_later",
    "review_response",
    "label_output",
    "redact",
    "route",
    "hold",
    "justify",
    "max_tokens",
    "allow_tools",
    "retain_days",
    "drafts_max",
    "log_level",
    "notify",
}


@pytest.mark.parametrize("name", [field.name for field in fields(Obligations)])
def test_every_obligation_is_carried_out_or_refused(name: str) -> None:
    """There is no third way; a new obligation fails here until somebody decides."""
    asked = Obligations(**{name: ASKED[name]})

    assert (() if name in CARRIED_OUT else (name,)) == unsupported(asked, content_days=5)


@pytest.mark.parametrize("stage", ["request", "tool_call", "response"])
def test_a_channel_that_is_not_there_cannot_be_told(stage: str) -> None:
    """At any stage; one of several is enough. Where channels are not known, none is missed."""
    asked = Obligations(notify=("desk", "gone"))
    assert ("notify",) == unsupported(asked, 5, stage, {"desk"})
    assert ("notify",) == unsupported(asked, 5, stage, ())
    assert () == unsupported(asked, 5, stage, {"desk", "gone", "other"})
    assert () == unsupported(asked, 5, stage)


STAGES = ("request", "tool_call", "response")


@pytest.mark.parametrize("asked", STAGES)
@pytest.mark.parametrize("held", STAGES)
def test_a_hold_is_of_the_stage_asked_about(held: str, asked: str) -> None:
    """What has happened cannot be held any more, and what has not goes into `hold_later`."""
    missing = unsupported(Obligations(hold=replace(HOLD, stage=held)), 5, asked)
    assert (() if held == asked else ("hold.stage",)) == missing


@pytest.mark.parametrize("asked", [*STAGES, "later"])
@pytest.mark.parametrize("held", STAGES)
def test_later_holds_are_of_later_stages(held: str, asked: str) -> None:
    """Terms for a stage that is over would be met by nobody."""
    missing = unsupported(Obligations(hold_later=(replace(HOLD, stage=held),)), 5, asked)
    fits = asked in STAGES and STAGES.index(held) > STAGES.index(asked)
    assert (() if fits else ("hold_later",)) == missing


def test_a_tool_call_is_not_masked() -> None:
    """Its arguments are the client's to run: masked, they would be another call."""
    masked = Obligations(redact=("email",))
    assert [("redact",), (), ()] == [
        unsupported(masked, 5, stage) for stage in ("tool_call", "response", "request")
    ]


@pytest.mark.parametrize("stage", ["tool_call", "response"])
def test_what_the_request_has_settled_is_refused_at_no_later_stage(stage: str) -> None:
    """A rule that says it whatever the stage is means the request."""
    settled = {name: ASKED[name] for name in ASKED if name not in {"hold", "hold_later"}}
    del settled["redact"]
    assert () == unsupported(Obligations(**settled), 5, stage)


@pytest.mark.parametrize(
    ("name", "value"), [("redact", ("email", "emial")), ("route", "trust:house")]
)
def test_a_slip_of_the_pen_is_refused(name: str, value: object) -> None:
    """It would be carried out by doing nothing."""
    assert (name,) == unsupported(replace(Obligations(), **{name: value}), 5)


def test_nothing_asked() -> None:
    """Without obligations the body is not touched."""
    assert (None, []) == apply_request({"a": 1}, Obligations())
    assert () == unsupported(Obligations(), None)


def test_both() -> None:
    """Several obligations work on one another's outcome and are all named."""
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    parsed = {"tools": tools, "max_tokens": 9}

    changed, names = apply_request(parsed, Obligations(max_tokens=5, allow_tools=("b",)))

    assert ({"tools": tools[1:], "max_tokens": 5}, ["allow_tools", "max_tokens"]) == (
        changed,
        names,
    )
    assert {"tools": tools, "max_tokens": 9} == parsed


def test_what_is_masked_is_masked_first() -> None:
    """The places that the scan gave are those of the client's own body."""
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    parsed = {"tools": tools, "user": "li.wei@corp.example"}
    found = Scanner().scan(parsed).found

    changed, names = apply_request(
        parsed, Obligations(redact=("email",), allow_tools=("a",)), found
    )

    assert {"tools": tools[:1], "user": "[EMAIL]"} == changed
    assert ["redact", "allow_tools"] == names


def test_twice_changes_nothing_more() -> None:
    """The bytes that people approved pass the same obligations unchanged."""
    asked = Obligations(max_tokens=5, allow_tools=("b",))
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    once, _ = apply_request({"tools": tools}, asked)
    assert once is not None

    assert (None, []) == apply_request(once, asked)


def test_what_the_ledger_keeps_longer() -> None:
    """An end that cannot be kept is not promised."""
    assert ("retain_days",) == unsupported(Obligations(retain_days=5), 6)

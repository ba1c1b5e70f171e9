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
    "route": "backend-1",
    "max_tokens": 5,
    "allow_tools": ("a",),
    "label_output": True,
    "justify": True,
    "retain_days": 5,
    "log_level": "full",
    "review_response": True,
    "notify": ("reviewer-1",),
}
CARRIED_OUT = {
    "label_output",
    "redact",
    "route",
    "hold",
    "justify",
    "max_tokens",
    "allow_tools",
    "retain_days",
    "log_level",
}


@pytest.mark.parametrize("name", [field.name for field in fields(Obligations)])
def test_every_obligation_is_carried_out_or_refused(name: str) -> None:
    """There is no third way; a new obligation fails here until somebody decides."""
    asked = Obligations(**{name: ASKED[name]})

    assert (() if name in CARRIED_OUT else (name,)) == unsupported(asked, content_days=5)


@pytest.mark.parametrize("stage", ["response", "tool_call"])
def test_holds_of_other_stages(stage: str) -> None:
    """Only a hold of the request can be kept today."""
    assert ("hold.stage",) == unsupported(Obligations(hold=replace(HOLD, stage=stage)), 5)


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

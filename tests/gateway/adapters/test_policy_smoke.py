"""Questions whose answer is known before any rule is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.input_wire import InputWire
from sekisho.adapters.policy_check import check_bundle
from sekisho.adapters.policy_smoke import SMOKE_INPUTS, smoke_fault
from sekisho.model.decision import Decision, Effect, Reason
from support.rules import bundle


@pytest.mark.parametrize("case", SMOKE_INPUTS, ids=lambda case: case.name)
def test_answers(case: object) -> None:
    """Only a readable deny will do."""
    assert isinstance(case, type(SMOKE_INPUTS[0]))
    denied = Decision(Effect.DENY, (Reason("x", "X.", "r"),), "")
    unread = Decision(Effect.DENY, (Reason("policy_undefined", "X.", "r"),), "")
    allowed = Decision(Effect.ALLOW, (), "")
    held = Decision(Effect.HOLD, (Reason("x", "X.", "r"),), "")

    assert "" == smoke_fault(case, denied)
    assert "no readable decision" in smoke_fault(case, unread)
    assert "is not denied" in smoke_fault(case, allowed)
    assert "is not denied" in smoke_fault(case, held)


def test_all_but_the_last_are_real_inputs() -> None:
    """The question has the shape that rules expect, so a deny is about what it asks."""
    for case in SMOKE_INPUTS[:-1]:
        InputWire.model_validate(case.document)
    asked = [case.document["stage"] for case in SMOKE_INPUTS]
    assert ["request", "tool_call", "response", "no_such_stage"] == asked
    assert "sekisho-smoke-no-such-tool" in SMOKE_INPUTS[1].document["request"]["tools"]


@pytest.mark.parametrize("stage", ["tool_call", "response"])
def test_rules_that_let_a_later_stage_through(tmp_path: Path, stage: str) -> None:
    """A fold that looks at requests alone is found out when it is loaded."""
    made = bundle(tmp_path)
    fold = made / "sekisho" / "main.rego"
    open_ = f'effect := "allow" if {{\n\tinput.stage == "{stage}"\n}} else := "deny" if {{'
    source = fold.read_text("utf-8").replace('effect := "deny" if {', open_, 1)
    fold.write_text(source, "utf-8")

    told = "\n".join(map(str, check_bundle(made)))

    assert "an unknown principal is not denied" in told

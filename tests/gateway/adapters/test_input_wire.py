"""What rules may look at: a tool call at its own stage and nowhere else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sekisho.adapters.input_wire import InputWire
from support.rules import document

CALL = {"name": "crm.write", "arguments": {}, "whole": True}


def test_a_call_stands_at_its_own_stage() -> None:
    """The same document otherwise."""
    InputWire.model_validate({**document(), "stage": "tool_call", "tool": CALL})
    InputWire.model_validate({**document(), "stage": "response"})


@pytest.mark.parametrize(
    ("stage", "tool"), [("request", CALL), ("response", CALL), ("tool_call", None)]
)
def test_a_call_stands_nowhere_else(stage: str, tool: object) -> None:
    """A rule that looks for one finds one exactly there."""
    with pytest.raises(ValidationError, match="tool is there"):
        InputWire.model_validate({**document(), "stage": stage, "tool": tool})

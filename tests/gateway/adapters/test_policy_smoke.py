"""Questions whose answer is known before any rule is written."""

from __future__ import annotations

import pytest

from sekisho.adapters.input_wire import InputWire
from sekisho.adapters.policy_smoke import SMOKE_INPUTS, smoke_fault
from sekisho.model.decision import Decision, Effect, Reason


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


def test_the_first_is_a_real_input() -> None:
    """The question has the shape that rules expect, so a deny is about what it asks."""
    InputWire.model_validate(SMOKE_INPUTS[0].document)

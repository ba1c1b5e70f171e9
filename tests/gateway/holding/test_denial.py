"""A deny says every reason with its rule, in each language that some reason speaks."""

from __future__ import annotations

from sekisho.holding.denial import denied
from sekisho.model.decision import Decision, Effect, Reason


def test_all_reasons_are_said() -> None:
    """In English where a reason speaks nothing else."""
    reasons = (Reason("a", "No.", "r.a", {"zh": "不。"}), Reason("b", "Never.", "r.b"))

    error = denied(Decision(Effect.DENY, reasons, "sha256:0"), code="answer_denied")

    assert "No. (rule r.a) Never. (rule r.b)" == error.message
    assert {"zh": "不。 (rule r.a) Never. (rule r.b)"} == error.texts
    assert "answer_denied" == error.code


def test_a_deny_without_a_reason_says_whom_to_ask() -> None:
    """Nobody is left with nothing."""
    assert "Ask an operator" in denied(Decision(Effect.DENY, (), "sha256:0")).message

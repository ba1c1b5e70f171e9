"""What rules answered, read as strictly as anything from outside; the same for every engine.

An answer that is undefined, or that the contract does not know whole, is a deny with a code of its
own, so that a refusal tells an operator what to look at.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sekisho.adapters.decision_wire import DecisionWire, to_decision
from sekisho.model.decision import Decision, Effect, Reason

QUERY = "sekisho.decision"


def read_result(result: Any, revision: str, *, engine: str, took_us: int) -> Decision:
    """The decision that `result` spells, or a deny: `policy_malformed`."""
    try:
        wire = DecisionWire.model_validate(result)
    except ValidationError:
        what = "The rules gave an answer nobody can read."
        return denied("policy_malformed", what, revision, engine=engine, took_us=took_us)
    return to_decision(wire, revision=revision, engine=engine, took_us=took_us)


def no_result(revision: str, *, engine: str, took_us: int) -> Decision:
    """Nothing was answered: a deny, `policy_undefined`."""
    what = "The rules gave no decision."
    return denied("policy_undefined", what, revision, engine=engine, took_us=took_us)


def failed(revision: str, *, engine: str, took_us: int) -> Decision:
    """The rules contradict each other or called a function wrongly: a deny, `policy_undefined`."""
    what = "The rules could not be evaluated."
    return denied("policy_undefined", what, revision, engine=engine, took_us=took_us)


def denied(code: str, what: str, revision: str, *, engine: str, took_us: int) -> Decision:
    """A deny of the adapter's own."""
    reason = Reason(code, f"{what} Nothing was sent. Ask an operator to look.", QUERY)
    return Decision(Effect.DENY, (reason,), revision, engine=engine, took_us=took_us)

"""Questions whose answer is known before any rule is written, asked of every bundle at load.

A bundle that lets an unknown principal or an unknown model through at any stage, or gives no
decision at all, never becomes active, whatever its own tests say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sekisho.adapters.input_wire import INPUT_SCHEMA
from sekisho.model.decision import Decision, Effect


@dataclass(frozen=True, slots=True)
class Smoke:
    """One question that has to be denied by a readable decision."""

    name: str
    document: dict[str, Any]


def _input(
    principal: str, stage: str = "request", tool: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "schema": INPUT_SCHEMA,
        "stage": stage,
        "exchange": "smoke",
        "principal": {
            "id": principal,
            "groups": ["sekisho-smoke-no-such-group"],
            "roles": [],
            "training_until": None,
            "training": "none",
            "authentication": "api_key",
        },
        "request": {
            "endpoint": "chat.completions",
            "model": "sekisho-smoke-no-such-model",
            "assistant": None,
            "backend": None,
            "trust": None,
            "mode": "copilot" if tool else "assistant",
            "stream": False,
            "max_tokens": None,
            "estimated_tokens": 1,
            "tools": [tool["name"]] if tool else [],
            "hosted": [],
            "unknown_fields": [],
        },
        "tool": tool,
        "content": {
            "labels": [],
            "entities": {},
            "chars": 1,
            "hidden_chars": 0,
            "opaque_chars": 0,
            "size": "small",
        },
        "approval": {"state": "none", "by": []},
        "context": {
            "time_ns": 1_700_000_000_000_000_000,
            "office_hours": True,
            "weekday": "wed",
            "hour": 10,
            "content_days": None,
            "ip": "",
            "spend": None,
            "limits": None,
            "halt": False,
        },
    }


_NOBODY = "sekisho-smoke-nobody"
_CALL = {"name": "sekisho-smoke-no-such-tool", "arguments": {}, "whole": True}

SMOKE_INPUTS = (
    Smoke("an unknown principal", _input(_NOBODY)),
    Smoke("a tool call for an unknown principal", _input(_NOBODY, "tool_call", _CALL)),
    Smoke("an answer to an unknown principal", _input(_NOBODY, "response")),
    Smoke("an unknown stage", _input(_NOBODY, "no_such_stage")),
)


def smoke_fault(case: Smoke, decision: Decision) -> str:
    """What is wrong with the answer to `case`; empty if nothing is."""
    code = decision.reasons[0].code if decision.reasons else ""
    if code in {"policy_undefined", "policy_malformed"}:
        return f"the question about {case.name} got no readable decision ({code})"
    if decision.effect is not Effect.DENY:
        return f"{case.name} is not denied"
    return ""

"""A hold as text for a terminal: who, where to, why held, and exactly what would go on.

Everything in it is somebody else's words, so hidden characters are spelled out and nothing in it
drives the terminal.
"""

from __future__ import annotations

from typing import Any

import orjson

from sekisho.cli.hold_steps import answer_lines, relief_lines
from sekisho.cli.printing import as_json, visible, when
from sekisho.content.tool_calls import proposed

_SHOWN = ("id", "status", "principal", "stage", "model", "backend", "rules", "reasons", "risk")


def bound_text(hold: dict[str, Any]) -> str:
    """What a reviewer decides on: who, where to, why held, and the bytes that would go on."""
    lines = [f"{name:<10}{visible(_joined(hold.get(name)))}" for name in _SHOWN]
    lines.append(f"{'expires':<10}{expires(hold)}")
    if hold.get("justify"):
        said = hold.get("justification") or {"person": "-", "reason": "(not given yet)"}
        lines.append(f"{'asked for':<10}{visible(said['reason'])} ({visible(said['person'])})")
    lines += [*relief_lines(hold), *answer_lines(hold)]
    outgoing = hold["outgoing"]
    goes = "would leave" if hold["stage"] == "request" else "would be given to who asked"
    if outgoing.get("withheld"):
        held = "(not shown to who asked before it is released)"
    elif outgoing["text"] is None:
        held = f"(not text; base64) {outgoing['base64']}"
    else:
        held = visible(outgoing["text"])
        lines += _calls(outgoing["text"]) if hold["stage"] != "request" else []
    lines += [f"{'binding':<10}{hold['binding']}", f"--- {outgoing['bytes']} bytes {goes} ---"]
    return "\n".join([*lines, held, "---"])


def _calls(answer: str) -> list[str]:
    """The tool calls of an answer, numbered as `edit` wants them."""
    try:
        found = proposed(orjson.loads(answer))
    except orjson.JSONDecodeError:
        return []
    return [
        f"{f'call {place}':<10}{visible(call.name)} {visible(as_json(call.arguments))}"
        for place, call in enumerate(found)
    ]


def _joined(value: Any) -> str:
    return "; ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def expires(hold: dict[str, Any]) -> str:
    """When it is too late to decide it, in UTC."""
    return when(hold["expires_at"] * 1_000_000) or "-"

"""How the explanation of a decision reads: rules with file and line, values, conditions not met."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sekisho.adapters.policy_trace import Explanation, Fired

VALUE_CHARS_MAX = 120  # of one value in a line for people; --json has all of it


def lines(explanation: Explanation) -> Iterator[str]:
    """What fired, with its values and what it rests on; then what did not. For people, not made
    safe for a terminal yet: print it through `visible`.
    """
    yield "fired:"
    for fired in explanation.fired:
        yield from _fired(fired, "  ")
    yield "" if explanation.fired else "  none"
    yield "did not fire:"
    for missed in explanation.missed:
        where = f"{missed.file}:{missed.line}"
        why = f"not met, line {missed.at}: {missed.condition}" if missed.at else "does not apply"
        yield f"  {missed.rule}  {where}  {missed.title}"
        yield f"    {why}"


def _fired(fired: Fired, indent: str) -> Iterator[str]:
    title = f"  {fired.title}" if fired.title else ""
    yield f"{indent}{fired.rule}  {fired.file}:{fired.line}{title}"
    for name, value in fired.values.items():
        yield f"{indent}  {name} = {_short(value)}"
    for one in fired.by:
        yield from _fired(one, indent + "    ")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:VALUE_CHARS_MAX]}…"

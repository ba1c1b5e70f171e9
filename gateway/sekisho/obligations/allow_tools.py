"""allow_tools: only the functions that policy names may be offered to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sekisho.content.hosted import function_name
from sekisho.errors import DeniedByPolicy


def apply(body: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any] | None:
    """`body` without the tools that are not in `allowed`; None if all are.

    Raises DeniedByPolicy if the client insists on a tool that would be removed: without it the
    request means something else. A list that would become empty is left out, as the API wants.
    """
    names = frozenset(allowed)
    changed = dict(body)
    for member in ("tools", "functions"):
        offered = body.get(member)
        if not isinstance(offered, list):
            continue
        kept = [tool for tool in offered if function_name(tool) in names]
        if len(kept) == len(offered):
            continue
        if kept:
            changed[member] = kept
        else:
            del changed[member]
    if changed == body:
        return None
    _refuse_missing(body, names)
    if "tools" not in changed:
        for member in ("tool_choice", "parallel_tool_calls"):
            changed.pop(member, None)
    if "functions" not in changed:
        changed.pop("function_call", None)
    return changed


def _refuse_missing(body: Mapping[str, Any], names: frozenset[str]) -> None:
    for choice in (body.get("tool_choice"), body.get("function_call")):
        for wanted in _insisted(choice):
            if wanted not in names:
                message = (
                    f"The request insists on the tool {wanted[:64]!r}, which is not allowed here. "
                    "Remove tool_choice, or choose an allowed tool."
                )
                raise DeniedByPolicy(message, code="tool_not_allowed")


def _insisted(choice: Any) -> list[str]:
    """The tools a choice names; `required` insists on some tool, which may still be there."""
    if not isinstance(choice, dict):
        return []
    listed = choice.get("allowed_tools", choice)
    tools = listed.get("tools") if isinstance(listed, dict) else None
    if isinstance(tools, list):
        return [function_name(tool) for tool in tools]
    name = function_name(choice)
    return [name] if name else []

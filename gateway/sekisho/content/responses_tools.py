"""Tools and the choice among them, from the form of the Responses API to that of chat completions.

Only the client's own functions are carried over. A tool that acts at the backend (search, code,
remote MCP) has no form in chat completions, and would act past every review.
"""

from __future__ import annotations

from typing import Any, NoReturn

from sekisho.errors import BadRequest

_FUNCTION = ("name", "description", "parameters", "strict")
_CUSTOM = ("name", "description", "format")
_MODES = frozenset({"none", "auto", "required"})


def tools_of(tools: Any) -> dict[str, Any]:
    """The member `tools`, none where the list is empty. Raises BadRequest for a hosted tool."""
    if not isinstance(tools, list):
        _wrong("tools", "must be a list")
    carried = [_tool(tool, f"tools.{number}") for number, tool in enumerate(tools)]
    return {"tools": carried} if carried else {}


def choice_of(choice: Any) -> dict[str, Any]:
    """The member `tool_choice`. Raises BadRequest for the choice of a hosted tool."""
    if isinstance(choice, str) and choice in _MODES:
        return {"tool_choice": choice}
    if not isinstance(choice, dict):
        _hosted("tool_choice", choice)
    if (kind := choice.get("type")) != "allowed_tools":
        return {"tool_choice": _named(choice, "tool_choice")}
    tools = choice.get("tools")
    if not isinstance(tools, list) or not choice.keys() <= {"type", "mode", "tools"}:
        _wrong("tool_choice", "must name the allowed tools in a list, and a mode")
    named = [_named(tool, f"tool_choice.tools.{n}") for n, tool in enumerate(tools)]
    return {"tool_choice": {"type": kind, kind: {"mode": choice.get("mode"), "tools": named}}}


def _tool(tool: Any, place: str) -> dict[str, Any]:
    kind = _kind(tool, place)
    return {"type": kind, kind: _own(tool, _FUNCTION if kind == "function" else _CUSTOM, place)}


def _named(tool: Any, place: str) -> dict[str, Any]:
    kind = _kind(tool, place)
    return {"type": kind, kind: _own(tool, ("name",), place)}


def _kind(tool: Any, place: str) -> str:
    """`function` or `custom`: the two that are the client's own."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind not in ("function", "custom"):  # a tuple: what is named may be anything
        _hosted(place, kind)
    return str(kind)


def _own(tool: dict[str, Any], known: tuple[str, ...], place: str) -> dict[str, Any]:
    """What says something of a function; a switch that is off says nothing."""
    said = {k: v for k, v in tool.items() if k != "type" and v is not None}
    for name, value in said.items():
        if name not in known and value is not False:
            param = f"{place}.{name[:64]}"
            message = f"{param} is not available through this gateway."
            raise BadRequest(message, code="unsupported_parameter", param=param)
    return {name: said[name] for name in known if name in said}


def _hosted(place: str, kind: Any) -> NoReturn:
    named = f"the tool {kind[:64]!r}" if isinstance(kind, str) else "this tool"
    message = (
        f"{place} is not available through this gateway: {named} is no function of your own and "
        "would act at the backend, where nobody can review what it does."
    )
    raise BadRequest(message, code="unsupported_parameter", param=place)


def _wrong(param: str, what: str) -> NoReturn:
    message = f"{param} {what}."
    raise BadRequest(message, param=param)

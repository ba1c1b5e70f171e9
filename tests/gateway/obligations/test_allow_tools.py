"""Only the functions that policy names are offered to the model."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sekisho.errors import DeniedByPolicy
from sekisho.obligations import allow_tools


def function(name: str) -> dict[str, Any]:
    """A function tool."""
    return {"type": "function", "function": {"name": name}}


def test_removed() -> None:
    """Tools that are not named go, the others stay as they are."""
    body = {"tools": [function("a"), function("b")], "tool_choice": "auto"}
    before = copy.deepcopy(body)

    assert {"tools": [function("a")], "tool_choice": "auto"} == allow_tools.apply(body, ["a"])
    assert before == body


def test_none_left() -> None:
    """An empty list is no list for the API, so the member goes with what hangs on it."""
    body = {
        "tools": [function("a")],
        "tool_choice": "required",
        "parallel_tool_calls": True,
        "n": 1,
    }

    assert {"n": 1} == allow_tools.apply(body, [])


def test_old_functions() -> None:
    """The older form of tools is held to the same list."""
    body = {"functions": [{"name": "a"}, {"name": "b"}], "function_call": "auto"}

    assert {"functions": [{"name": "b"}], "function_call": "auto"} == allow_tools.apply(body, ["b"])
    assert {} == allow_tools.apply(body, [])


@pytest.mark.parametrize("body", [{}, {"tools": None}, {"tools": [function("a")]}])
def test_nothing_to_remove(body: dict[str, Any]) -> None:
    """A request with nothing else is left alone."""
    assert allow_tools.apply(body, ["a"]) is None


def test_what_is_no_function_goes() -> None:
    """A tool without a name the list could have is removed."""
    changed = allow_tools.apply({"tools": [{"type": "web_search"}, function("a")]}, ["a"])
    assert {"tools": [function("a")]} == changed


@pytest.mark.parametrize(
    "choice",
    [
        {"tool_choice": function("b")},
        {"tool_choice": {"type": "tool", "name": "b"}},
        {"function_call": {"name": "b"}},
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [function("a"), function("b")]},
            }
        },
    ],
)
def test_insisting(choice: dict[str, Any]) -> None:
    """A request that insists on a removed tool is refused, not quietly changed."""
    with pytest.raises(DeniedByPolicy) as caught:
        allow_tools.apply({"tools": [function("a"), function("b")], **choice}, ["a"])

    assert "tool_not_allowed" == caught.value.code

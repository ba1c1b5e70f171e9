"""Tools in the form of chat completions; what would act at the backend is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.content.responses_tools import choice_of, tools_of
from sekisho.errors import BadRequest

PARAMETERS = {"type": "object", "properties": {"customer": {"type": "integer"}}}


def test_own_functions_are_carried_over() -> None:
    """With all that a model needs to call them; a switch that is off says nothing."""
    tools = [
        {
            "type": "function",
            "name": "find",
            "description": "Find.",
            "parameters": PARAMETERS,
            "strict": None,
            "defer_loading": False,
        },
        {"type": "custom", "name": "note", "format": {"type": "text"}},
    ]

    assert tools_of(tools) == {
        "tools": [
            {
                "type": "function",
                "function": {"name": "find", "description": "Find.", "parameters": PARAMETERS},
            },
            {"type": "custom", "custom": {"name": "note", "format": {"type": "text"}}},
        ]
    }


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "web_search_preview", "name": "find"},
        {"type": "mcp", "server_url": "https://example.com"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "local_shell"},
        {"name": "find"},
        {"type": ["function"], "name": "find"},
        "find",
        None,
    ],
)
def test_a_tool_that_is_no_function_of_the_client_is_refused(tool: Any) -> None:
    """Also among others, and as a choice."""
    with pytest.raises(BadRequest) as caught:
        tools_of([{"type": "function", "name": "find"}, tool])
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tools.1")
    with pytest.raises(BadRequest):
        choice_of(tool)


def test_a_switch_that_is_on_is_refused() -> None:
    """It would let something other than the client call the function."""
    tool = {"type": "function", "name": "find", "allowed_callers": ["programmatic"]}

    with pytest.raises(BadRequest) as caught:
        tools_of([tool])

    assert caught.value.param == "tools.0.allowed_callers"


CHOICES: list[tuple[Any, Any]] = [
    ("none", "none"),
    ("required", "required"),
    ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ({"type": "custom", "name": "f"}, {"type": "custom", "custom": {"name": "f"}}),
    (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": "f"}}],
            },
        },
    ),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES)
def test_choices_are_carried_over(choice: Any, expected: Any) -> None:
    """In all their forms."""
    assert choice_of(choice) == {"tool_choice": expected}


@pytest.mark.parametrize(
    "choice",
    [
        "web_search",
        {"type": "file_search"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "name": "x"}]},
        {"type": "allowed_tools", "mode": "auto"},
        {"type": "allowed_tools", "tools": [], "more": 1},
        7,
        None,
    ],
)
def test_other_choices_are_refused(choice: Any) -> None:
    """Hosted tools, and what cannot be read."""
    with pytest.raises(BadRequest) as caught:
        choice_of(choice)
    assert str(caught.value.param).startswith("tool_choice")

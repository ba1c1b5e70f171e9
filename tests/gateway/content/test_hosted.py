"""One body for each hosted field of each dialect, and the ordinary bodies that have none."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.content.hosted import (
    ALWAYS,
    OFF,
    OPENAI_CHAT_FIELDS,
    STATE,
    find_hosted,
    find_unknown_fields,
    tool_names,
)
from support.hosted_bodies import HOSTED, body, part, tool

CASES = [
    pytest.param(name, case, id=f"{dialect}:{name}")
    for dialect, cases in HOSTED.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_hosted(name: str, case: dict[str, Any]) -> None:
    """The field is named, and nothing else is."""
    assert (name,) == find_hosted(case)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_hosted_in_extra_body(name: str, case: dict[str, Any]) -> None:
    """A member that a client library would lift out of extra_body counts as well."""
    if "." in name and not name.startswith("tools."):
        return
    inner = {member: value for member, value in case.items() if member not in {"model", "messages"}}

    assert name in find_hosted(body(extra_body=inner))


@pytest.mark.parametrize("name", sorted(ALWAYS | STATE))
def test_each_name_of_the_lists(name: str) -> None:
    """Each listed member is found when it is on, in either case, and not when it is off."""
    assert (name,) == find_hosted(body(**{name: True}))
    assert (name,) == find_hosted(body(extra_body={name.upper(): {}}))
    assert () == find_hosted(body(**{name: False}))
    assert () == find_hosted(body(**{name: None}))


@pytest.mark.parametrize("name", sorted(OFF))
def test_switches_that_work_the_other_way(name: str) -> None:
    """Switching off the off switch is switching on."""
    assert (name,) == find_hosted(body(**{name: False}))
    assert () == find_hosted(body(**{name: True}))


PLAIN: dict[str, dict[str, Any]] = {
    "question": body(),
    "parameters": body(temperature=0.1, stream=True, n=1, user="u", seed=3, stop=["x"]),
    "not stored": body(store=False),
    "function": tool(type="function", function={"name": "f", "parameters": {"type": "object"}}),
    "strict function": tool(type="function", function={"name": "f"}, strict=True),
    "custom": tool(type="custom", custom={"name": "f"}),
    "responses function": tool(type="function", name="f", parameters={}),
    "anthropic function": tool(name="f", description="d", input_schema={}),
    "choice": body(tool_choice={"type": "function", "function": {"name": "f"}}),
    "choice by word": body(tool_choice="auto"),
    "inline image": part(type="image_url", image_url={"url": "data:image/png;base64,AA"}),
    "inline image, short form": part(type="image_url", image_url="data:image/png;base64,AA"),
    "inline file": part(type="file", file={"file_data": "data:a/b;base64,AA", "filename": "a"}),
    "inline audio": part(type="input_audio", input_audio={"data": "AA", "format": "wav"}),
    "anthropic image": part(type="image", source={"type": "base64", "data": "AA"}),
    "text that talks of it": body("enable_search: true, https://example.com"),
    "argument that talks of it": tool(
        type="function",
        function={"name": "f", "parameters": {"properties": {"enable_search": {}}}},
    ),
    "harmless unknown": body(top_k=3, repetition_penalty=1.1, x_trace="1"),
    "history": {
        "model": "m",
        "messages": [
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
            {"role": "tool", "tool_call_id": "1", "content": "https://example.com"},
        ],
    },
}


@pytest.mark.parametrize("case", PLAIN)
def test_plain_requests_have_none(case: str) -> None:
    """What ordinary clients send is not mistaken for a hosted tool."""
    assert () == find_hosted(PLAIN[case])


@pytest.mark.parametrize(
    "tools",
    [
        {"type": "function"}, "web_search", [None], ["web_search"], [[]], [{}],
        [{"type": None, "function": {"name": "f"}}],
        [{"type": "function", "function": {"name": "f"}, "web_search": {"enable": True}}],
        [{"type": "function", "function": {"name": "f"}, "google_search": {}}],
        [{"type": "function", "function": {"name": ""}}],
        [{"type": "function", "function": "f"}],
        [{"type": "Function", "function": {"name": "f"}}],
        [{"function": {"name": "f"}, "googleSearch": {}}],
    ],
)  # fmt: skip
def test_anything_but_a_plain_function_counts(tools: Any) -> None:
    """A tool that is odd in any way might act at the backend, so it is a fact."""
    assert () != find_hosted(body(tools=tools))


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}],
        [{"type": "image_url", "image_url": {"url": "//example.com"}}],
        [{"type": "image_url", "image_url": {"url": "HTTP://example.com"}}],
        [{"type": "image_url", "image_url": {"url": ["https://example.com"]}}],
        [{"type": "image_url", "image_url": "https://example.com"}],
        [{"type": "video", "video": ["https://example.com/1", "https://example.com/2"]}],
        {"type": "image_url", "image_url": {"url": "https://example.com"}},
        [{"type": "tool_result", "content": [{"type": "image", "source": {"type": "url"}}]}],
        [{"type": "image", "source": {"type": None}}],
        [{"type": "text", "text": "x", "file_id": "file-1"}],
    ],
)
def test_addresses_to_fetch(content: Any) -> None:
    """Whatever is not inline would be fetched by the backend."""
    assert () != find_hosted(body(content))


def test_many_messages_and_odd_ones() -> None:
    """Bodies of any shape are judged without an error."""
    for odd in (None, 7, "x", [], [None], [7], [{"content": 7}], [{"content": [7]}]):
        assert () == find_hosted({"model": "m", "messages": odd})


def test_unknown_fields() -> None:
    """Members outside the API are named, sorted; those of the API are not."""
    assert () == find_unknown_fields(dict.fromkeys(OPENAI_CHAT_FIELDS), "chat.completions")
    assert ("aa", "top_k") == find_unknown_fields(
        {"top_k": 1, "aa": 1, "model": "m"}, "chat.completions"
    )
    assert ("model",) == find_unknown_fields({"model": 1}, "no.such.endpoint")


def test_names_are_bounded() -> None:
    """A flood of members does not become a flood of facts."""
    flood = {f"plugin_{number}_{'x' * 200}": 1 for number in range(500)}

    assert 64 == len(find_hosted(flood))
    assert 64 == len(find_unknown_fields(flood, "chat.completions"))
    assert all(len(name) <= 64 for name in find_unknown_fields(flood, "chat.completions"))


def test_tool_names() -> None:
    """The client's own functions by name, in every form, without those that have none."""
    given = {
        "tools": [
            {"type": "function", "function": {"name": "b"}},
            {"type": "custom", "custom": {"name": "a"}},
            {"name": "c", "input_schema": {}},
            {"type": "web_search"},
            "odd",
        ],
        "functions": [{"name": "old"}, "odd"],
    }

    assert ("a", "b", "c", "old") == tool_names(given)

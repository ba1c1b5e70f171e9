"""From chunks to one completion."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.assemble import chars, completion, events
from sekisho.content.tool_calls import proposed


def _sse(*chunks: object, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks) + end


def _delta(
    delta: dict[str, object], finish: str | None = None, index: int = 0
) -> dict[str, object]:
    return {"id": "c1", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), max_size=20))
def test_text_is_joined_in_order(parts: list[str]) -> None:
    """However the text was cut, the whole is the whole."""
    stream = _sse(*[_delta({"content": part}) for part in parts], _delta({}, "stop"))

    choice = completion(stream)["choices"][0]

    assert "".join(parts) == (choice["message"]["content"] or "")
    assert "stop" == choice["finish_reason"]


def test_tool_calls_are_joined_by_index() -> None:
    """Arguments arrive in pieces, for several calls at once."""
    first = {"index": 0, "id": "t0", "function": {"name": "read", "arguments": '{"a"'}}
    second = {"index": 1, "id": "t1", "function": {"name": "write", "arguments": "{}"}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}
    stream = _sse(_delta({"tool_calls": [first, second]}), _delta({"tool_calls": [rest]}))

    calls = completion(stream)["choices"][0]["message"]["tool_calls"]

    assert ['{"a":1}', "{}"] == [call["function"]["arguments"] for call in calls]
    assert ["t0", "t1"] == [call["id"] for call in calls]


def test_several_choices_reasoning_and_usage_are_kept() -> None:
    """Choices keep their numbers; text members we do not know are joined; usage comes last."""
    stream = _sse(
        _delta({"reasoning_content": "be"}, index=1),
        _delta({"reasoning_content": "cause"}, index=1),
        _delta({"content": "a"}),
        {"choices": [], "usage": {"total_tokens": 7}},
    )

    whole = completion(stream)

    assert [0, 1] == [choice["index"] for choice in whole["choices"]]
    assert "because" == whole["choices"][1]["message"]["reasoning_content"]
    assert {"total_tokens": 7} == whole["usage"]


def test_what_cannot_be_read_is_counted_not_dropped_silently() -> None:
    """A chunk that is not JSON, or not an object, shows in the record."""
    whole = completion(b"data: {bad\n\ndata: 7\n\n" + _sse(_delta({"content": "x"})))

    assert 2 == whole["unread"]


def test_comments_and_windows_line_ends_do_not_matter() -> None:
    """Only data lines count, however lines end."""
    stream = b": keep-alive\r\n\r\ndata: 1\r\ndata: 2\r\n\r\nevent: x\n\n"

    assert [b"1\n2"] == list(events(stream))


@pytest.mark.parametrize(
    ("whole", "count"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": "four"}}]}, 4),
        ({"choices": [{"message": {"content": "a", "reasoning_content": "bc"}}] * 2}, 6),
        ({"choices": [{"message": {"tool_calls": [{"id": "x", "function": {"name": "f"}}]}}]}, 1),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "好吗"}]}}]}, 2),
        ({"choices": "many"}, 0),
        ({"choices": [None, {}, {"message": None}]}, 0),
        (None, 0),
    ],
)
def test_how_much_a_completion_says(whole: object, count: int) -> None:
    """Every text of every choice, reasoning and tool calls included; forms are no words."""
    assert count == chars(whole)


def _deltas(*deltas: Any) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks)


def _piece(**function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": function}]}


@pytest.mark.parametrize(
    "deltas",
    [
        [_piece(name="f", arguments={"amount": 9999})],
        [_piece(name="f", arguments="{}"), _piece(arguments=["x"])],
        [_piece(name="pay.out", arguments="{}"), _piece(name="_safe")],
        [{"tool_calls": [{"index": 0, "function": {"name": "f"}, "custom": {"name": "pay"}}]}],
        [_piece(name="f", arguments="{}"), {"tool_calls": [{"index": "0", "function": {}}]}],
        [_piece(name="f", arguments="{}"), {"tool_calls": ["x"]}],
        [_piece(name="f", arguments="{}"), {"tool_calls": {"0": {"function": {"name": "pay"}}}}],
        [{"tool_calls": {"a": 1}}, _piece(name="f", arguments="{}")],
        [{"function_call": {"name": "pay", "arguments": "{}"}}, {"function_call": {"name": "f"}}],
        [{"function_call": {"name": "f", "arguments": {"amount": 9999}}}],
        [{"function_call": 7}, {"function_call": {"name": "f", "arguments": "{}"}}],
    ],
)
def test_what_clients_could_put_together_otherwise_is_malformed(deltas: list[Any]) -> None:
    """The rules must not have judged another call than the one that some client runs."""
    calls = proposed(completion(_deltas(*deltas)))

    assert any(call.arguments is None for call in calls)


@pytest.mark.parametrize(
    ("deltas", "arguments"),
    [
        (
            [_piece(name="f", arguments=""), _piece(arguments='{"a":'), _piece(arguments="1}")],
            {"a": 1},
        ),
        (
            [
                {"function_call": {"name": "f", "arguments": ""}},
                {"function_call": {"arguments": '{"a":1}'}},
            ],
            {"a": 1},
        ),
        (
            [
                {"tool_calls": [{"index": 0, "custom": {"name": "f", "input": "se"}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "lect"}}]},
            ],
            {"input": "select"},
        ),
    ],
)
def test_calls_in_pieces_are_one_call(deltas: list[Any], arguments: dict[str, Any]) -> None:
    """Of each kind there is, the older one too."""
    (call,) = proposed(completion(_deltas(*deltas)))

    assert (call.name, call.arguments) == ("f", arguments)

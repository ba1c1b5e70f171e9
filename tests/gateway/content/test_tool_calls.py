"""Tool calls are read as strictly as requests; withheld ones leave an ordinary text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sekisho.content.tool_calls import (
    UNNAMED,
    ToolCall,
    changed,
    has_stray,
    proposed,
    without_calls,
)


def answer(*calls: Any, **message: Any) -> dict[str, Any]:
    """A completion with one choice."""
    said = {"role": "assistant", "content": None, "tool_calls": list(calls), **message}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls", "logprobs": {}}
    return {"id": "c1", "choices": [choice], "usage": {"total_tokens": 3}}


def call(arguments: Any, name: Any = "crm.write") -> dict[str, Any]:
    """A function call."""
    return {"id": "t1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_calls_are_read_with_their_arguments() -> None:
    """Parallel ones in their order; an empty text is no arguments."""
    found = proposed(answer(call('{"a": 1}'), call("", "kb.find")))

    assert (
        ToolCall(0, "crm.write", {"a": 1}, 8),
        ToolCall(0, "kb.find", {}, 0),
    ) == found


def test_the_older_form_and_custom_tools_are_calls_too() -> None:
    """Whoever runs them runs them."""
    older = answer(tool_calls=None, function_call={"name": "f", "arguments": "{}"})
    custom = answer({"type": "custom", "custom": {"name": "sh", "input": "rm -r x"}})

    assert (ToolCall(0, "f", {}, 2),) == proposed(older)
    assert (ToolCall(0, "sh", {"input": "rm -r x"}, 7),) == proposed(custom)


@pytest.mark.parametrize(
    "arguments",
    [
        "[1]", "1", "{", '{"a":1}{"a":2}', '{"a":1,"a":2}', '{"a":NaN}', "null",
        None, 7, {"a": 1}, '{"a":"\\ud800"}', '{"a":"\\u0000"}',
    ],
)  # fmt: skip
def test_arguments_that_two_readers_could_read_differently_are_malformed(arguments: Any) -> None:
    """What cannot be judged is not given on."""
    (one,) = proposed(answer(call(arguments)))

    assert one.arguments is None


@pytest.mark.parametrize(
    "calls",
    [
        [None],
        ["x"],
        [{}],
        [call("{}", "")],
        [call("{}", 7)],
        [call("{}", "n" * 257)],
        "x",
        {"a": 1},
    ],
)
def test_what_stands_in_the_place_of_a_call_is_malformed(calls: Any) -> None:
    """Also where no call can be made out."""
    found = proposed(answer(tool_calls=calls))

    assert found
    assert all(one.arguments is None for one in found)


@pytest.mark.parametrize(
    "said", [None, 1, {}, {"choices": 1}, {"choices": [1]}, answer(tool_calls=[])]
)
def test_without_calls_there_are_none(said: Any) -> None:
    """And odd answers are nobody's call."""
    assert () == proposed(said)


def test_a_withheld_call_leaves_a_text_that_ends_with_stop() -> None:
    """Nothing of the call is left, and no client waits for its result."""
    said = answer(call('{"secret": 1}'), content="I will write it.")
    said["choices"].append({"index": 1, "message": {"content": "b"}, "finish_reason": "stop"})

    left = without_calls(said, "[no]")

    first, second = left["choices"]
    assert {"role": "assistant", "content": "[no]", "refusal": None} == first["message"]
    assert "stop" == first["finish_reason"]
    assert "logprobs" not in first
    assert said["choices"][1] == second
    assert "secret" not in str(left)
    assert () == proposed(left)
    assert said["usage"] == left["usage"]


def test_changed_arguments_leave_all_else_as_it_was() -> None:
    """The id and the name of the call too."""
    said = answer(call('{"a": 1}'), call('{"b": 2}', "kb.find"), content="I write.")

    after = changed(said, {1: '{"b": 3}'})

    first, second = after["choices"][0]["message"]["tool_calls"]
    assert said["choices"][0]["message"]["tool_calls"][0] == first
    assert call('{"b": 3}', "kb.find") == second
    assert "I write." == after["choices"][0]["message"]["content"]
    assert "tool_calls" == after["choices"][0]["finish_reason"]
    assert '{"b": 2}' in str(said)


def test_a_call_that_is_taken_out_is_named_in_the_text() -> None:
    """The others stay calls; where none is left the choice ends with `stop`."""
    said = answer(call("{}"), call("{}", "kb.find"), content="I write.")

    after = changed(said, {0: None})

    message = after["choices"][0]["message"]
    assert ["kb.find"] == [one["function"]["name"] for one in message["tool_calls"]]
    assert message["content"].startswith("I write.\n\n[Not approved")
    assert "crm.write" in message["content"]
    gone = changed(after, {0: None})["choices"][0]
    assert ("stop", ()) == (gone["finish_reason"], proposed({"choices": [gone]}))


def test_places_count_over_all_choices_and_kinds() -> None:
    """As `proposed` has them."""
    said = answer(call("{}"), {"type": "custom", "custom": {"name": "sh", "input": "ls"}})
    said["choices"][0]["message"]["function_call"] = {"name": "old", "arguments": "{}"}
    said["choices"].append({"index": 1, "message": {"tool_calls": [call("{}", "last")]}})

    after = changed(said, {1: "pwd", 2: '{"x": 1}', 3: '{"y": 2}'})

    assert [
        ("crm.write", {}), ("sh", {"input": "pwd"}), ("old", {"x": 1}), ("last", {"y": 2}),
    ] == [(one.name, one.arguments) for one in proposed(after)]  # fmt: skip
    without = changed(said, {1: None, 2: None})
    assert ["crm.write", "last"] == [one.name for one in proposed(without)]


@pytest.mark.parametrize(
    "said",
    [
        {"choices": [{"tool_calls": [1], "message": {"content": "x"}}]},
        [answer(call("{}"))],
        {"choices": {"0": {"message": {"tool_calls": [1]}}}},
        {"Choices": [{"Message": {"Tool_Calls": [1]}}], "choices": []},
        answer(call("{}"), Tool_calls=[1]),
        answer(call("{}"), content=[{"function_call": {"name": "x"}}]),
        answer({**call("{}"), "tool_calls": [call("{}")]}),
        {**answer(call("{}")), "output": [{"FUNCTION_CALL": 1}]},
    ],
)
def test_what_is_named_like_a_call_elsewhere_is_a_stray(said: Any) -> None:
    """Some client may read it there, and nobody judged it."""
    assert has_stray(said, "message")


@pytest.mark.parametrize(
    "said",
    [
        None,
        answer(call("{}")),
        answer(tool_calls=None, function_call={"name": "f", "arguments": "{}"}),
        {**answer(), "tool_calls": None, "function_call": []},
        answer(content='{"tool_calls": [1]}'),
    ],
)
def test_calls_in_their_place_and_words_about_calls_are_none(said: Any) -> None:
    """Nor what holds nothing."""
    assert not has_stray(said, "message")
    assert has_stray(answer(call("{}")), "delta")


def test_a_call_of_two_kinds_is_no_call() -> None:
    """Clients choose by `type` which of both they run; rules must not have judged the other."""
    function = {"name": "drop_all", "arguments": "{}"}
    call = {
        "id": "t",
        "type": "function",
        "function": function,
        "custom": {"name": "x", "input": ""},
    }

    (seen,) = proposed({"choices": [{"message": {"tool_calls": [call]}}]})

    assert (seen.name, seen.arguments) == (UNNAMED, None)


def test_a_call_is_told_with_its_numbers_as_they_are_written() -> None:
    """A parser keeps 64 bits of them; the input of a custom tool is text and stays so."""
    text = '{"a": 18446744073709551617, "b": 100.000000000000001, "c": 7}'
    custom = {"type": "custom", "custom": {"name": "sh", "input": "7"}}
    (one, empty, free, bad) = proposed(answer(call(text), call(" "), custom, call("{")))

    assert one.written() == {"a": 18446744073709551617, "b": Decimal("100.000000000000001"), "c": 7}
    assert (empty.written(), free.written(), bad.written()) == ({}, {"input": "7"}, None)

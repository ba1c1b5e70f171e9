"""What a client of the Responses API asks, as the chat completion request that is judged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.responses_request import as_chat
from sekisho.errors import BadRequest


def carried(**members: Any) -> dict[str, Any]:
    """The chat request for these members, without the model."""
    chat = as_chat({"model": "m", "input": "hi", **members})
    assert chat.pop("model") == "m"
    return chat


def refused(**members: Any) -> BadRequest:
    """The refusal of these members."""
    with pytest.raises(BadRequest) as caught:
        carried(**members)
    return caught.value


def test_a_text_is_a_message() -> None:
    """The least there is; instructions stand before it."""
    assert carried() == {"messages": [{"role": "user", "content": "hi"}]}
    assert carried(instructions="Be brief.")["messages"][0] == {
        "role": "system",
        "content": "Be brief.",
    }


def test_a_tool_loop_is_a_conversation() -> None:
    """Calls of one turn stand in one message with its words, each result after them; what the
    model thought has no place.
    """
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "both"}]},
        {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "x"},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Now.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "b", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "2"}],
        },
    ]

    assert carried(input=items)["messages"] == [
        {"role": "user", "content": "both"},
        {
            "role": "assistant",
            "content": "Now.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
                {"id": "c2", "type": "custom", "custom": {"name": "b", "input": "x"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
    ]


def test_words_after_the_calls_of_a_turn_join_them() -> None:
    """Results must follow the message with their calls."""
    items = [
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
    ]

    first, second = carried(input=items)["messages"]

    assert (first["content"], second["tool_call_id"]) == ("I look.", "c1")


def test_parts_keep_their_order_and_kind() -> None:
    """Pictures, files and sounds as chat completions have them."""
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_file", "file_data": "data:text/plain;base64,AA==", "filename": "a.txt"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]

    assert carried(input=[{"role": "user", "content": parts}])["messages"][0]["content"] == [
        {"type": "text", "text": "see"},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"},
        },
        {
            "type": "file",
            "file": {"file_data": "data:text/plain;base64,AA==", "filename": "a.txt"},
        },
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


SCHEMA = {"type": "object", "properties": {}}
CARRIED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as they are": (
        {"temperature": 0.5, "top_p": 1, "user": "u", "parallel_tool_calls": False},
        {"temperature": 0.5, "top_p": 1, "user": "u", "parallel_tool_calls": False},
    ),
    "nothing said": ({"temperature": None, "tools": None, "previous_response_id": None}, {}),
    "needless": ({"store": True, "metadata": {"a": "b"}, "background": False}, {}),
    "length": ({"max_output_tokens": 9}, {"max_completion_tokens": 9}),
    "effort": ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    "verbosity": ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    "text": ({"text": {"format": {"type": "text"}}}, {}),
    "json": (
        {"text": {"format": {"type": "json_object"}}},
        {"response_format": {"type": "json_object"}},
    ),
    "schema": (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA},
            }
        },
    ),
    "stream": (
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"stream": True, "stream_options": {"include_usage": True}},
    ),
    "no stream": ({"stream": False}, {"stream": False}),
    "odds": ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
    "more odds": ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    "no odds": ({"top_logprobs": 0, "include": ["reasoning.encrypted_content"]}, {}),
    "no truncation": ({"truncation": "disabled"}, {}),
    "no tools": ({"tools": []}, {}),
}


@pytest.mark.parametrize("case", CARRIED)
def test_members_that_are_carried_over(case: str) -> None:
    """Under their names of chat completions, and nothing beside them."""
    given_members, expected = CARRIED[case]

    chat = carried(**given_members)

    assert chat.pop("messages")
    assert chat == expected


UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "state": ({"previous_response_id": "resp_1"}, "previous_response_id"),
    "conversation": ({"conversation": "c"}, "conversation"),
    "stored prompt": ({"prompt": {"id": "p"}}, "prompt"),
    "unknown": ({"enable_search": True}, "enable_search"),
    "new switch": ({"context_management": []}, "context_management"),
    "truncation": ({"truncation": "auto"}, "truncation"),
    "include": ({"include": ["web_search_call.results"]}, "include"),
    "include no text": ({"include": [{}]}, "include"),
    "reasoning": ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    "format": ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    "stored item": ({"input": [{"type": "item_reference", "id": "i"}]}, "input.0"),
    "hosted item": ({"input": [{"type": "mcp_call", "id": "i"}]}, "input.0"),
    "no item": ({"input": ["hi"]}, "input.0"),
    "item of no type": ({"input": [{"type": {}}]}, "input.0"),
    "member": ({"input": [{"role": "user", "content": "x", "caller": "y"}]}, "input.0.caller"),
    "stored file": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        "input.0.content.0.file_id",
    ),
    "fetched file": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
        "input.0.content.0.file_url",
    ),
    "part": (
        {"input": [{"role": "user", "content": [{"type": "computer_screenshot"}]}]},
        "input.0.content.0",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_cannot_be_carried_over_is_refused_by_name(case: str) -> None:
    """Nothing that could change the answer is left out in silence."""
    members, param = UNSUPPORTED[case]

    error = refused(**members)

    assert (error.code, error.param) == ("unsupported_parameter", param)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({"input": None}, "input"),
    "empty input": ({"input": []}, "input"),
    "number": ({"input": 7}, "input"),
    "instructions": ({"instructions": ["x"]}, "instructions"),
    "length": ({"max_output_tokens": 0}, "max_output_tokens"),
    "length as truth": ({"max_output_tokens": True}, "max_output_tokens"),
    "text": ({"text": "x"}, "text"),
    "content": ({"input": [{"role": "user", "content": 7}]}, "input.0.content"),
    "no content": ({"input": [{"role": "user"}]}, "input.0.content"),
    "text of a part": (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input.0.content.0.text",
    ),
    "tools": ({"tools": {}}, "tools"),
    "include": ({"include": "x"}, "include"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_malformed_is_refused_by_name(case: str) -> None:
    """As the API would."""
    members, param = WRONG[case]

    error = refused(**members)

    assert (error.code, error.param) == ("invalid_request", param)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "call_id", "tools", "format"])
            | st.text(max_size=4),
            inner
            | st.sampled_from(["message", "function_call", "input_text", "reasoning", "user"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "include", "x"]),
        anything,
    )
)
def test_whatever_comes_is_carried_over_or_refused(members: dict[str, Any]) -> None:
    """Never another error, and what is carried has its messages."""
    try:
        chat = carried(**members)
    except BadRequest:
        return
    assert all("role" in message for message in chat["messages"])

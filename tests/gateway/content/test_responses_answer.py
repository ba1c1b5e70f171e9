"""A chat completion as a response: what it says, how it ended, what it used; one for the SDK."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response

from sekisho.content.responses_answer import failed, response

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "note", "input": "x"}}


def completion(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion with this one answer."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "chatcmpl-1", "created": 7, "model": "m", "choices": [choice], **more}


def told(*args: Any, **more: Any) -> dict[str, Any]:
    """The response to such a completion, as the SDK's own types want it."""
    made = response(completion(*args, **more), "resp_1")
    Response.model_validate(made, strict=True)
    return made


def test_words() -> None:
    """The plain case, with what it used."""
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }

    made = told({"role": "assistant", "content": "four 四"}, usage=usage)

    assert Response.model_validate(made).output_text == "four 四"
    assert (made["id"], made["status"], made["model"]) == ("resp_1", "completed", "m")
    assert made["created_at"] == 7
    assert made["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 7,
    }


def test_thoughts_words_and_calls_stand_in_this_order() -> None:
    """Each an item of its own, with an id of its own."""
    message = {"reasoning_content": "hm", "content": "ok", "tool_calls": [CALL, CUSTOM]}

    items = told(message, "tool_calls")["output"]

    kinds = ["reasoning", "message", "function_call", "custom_tool_call"]
    assert [item["type"] for item in items] == kinds
    assert len({item["id"] for item in items}) == len(items)
    assert items[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert (items[2]["call_id"], items[2]["arguments"]) == ("c1", '{"a": 1}')
    assert (items[3]["call_id"], items[3]["input"]) == ("c2", "x")


def test_a_refusal_is_told_as_one() -> None:
    """No words of the model hide it."""
    items = told({"content": None, "refusal": "no"})["output"]

    assert [part["type"] for item in items for part in item["content"]] == ["refusal"]


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("something_new", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_how_it_ended(finish: Any, status: str, reason: str | None) -> None:
    """A cut or filtered answer is incomplete."""
    made = told({"content": "x"}, finish)

    assert made["status"] == status
    assert made["incomplete_details"] == (reason and {"reason": reason})


def test_odds_of_tokens_are_kept() -> None:
    """Both APIs write them alike."""
    odds = [{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}]
    whole = completion({"content": "x"})
    whole["choices"][0]["logprobs"] = {"content": odds}

    made = response(whole, "resp_1")

    assert made["output"][0]["content"][0]["logprobs"] == odds


def test_the_older_spelling_of_a_call() -> None:
    """It has no id, so it gets one that stays the same."""
    message = {"content": None, "function_call": {"name": "find", "arguments": "{}"}}

    first, again = told(message)["output"], told(message)["output"]

    assert first == again
    assert (first[0]["name"], bool(first[0]["call_id"])) == ("find", True)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [7]},
        {"choices": [{"message": 7}]},
        {"choices": [{"message": {"content": 7, "tool_calls": [7, {"function": 7}]}}]},
        {"choices": [{"message": {"content": [7, {"text": "x"}]}}], "usage": 7, "created": "x"},
    ],
)
def test_an_odd_completion_makes_a_response_all_the_same(odd: Any) -> None:
    """What cannot be read is not told; nothing breaks."""
    Response.model_validate(response(odd, "resp_1"), strict=True)


def test_what_came_to_nothing() -> None:
    """Its status, and why."""
    error = {"code": "server_error", "message": "why"}

    made = failed({"model": "m", "created": 7}, "resp_1", "failed", error)

    assert Response.model_validate(made).error is not None
    assert (made["status"], made["error"], made["output"]) == ("failed", error, [])

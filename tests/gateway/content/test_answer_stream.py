"""A completion as a stream says the same, as the SDK and our own reader put it together."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletionChunk

from sekisho.content import assemble
from sekisho.content.answer_stream import as_stream, notice_events

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
TEXT = {"role": "assistant", "content": "four 四"}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "t1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
        {"id": "t2", "type": "function", "function": {"name": "b", "arguments": '{"x":1}'}},
    ],
}


def completion(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chat completion with these messages."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": n, "message": said, "finish_reason": "stop", "logprobs": None}
            for n, said in enumerate(messages)
        ],
        **more,
    }


@pytest.mark.parametrize("messages", [(TEXT,), (CALLS,), (TEXT, CALLS), ()])
@pytest.mark.parametrize("more", [{}, {"usage": USAGE, "system_fingerprint": "f"}])
def test_the_stream_says_what_the_completion_says(messages: Any, more: Any) -> None:
    """Put together again it is the same, and every chunk is one for the SDK."""
    whole = completion(*messages, **more)

    stream = as_stream(whole)

    *chunks, last = assemble.events(stream)
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk)
    assert b"[DONE]" == last
    again = assemble.completion(stream)
    for choice, said in zip(again["choices"], messages, strict=True):
        assert "stop" == choice["finish_reason"]
        for name, value in said.items():
            known = choice["message"][name]
            assert value == (known if name != "tool_calls" else _unnumbered(known))
    assert more.get("usage") == again.get("usage")


def _unnumbered(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in call.items() if k != "index"} for call in calls]


def test_a_notice_ends_the_choices_that_called() -> None:
    """After the text that went before, on lines of its own; with `stop`."""
    whole = completion(TEXT, {**CALLS, "content": "I write."}, CALLS)

    *told, done = assemble.events(notice_events(whole, [1, 2], "[no]"))
    events = [orjson.loads(one) for one in told]

    assert b"[DONE]" == done
    said = [(c["index"], c["delta"].get("content")) for e in events for c in e["choices"]]
    assert [(1, "\n\n[no]"), (1, None), (2, "[no]"), (2, None)] == said
    assert "tool_calls" not in str(events)
    assert {"stop", None} == {c["finish_reason"] for e in events for c in e["choices"]}

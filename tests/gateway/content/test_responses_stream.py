"""Chunks as events: the SDK puts them together to the response that the whole answer would be."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from sekisho.content import assemble
from sekisho.content.answer_stream import as_stream
from sekisho.content.responses_answer import response
from sekisho.content.responses_stream import ResponseEvents

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
MESSAGES: dict[str, dict[str, Any]] = {
    "words": {"role": "assistant", "content": "four 四"},
    "thoughts": {"reasoning_content": "hm", "content": "ok"},
    "calls": {"content": "look", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
    "refusal": {"content": None, "refusal": "no"},
    "nothing": {},
}


def completion(message: Any, finish: str = "stop") -> dict[str, Any]:
    """A chat completion with this one answer."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return {"id": "x", "created": 7, "model": "m", "choices": [choice], "usage": usage}


def told(*pieces: bytes, **how: Any) -> list[dict[str, Any]]:
    """The events, each as the SDK's own types want it, and numbered without a gap."""
    events = ResponseEvents("resp_1", **how)
    stream = b"".join([*map(events.feed, pieces), events.end()])
    found = [orjson.loads(data) for data in assemble.events(stream)]
    for event in found:
        EVENT.validate_python(event)
        assert b"event: %b\n" % event["type"].encode() in stream
    numbers = [event["sequence_number"] for event in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    return found


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_the_last_event_has_what_the_whole_answer_would_be(kind: str, finish: str) -> None:
    """Item by item, and the deltas of each text are its words."""
    whole = completion(MESSAGES[kind], finish)

    events = told(as_stream(whole))

    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    assert last["response"] == response(whole, "resp_1")
    for number, item in enumerate(last["response"]["output"]):
        about = [event for event in events if event.get("output_index") == number]
        assert about[0]["type"] == "response.output_item.added"
        assert about[0]["item"]["id"] == item["id"]
        assert about[-1]["item"] == item
        said = "".join(e["delta"] for e in about if e["type"].endswith(".delta"))
        assert said in orjson.dumps(item).decode() or said == item["arguments"]


@given(st.data())
def test_cuts_make_no_difference(data: st.DataObject) -> None:
    """Wherever the network cuts the stream, the events are the same."""
    stream = as_stream(completion(MESSAGES[data.draw(st.sampled_from(sorted(MESSAGES)))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert told(*pieces) == told(stream)


def test_a_client_that_lost_its_stream_gets_the_rest() -> None:
    """After any event it names, exactly what follows."""
    stream = as_stream(completion(MESSAGES["calls"]))
    events = told(stream, queued=True)

    assert "response.queued" in {event["type"] for event in events}
    for number in range(len(events)):
        rest = ResponseEvents("resp_1", queued=True, after=number)
        again = [orjson.loads(data) for data in assemble.events(rest.feed(stream))]
        assert again == events[number + 1 :]


def test_an_error_in_mid_stream_is_an_error_event() -> None:
    """The words so far stay; no event says that it was completed."""
    chunk = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"wo"}}]}\n\n'
    error = b'data: {"error":{"code":"backend_cut","message":"It broke off."}}\n\n'

    events = told(chunk, error)

    assert events[-1]["type"] == "error"
    assert (events[-1]["code"], events[-1]["message"]) == ("backend_cut", "It broke off.")
    assert not any(event["type"] == "response.completed" for event in events)


def test_calls_in_pieces_are_told_as_they_were_judged() -> None:
    """A backend that mixes the pieces of two calls cannot make others of them: what is told is
    what putting them together gave, as the rules saw it.
    """
    pieces = [
        {"index": 0, "id": "c0", "function": {"name": "keep", "arguments": '{"a":'}},
        {"index": 1, "id": "c1", "function": {"name": "drop", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": "1}"}},
    ]
    chunks = [
        b"data: %b\n\n"
        % orjson.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})
        for piece in pieces
    ]
    stream = b"".join([*chunks, b"data: [DONE]\n\n"])

    items = told(stream)[-1]["response"]["output"]

    judged = assemble.completion(stream)["choices"][0]["message"]["tool_calls"]
    assert [(item["name"], item["arguments"]) for item in items] == [
        (call["function"]["name"], call["function"]["arguments"]) for call in judged
    ]


def test_what_says_nothing_keeps_the_connection_alive() -> None:
    """A comment of ours, never the backend's words."""
    events = ResponseEvents("resp_1")

    assert events.feed(b": whatever it says\n\n") == b":\n\n"
    assert events.feed(b": half") == b""


@pytest.mark.parametrize(
    "odd",
    [
        b"data: 7\n\n",
        b"data: {\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [7, {"index": 1, "delta": {"content": "other"}}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": 7}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"content": 7, "tool_calls": 7}}]}\n\n',
    ],
)
def test_odd_chunks_say_nothing(odd: bytes) -> None:
    """The stream goes on, and ends as an empty answer."""
    assert told(odd, b"data: [DONE]")[-1]["response"]["output"] == []


@pytest.mark.parametrize("end", [b'data: {"error":{"code":"x"}}\n\n', b"data: [DONE]\n\n"])
def test_nothing_is_told_after_the_end(end: bytes) -> None:
    """An error is no answer that was completed, and an answer ends once."""
    more = b'data: {"choices":[{"index":0,"delta":{"content":"more"}}]}\n\ndata: [DONE]\n\n'

    assert told(end, more) == told(end)

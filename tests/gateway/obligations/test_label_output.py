"""An answer says what wrote it, once, before its text; and nothing else of it changes."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content import assemble
from sekisho.obligations import label_output
from sekisho.obligations.label_output import LABEL, Labeller

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def answer(*contents: Any) -> dict[str, Any]:
    """A completion with a choice for each content."""
    choices = [
        {"index": n, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        for n, said in enumerate(contents)
    ]
    return {"id": "x", "choices": choices, "usage": {"total_tokens": 3}, "odd": [1]}


def chunk(number: int, **delta: Any) -> bytes:
    """An event of a stream."""
    told = {"id": "x", "model": "m", "choices": [{"index": number, "delta": delta}]}
    return b"data: " + orjson.dumps(told) + b"\n\n"


def labelled(stream: bytes, cuts: list[int]) -> bytes:
    """What a labeller makes of a stream that comes in pieces."""
    labeller, out, start = Labeller(), b"", 0
    for cut in [*sorted(cuts), len(stream)]:
        out += labeller.feed(stream[start:cut])
        start = cut
    return out + labeller.end()


def test_each_text_has_it_and_all_else_is_as_it_was() -> None:
    whole = answer("hi", "there")
    whole["choices"][0]["logprobs"] = {"content": []}
    before = copy.deepcopy(whole)

    expected = answer(LABEL + "hi", LABEL + "there")
    assert expected == label_output.apply(whole)
    assert before == whole


def test_content_in_parts_gets_a_part_of_its_own() -> None:
    part = {"type": "text", "text": "hi"}
    expected = answer([{"type": "text", "text": LABEL}, part])
    assert expected == label_output.apply(answer([part]))


@pytest.mark.parametrize(
    "whole", [answer(None), answer(""), answer([]), answer(), {}, {"choices": 1}, [], None, "x"]
)
def test_without_a_text_there_is_nothing_to_label(whole: Any) -> None:
    """A tool call is no text, and a backend may answer anything."""
    assert label_output.apply(whole) is None


@pytest.mark.parametrize(
    ("request_body", "people"),
    [
        ({}, True),
        ({"response_format": {"type": "text"}}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, False),
        ({"response_format": None}, True),
        ({"response_format": {"type": "grammar"}}, False),
    ],
)
def test_a_format_for_programs_is_not_broken(request_body: dict[str, Any], people: bool) -> None:
    assert people == label_output.is_for_people(request_body)


EVENTS = st.lists(
    st.sampled_from(
        [
            chunk(0, role="assistant", content=""),
            chunk(0, content="hi"),
            chunk(0, content=" there"),
            chunk(1, content="二"),
            chunk(0, tool_calls=[{"index": 0, **CALL}]),
            b": keep-alive\n\n",
            b"data: [DONE]\n\n",
            b"data: not json\n\n",
            b'data: {"choices":[{"index":"a","delta":{"content":"x"}}]}\n\n',
            b'data: {"choices":7}\r\n\r\n',
            b"event: odd\r\ndata: {}\r\n\r\n",
            b'data: {"choices":[{"delta":{"content":"no end"}}]}',
        ]
    ),
    max_size=8,
)


@given(EVENTS, st.lists(st.integers(0, 900), max_size=6))
def test_a_stream_has_it_once_for_each_choice_that_speaks(
    events: list[bytes], cuts: list[int]
) -> None:
    """However it is cut into pieces; without our events, it is the backend's, byte for byte."""
    stream = b"".join(events)
    made = labelled(stream, [min(cut, len(stream)) for cut in cuts])
    assert labelled(stream, []) == made

    ours = [part + b"\n\n" for part in made.split(b"\n\n") if LABEL.encode() in part]
    left = made
    for one in ours:
        event = one[one.rindex(b"data: ") :]
        left = left.replace(event, b"", 1)
    assert stream == left
    spoken = [c for c in assemble.completion(made)["choices"] if c["message"]["content"]]
    texts = [c["message"]["content"] for c in spoken]
    whole_events = stream.endswith((b"\n\n", b"\r\n\r\n")) or not stream
    if whole_events and b"no end" not in stream:
        assert all(text.startswith(LABEL) and text.count(LABEL) == 1 for text in texts)
        assert len(texts) == len(ours)

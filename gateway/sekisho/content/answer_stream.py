"""A whole chat completion as the stream of events that a client asked for.

Used where an answer was read whole before anybody saw it and is now given to a client that wants a
stream: the role and the text of each choice, its tool calls, its end, the usage, the closing mark.
Only what the completion holds is in it, so a client of the stream sees what was reviewed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
ALIVE = b":\n\n"
"""A comment that says nothing: proxies and clients see that the connection lives."""
ALIVE_S = 10.0
"""How long a stream stays silent before it says that; some proxies wait no longer than 15 s."""
_NOT_OF_CHUNKS = frozenset({"object", "choices", "usage"})


def as_stream(completion: Mapping[str, Any]) -> bytes:
    """The events of `completion`, each one `chat.completion.chunk`, and `data: [DONE]`."""
    head = {name: value for name, value in completion.items() if name not in _NOT_OF_CHUNKS}
    head["object"] = "chat.completion.chunk"
    events = [_event(head, choice) for choice in _chunks(completion.get("choices"))]
    usage = completion.get("usage")
    if usage is not None:
        events.append(b"data: " + orjson.dumps({**head, "choices": [], "usage": usage}) + b"\n\n")
    return b"".join((*events, DONE))


def notice_events(completion: Mapping[str, Any], numbers: Collection[int], notice: str) -> bytes:
    """The end of a stream whose tool calls are withheld: `notice` as text in the choices at these
    places of `completion`, their end with `stop`, and `data: [DONE]`.
    """
    choices = completion["choices"]
    said = [
        {
            "index": choices[number].get("index", number),
            "message": {"content": _after(choices[number], notice)},
            "finish_reason": "stop",
        }
        for number in numbers
    ]
    return as_stream({**completion, "choices": said})


def end_events(completion: Mapping[str, Any], reason: str) -> bytes:
    """The end of each choice that has begun and not ended, with this reason; no closing mark."""
    head = {name: value for name, value in completion.items() if name not in _NOT_OF_CHUNKS}
    head["object"] = "chat.completion.chunk"
    return b"".join(
        _event(head, {"index": choice.get("index", number), "delta": {}, "finish_reason": reason})
        for number, choice in enumerate(completion["choices"])
        if choice.get("finish_reason") is None
    )


def _after(choice: Mapping[str, Any], notice: str) -> str:
    """The notice, on a line of its own where the choice has said something before."""
    message = choice.get("message")
    said = isinstance(message, dict) and message.get("content")
    return f"\n\n{notice}" if said else notice


def _chunks(choices: Any) -> Iterator[dict[str, Any]]:
    for number, choice in enumerate(choices if isinstance(choices, list) else []):
        if not isinstance(choice, dict):
            continue
        index = choice.get("index", number)
        rest = {k: v for k, v in choice.items() if k not in {"index", "message", "finish_reason"}}
        delta = _delta(choice.get("message"))
        yield {"index": index, "delta": delta, "finish_reason": None, **rest}
        yield {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}


def _delta(message: Any) -> dict[str, Any]:
    said = dict(message) if isinstance(message, dict) else {}
    calls = said.get("tool_calls")
    if isinstance(calls, list):
        said["tool_calls"] = [
            {"index": number, **call} if isinstance(call, dict) else call
            for number, call in enumerate(calls)
        ]
    return {"role": "assistant", **said}


def _event(head: Mapping[str, Any], choice: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n"

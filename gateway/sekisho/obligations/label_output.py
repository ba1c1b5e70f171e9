"""label_output: an answer says of itself that a machine wrote it.

The label stands before the text of each answer and in the header `x-sekisho-label` (China's
GB 45438-2025 wants an explicit label at the beginning, the end or another suitable place of a text,
and so does the EU's AI Act, article 50). Answers in a format for programs (`response_format` json)
and answers without text, tool calls among them, have it in the header only: a label inside would
break them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

LABEL = "【AI生成 · AI-generated】 "
HEADER = {"x-sekisho-label": "ai-generated"}
_PART = {"type": "text", "text": LABEL}
_SILENT = -1
_BOUNDARIES = (b"\r\n\r\n", b"\n\n")
_BOUNDARY_BYTES = 4


def is_for_people(request: Mapping[str, Any]) -> bool:
    """Whether the answer to this request is a text that people read."""
    wanted = request.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    return kind in {None, "text"}


def apply(answer: Any) -> dict[str, Any] | None:
    """A chat completion with the label before each text; None if there is no text in it.

    `logprobs` of a labelled choice are left out: they would be those of another text.
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        return None
    labelled = [_labelled(choice) for choice in choices]
    if labelled == choices:
        return None
    return {**answer, "choices": labelled}


def _labelled(choice: Any) -> Any:
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not content or not isinstance(content, (str, list)):
        return choice
    said = LABEL + content if isinstance(content, str) else [_PART, *content]
    rest = {name: value for name, value in choice.items() if name != "logprobs"}
    return {**rest, "message": {**choice["message"], "content": said}}


class Labeller:
    """Puts the label before the first text of each choice of a stream; all else passes as it is."""

    def __init__(self) -> None:
        self._rest = b""
        self._done: set[int] = set()

    def feed(self, chunk: bytes) -> bytes:
        """What may go on now: whole events, with those of ours between them."""
        looked_through = max(0, len(self._rest) - _BOUNDARY_BYTES)
        self._rest += chunk
        ready: list[bytes] = []
        while (end := _event_end(self._rest, looked_through)) > 0:
            event, self._rest, looked_through = self._rest[:end], self._rest[end:], 0
            ready += (self._label_before(event), event)
        return b"".join(ready)

    @property
    def waiting(self) -> int:
        """Bytes of an event that is not whole yet."""
        return len(self._rest)

    def end(self) -> bytes:
        """What is left when the stream is over: no whole event."""
        rest, self._rest = self._rest, b""
        return rest

    def _label_before(self, event: bytes) -> bytes:
        """An event with the label for the choices that begin to say something here, or nothing."""
        chunk = _chunk_of(event)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return b""
        fresh = {_speaking(choice) for choice in choices} - self._done - {_SILENT}
        if not fresh:
            return b""
        self._done |= fresh
        ours = {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        said = [
            {
                "index": number,
                "delta": {"role": "assistant", "content": LABEL},
                "finish_reason": None,
            }
            for number in sorted(fresh)
        ]
        told = {**ours, "object": "chat.completion.chunk", "choices": said}
        return b"data: " + orjson.dumps(told) + b"\n\n"


def _event_end(raw: bytes, start: int) -> int:
    """Where the first whole event ends, 0 if there is none yet; none ends before `start`."""
    places = ((raw.find(mark, start), len(mark)) for mark in _BOUNDARIES)
    return min((place + length for place, length in places if place >= 0), default=0)


def _chunk_of(event: bytes) -> Mapping[str, Any]:
    for line in event.splitlines():
        if line.startswith(b"data:"):
            try:
                chunk = orjson.loads(line[5:])
            except orjson.JSONDecodeError:
                return {}
            return chunk if isinstance(chunk, dict) else {}
    return {}


def _speaking(choice: Any) -> int:
    """The number of a choice whose delta holds text, else _SILENT."""
    delta = choice.get("delta") if isinstance(choice, dict) else None
    content = delta.get("content") if isinstance(delta, dict) else None
    if not content:
        return _SILENT
    number = choice.get("index", 0)
    return number if type(number) is int else 0

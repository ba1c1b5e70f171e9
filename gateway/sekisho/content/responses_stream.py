"""A stream of chat completion chunks as the events of a streamed response; pure.

    response.created, response.queued (in the background), response.in_progress
    response.output_item.added .. deltas .. response.output_item.done     for each item
    response.completed or response.incomplete                             after `data: [DONE]`

Every event has the next sequence number, so the same chunks make the same events, and a client that
lost its stream can go on after the last one it has. What ends a stream early becomes an `error`
event. The words are those of the chunks; a comment that says nothing keeps the connection alive.

Source: the streaming events in OpenAI's API reference, 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from sekisho.content import assemble
from sekisho.content import responses_answer as answer
from sekisho.content.answer_stream import ALIVE
from sekisho.content.call_watch import whole_events

_DONE = b"[DONE]"
_TEXTS = {
    "thought": ("rs", "response.reasoning_text", "text"),
    "words": ("msg", "response.output_text", "text"),
    "refusal": ("msg", "response.refusal", "refusal"),
}
"""Of each kind of text: the beginning of its item's id and of its events' names, and its member."""
_CALLS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


@dataclass(slots=True)
class _Text:
    """An item with a text, while it grows."""

    kind: str
    number: int
    id: str
    said: list[str] = field(default_factory=list)
    odds: list[Any] = field(default_factory=list)

    def part(self, text: str) -> dict[str, Any]:
        """Its content part."""
        match self.kind:
            case "thought":
                return answer.thought_part(text)
            case "words":
                return answer.text_part(text, self.odds)
            case _:
                return answer.refusal_part(text)

    def place(self, odds: list[Any]) -> dict[str, Any]:
        """Where the text stands, as its events say it."""
        return {"content_index": 0, **({"logprobs": odds} if self.kind == "words" else {})}


class ResponseEvents:
    """`feed` every piece of the stream. `queued`: the response was asked for in the background.

    `after` is the sequence number of the last event that the client has; what came up to it is not
    told again.
    """

    def __init__(self, response_id: str, *, queued: bool = False, after: int = -1) -> None:
        self._id = response_id
        self._queued = queued
        self._after = after
        self._number = 0
        self._rest = b""
        self._begun: dict[str, Any] | None = None
        self._going = self._over = False
        self._items: list[dict[str, Any]] = []
        self._open: _Text | None = None
        self._calling: dict[str, Any] = {}
        self._finish: Any = None
        self._usage: Any = None
        self._ready: list[bytes] = []

    def feed(self, piece: bytes) -> bytes:
        """The events that `piece` makes."""
        pending = self._rest + piece
        end = whole_events(pending)
        whole, self._rest = pending[:end], pending[end:]
        for data in assemble.events(whole):
            self._take(data)
        return self._said() or (ALIVE if whole else b"")

    def begin(self, head: Mapping[str, Any]) -> bytes:
        """The first events, before there is an answer; `head` has its time and model."""
        self._begin(head)
        return self._said()

    def fail(self, response: Mapping[str, Any]) -> bytes:
        """The last event of a response that came to nothing."""
        self._emit("response.failed", response=response)
        return self._said()

    def end(self) -> bytes:
        """The stream is over: a last event without its end is taken as if it had one."""
        return self.feed(b"\n\n") if self._rest else b""

    def _take(self, data: bytes) -> None:
        if self._over:  # what comes after the end is nobody's answer
            return
        if data == _DONE:
            self._end()
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if not isinstance(chunk, dict):
            return
        if isinstance(error := chunk.get("error"), dict):
            said = {name: error.get(name) for name in ("code", "message", "param")}
            told = {name: text if isinstance(text, str) else None for name, text in said.items()}
            self._over = True
            self._emit("error", **told | {"message": told["message"] or "It broke off."})
            return
        self._go(self._begin(chunk))
        self._usage = chunk.get("usage") or self._usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and assemble.number_of(choice) == 0:
                self._finish = choice.get("finish_reason") or self._finish
                self._say_more(choice.get("delta"), answer.token_odds(choice))

    def _begin(self, head: Mapping[str, Any]) -> dict[str, Any]:
        if self._begun is None:
            self._begun = answer.started(head, self._id)
            self._emit("response.created", response=self._begun)
            if self._queued:
                self._emit("response.queued", response={**self._begun, "status": "queued"})
        return self._begun

    def _go(self, begun: Mapping[str, Any]) -> None:
        if not self._going:
            self._going = True
            self._emit("response.in_progress", response=begun)

    def _say_more(self, delta: Any, odds: list[Any]) -> None:
        if not isinstance(delta, dict):
            return
        thought = next(filter(None, (delta.get(name) for name in answer.THOUGHTS)), None)
        said = {"thought": thought, "words": delta.get("content"), "refusal": delta.get("refusal")}
        for kind, text in said.items():
            if isinstance(text, str) and text:
                self._grow(kind, text, odds)
        assemble.join_calls(self._calling, delta)

    def _grow(self, kind: str, text: str, odds: list[Any]) -> None:
        item = self._open
        if item is None or item.kind != kind:
            item = self._opened(kind)
        item.said.append(text)
        item.odds += odds
        self._about(item, _TEXTS[kind][1] + ".delta", delta=text, **item.place(odds))

    def _opened(self, kind: str) -> _Text:
        self._close()
        number = len(self._items)
        item = _Text(kind, number, answer.item_id(_TEXTS[kind][0], self._id, number))
        self._open = item
        told = {**self._told(item), "status": "in_progress", "content": []}
        self._emit("response.output_item.added", output_index=number, item=told)
        self._about(item, "response.content_part.added", content_index=0, part=item.part(""))
        return item

    def _close(self) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        text = "".join(item.said)
        _, name, member = _TEXTS[item.kind]
        self._about(item, name + ".done", **{member: text}, **item.place(item.odds))
        self._about(item, "response.content_part.done", content_index=0, part=item.part(text))
        self._finished(self._told(item))

    def _told(self, item: _Text) -> dict[str, Any]:
        """The item as a response has it."""
        text = "".join(item.said)
        if item.kind == "thought":
            return answer.reasoning_item(self._id, item.number, text)
        return answer.message_item(self._id, item.number, item.part(text))

    def _call(self, call: Mapping[str, Any]) -> None:
        """A call is told whole, as it was judged: by now all of it is there."""
        number = len(self._items)
        told = answer.call_item(self._id, number, call)
        name, member = _CALLS[told["type"]]
        begun = {**told, "status": "in_progress", member: ""}
        place = {"item_id": told["id"], "output_index": number}
        self._emit("response.output_item.added", output_index=number, item=begun)
        self._emit(name + ".delta", delta=told[member], **place)
        self._emit(name + ".done", **{member: told[member]}, **place)
        self._finished(told)

    def _finished(self, told: dict[str, Any]) -> None:
        self._emit("response.output_item.done", output_index=len(self._items), item=told)
        self._items.append(told)

    def _end(self) -> None:
        self._over = True
        begun = self._begin({})
        self._go(begun)
        self._close()
        for call in answer.calls_of(self._calling):
            self._call(call)
        whole = answer.ended(begun, self._items, self._finish, {"usage": self._usage})
        self._emit(f"response.{whole['status']}", response=whole)

    def _about(self, item: _Text, kind: str, **members: Any) -> None:
        self._emit(kind, item_id=item.id, output_index=item.number, **members)

    def _said(self) -> bytes:
        said, self._ready = b"".join(self._ready), []
        return said

    def _emit(self, kind: str, **members: Any) -> None:
        number, self._number = self._number, self._number + 1
        if number > self._after:
            told = {"type": kind, "sequence_number": number, **members}
            self._ready.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(told)))

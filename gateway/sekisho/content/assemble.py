"""From a stream of chat completion chunks to the one completion they spell.

Used for the record of a streamed answer and when a held answer that was streamed by the backend is
retrieved as JSON. The bytes a client is streaming are never touched by this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"
# Members of a message that say what it is, not what it says.
_FORM = frozenset({"role", "type", "id"})


def events(stream: bytes) -> Iterator[bytes]:
    """The data of each server-sent event (WHATWG HTML section 9.2, lines of `data:` only).

    Lines end with LF, CR LF or CR. A byte order mark may stand in front.
    """
    plain = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in stream else stream
    for block in plain.split(b"\n\n"):
        lines = [
            line[5:].removeprefix(b" ")
            for line in block.removeprefix(_BOM).split(b"\n")
            if line[:5] == b"data:"
        ]
        if lines:
            yield b"\n".join(lines)


def chars(whole: Any) -> int:
    """How much a completion says: characters of all texts in its choices, tool calls included."""
    choices = whole.get("choices") if isinstance(whole, dict) else None
    if not isinstance(choices, list):
        return 0
    return sum(_chars(choice.get("message")) for choice in choices if isinstance(choice, dict))


def _chars(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_chars(part) for name, part in value.items() if name not in _FORM)
    return sum(_chars(part) for part in value) if isinstance(value, list) else 0


def completion(stream: bytes) -> dict[str, Any]:
    """One `chat.completion` object with the text, tool calls and usage of all chunks.

    Members this module does not know are kept from the first chunk that has them; a chunk that is
    not JSON ends up in `unread`, a count, so that nothing is dropped silently.
    """
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    unread = 0
    for data in events(stream):
        if data == b"[DONE]":
            continue
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            unread += 1
            continue
        if not isinstance(chunk, dict):
            unread += 1
            continue
        for name, value in chunk.items():
            if name == "choices":
                _join_choices(choices, value)
            elif name == "usage":
                whole["usage"] = value or whole.get("usage")
            else:
                whole.setdefault(name, value)
    whole["object"] = "chat.completion"
    whole["choices"] = [choices[number] for number in sorted(choices)]
    if unread:
        whole["unread"] = unread
    return whole


def number_of(part: dict[str, Any]) -> int:
    """Which choice a part of a chunk belongs to."""
    number = part.get("index")
    return number if isinstance(number, int) else 0


def _join_choices(choices: dict[int, dict[str, Any]], parts: Any) -> None:
    if not isinstance(parts, list):
        return
    for part in parts:
        if not isinstance(part, dict):
            continue
        number = number_of(part)
        choice = choices.setdefault(
            number,
            {"index": number, "message": {"role": "assistant", "content": None}},
        )
        choice["finish_reason"] = part.get("finish_reason") or choice.get("finish_reason")
        delta = part.get("delta")
        if isinstance(delta, dict):
            _join_delta(choice["message"], delta)


def join_calls(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add the pieces of tool calls in `delta` to those that `message` has."""
    _join_delta(message, {k: v for k, v in delta.items() if k in {"tool_calls", "function_call"}})


def _join_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls" and isinstance(value, list):
            _join_tools(message.setdefault("tool_calls", []), value)
        elif name != "role" and isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _join_tools(calls: list[dict[str, Any]], parts: list[Any]) -> None:
    for part in parts:
        if not isinstance(part, dict):
            continue
        number = part.get("index")
        call = next((c for c in calls if c.get("index") == number), None)
        if call is None:
            call = {"index": number, "type": "function", "function": {"name": "", "arguments": ""}}
            calls.append(call)
        if isinstance(part.get("id"), str):
            call["id"] = part["id"]
        function = part.get("function")
        if isinstance(function, dict):
            for name in ("name", "arguments"):
                if isinstance(function.get(name), str):
                    call["function"][name] += function[name]

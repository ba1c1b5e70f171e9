"""From a stream of chat completion chunks to the one completion they spell.

Used for the record of a streamed answer and when a held answer that was streamed by the backend is
retrieved as JSON. The bytes a client is streaming are never touched by this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"
_NO_CALL = False
"""Stands where a call or a part of one cannot be told."""
_KINDS = {"function": "arguments", "custom": "input"}
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
        known = message.get(name)
        if name == "tool_calls" and isinstance(value, list):
            if known is None:
                known = message[name] = []
            if isinstance(known, list):  # else something stood in the place of calls, and stays
                _join_tools(known, value)
        elif name == "function_call" and isinstance(value, dict):
            whole = isinstance(known, dict | None)
            message[name] = _joined(known, value, "arguments") if whole else _NO_CALL
        elif name != "role" and isinstance(value, str):
            message[name] = known + value if isinstance(known, str) else value
        elif value is not None:
            message[name] = value


def _join_tools(calls: list[Any], parts: list[Any]) -> None:
    """Add pieces of calls. What clients could put together otherwise than this stays as something
    that is no call, so that it is judged as malformed and not as what we made of it.
    """
    for part in parts:
        number = part.get("index") if isinstance(part, dict) else _NO_CALL
        if not (number is None or type(number) is int):
            calls.append(_NO_CALL)  # a program may take "0" or 0.0 for the place 0
            continue
        call = next((c for c in calls if isinstance(c, dict) and c["index"] == number), None)
        if call is None:
            call = {"index": number, "type": "function"}
            calls.append(call)
        if isinstance(part.get("id"), str):
            call["id"] = part["id"]
        for kind, text in _KINDS.items():
            said = part.get(kind)
            if said is not None:
                whole = isinstance(said, dict) and isinstance(call.get(kind), dict | None)
                call[kind] = _joined(call.get(kind), said, text) if whole else _NO_CALL
                call["type"] = kind


def _joined(known: dict[str, Any] | None, said: dict[str, Any], text: str) -> dict[str, Any]:
    """The function of a call with one more piece of it: its name comes once, `text` in pieces."""
    joined = known or {"name": "", text: ""}
    name, more = said.get("name"), said.get(text)
    if name:
        joined["name"] = name if joined["name"] == "" else _NO_CALL
    if more is not None:
        whole = isinstance(more, str) and isinstance(joined[text], str)
        joined[text] = joined[text] + more if whole else _NO_CALL
    return joined

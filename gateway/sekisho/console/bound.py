"""What is bound, taken apart for reading: messages, tools, tool calls, and every other member.

Nothing is left out: whatever is not a message, a tool or a call is a row with its place and value,
and what cannot be taken apart is shown as the text it is. Numbers stay as they are written. The
exact bytes stand beside it all; this is a reading of them and decides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from sekisho.content.hidden import is_hidden
from sekisho.content.tool_calls import proposed

ROWS_MAX = 5_000  # a page of more takes seconds and is read by nobody; it is one text then
DEPTH_MAX = 128  # what is nested deeper is one text as well
DEEP = "depth"
_MESSAGES = ("messages", "input")
_INSTRUCTIONS = ("instructions", "system")
_TEXTS = frozenset({"text", "input_text", "output_text"})
_CALLS = ("tool_calls", "function_call")
_PLAIN = re.compile(r"[\w-]+")


class Number(str):
    """A number as it was written: 1.0 and 1e2 stay what they are."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One value with its place and its kind in JSON."""

    place: str
    value: str
    kind: str = "string"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: who speaks, its texts, and whatever else it has."""

    role: str
    texts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call by its place. `offered` is the text to change: the arguments in lines, hidden
    characters escaped, so that nothing in it is invisible; None where it cannot be changed.
    """

    place: int
    name: str
    id: str
    rows: tuple[Row, ...]
    raw: str
    offered: str | None


@dataclass(frozen=True, slots=True)
class Bound:
    """All of it. `structured` is False where only `text` (or base64) can be shown."""

    text: str
    is_text: bool
    structured: bool = False
    messages: tuple[Message, ...] = ()
    tools: tuple[Message, ...] = ()
    calls: tuple[Call, ...] = ()
    rows: tuple[Row, ...] = field(default=())


def bound_of(content: bytes, stage: str) -> Bound:
    """What is held at `stage`: a request, or an answer with its calls."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Bound(content.hex(" "), is_text=False)
    document = parsed(text)
    if not isinstance(document, dict):
        return Bound(text, is_text=True)
    bound = _request(text, document) if stage == "request" else _answer(text, document)
    pieces = (*bound.messages, *bound.tools)
    every = [bound.rows, *(one.rows for one in pieces), *(one.rows for one in bound.calls)]
    rows = [row for some in every for row in some]
    if len(rows) + len(pieces) > ROWS_MAX or any(row.kind == DEEP for row in rows):
        return Bound(text, is_text=True)
    return bound


def parsed(text: str) -> Any:
    """The document, numbers as written; None for what no reading can be trusted with."""
    try:
        return json.loads(
            text,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError):
        return None


def rows_of(value: Any, place: str = "", depth: int = 0) -> Iterator[Row]:
    """Every value in `value`, in its order; a list of plain values is one row, nothing is one."""
    if depth > DEPTH_MAX:
        yield Row(place, "…", DEEP)
    elif isinstance(value, dict) and value:
        for name, member in value.items():
            yield from rows_of(member, _below(place, name), depth + 1)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, member in enumerate(value):
            yield from rows_of(member, f"{place}[{_index(member, number)}]", depth + 1)
    else:
        yield _row(place, value)


def offered(document: Any, indent: str = "\n") -> str:
    """A document of `parsed` as a text to change: one that says the same, in lines, with escapes
    for all that would not be seen.
    """
    deeper = indent + "  "
    if isinstance(document, dict) and document:
        inner = [f"{_quoted(name)}: {offered(said, deeper)}" for name, said in document.items()]
        return "{" + deeper + f",{deeper}".join(inner) + indent + "}"
    if isinstance(document, list) and document:
        inner = [offered(said, deeper) for said in document]
        return "[" + deeper + f",{deeper}".join(inner) + indent + "]"
    if isinstance(document, Number):
        return document
    return _quoted(document) if isinstance(document, str) else json.dumps(document)


def _request(text: str, document: Mapping[str, Any]) -> Bound:
    messages: list[Message] = []
    rest = dict(document)
    alone = [name for name in _INSTRUCTIONS if isinstance(rest.get(name), str)]
    messages += [Message(name, (rest.pop(name),)) for name in alone]
    for name in _MESSAGES:
        said = rest.get(name)
        if isinstance(said, str):
            messages.append(Message("user", (rest.pop(name),)))
        elif isinstance(said, list) and said:
            messages += [_message(one) for one in rest.pop(name)]
    tools = rest.pop("tools") if isinstance(rest.get("tools"), list) and rest["tools"] else []
    return Bound(
        text,
        is_text=True,
        structured=True,
        messages=tuple(messages),
        tools=tuple(_tool(one) for one in tools),
        rows=tuple(rows_of(rest)) if rest else (),
    )


def _answer(text: str, document: Mapping[str, Any]) -> Bound:
    rest = dict(document)
    messages: list[Message] = []
    choices = rest.get("choices")
    if isinstance(choices, list) and choices:
        messages += [_choice(one) for one in rest.pop("choices")]
    output = rest.get("output")
    if isinstance(output, list) and output:
        messages += [_message(one) for one in rest.pop("output")]
    return Bound(
        text,
        is_text=True,
        structured=True,
        messages=tuple(messages),
        calls=_calls(text, document),
        rows=tuple(rows_of(rest)) if rest else (),
    )


def _message(one: Any) -> Message:
    """One message; texts in front, all else as rows."""
    if not isinstance(one, dict):
        return Message("", rows=tuple(rows_of(one)))
    rest = dict(one)
    role = rest.pop("role") if isinstance(rest.get("role"), str) else ""
    texts: list[str] = []
    for name in ("content", "reasoning_content", "refusal"):
        said = rest.get(name)
        if isinstance(said, str) and name == "content":
            texts.append(rest.pop(name))
        elif isinstance(said, list):
            texts += [part["text"] for part in said if _is_text(part)]
            others = [part for part in said if not _is_text(part)]
            rest.pop(name)
            if others:
                rest[name] = others
    if not role and isinstance(rest.get("type"), str):
        role = rest["type"]
    return Message(role, tuple(texts), tuple(rows_of(rest)) if rest else ())


def _choice(choice: Any) -> Message:
    """The message of a choice, without the calls in it, which are shown as such."""
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return _message(choice)
    inner = {
        name: member
        for name, member in choice["message"].items()
        if name not in _CALLS or not member
    }
    said = _message(inner)
    around = {name: member for name, member in choice.items() if name != "message"}
    return Message(said.role, said.texts, (*said.rows, *rows_of(around)) if around else said.rows)


def _tool(tool: Any) -> Message:
    """A tool by its name, what it says of itself, and its parameters."""
    if not isinstance(tool, dict):
        return Message("", rows=tuple(rows_of(tool)))
    rest = dict(tool)
    holder = dict(rest["function"]) if isinstance(rest.get("function"), dict) else rest
    name = holder.pop("name") if isinstance(holder.get("name"), str) else ""
    about = holder.pop("description") if isinstance(holder.get("description"), str) else None
    if holder is not rest:
        rest["function"] = holder
        if not holder:
            del rest["function"]
    return Message(name, () if about is None else (about,), tuple(rows_of(rest)) if rest else ())


def _calls(text: str, document: Mapping[str, Any]) -> tuple[Call, ...]:
    """The calls, each at the place by which an edit names it."""
    try:
        known = proposed(orjson.loads(text))
    except orjson.JSONDecodeError:
        return ()
    written = list(_written(document))
    if len(written) != len(known):
        return ()
    return tuple(
        _call(place, one.name, one.arguments, raw)
        for place, (one, raw) in enumerate(zip(known, written, strict=True))
    )


def _call(place: int, name: str, said: Mapping[str, Any] | None, call: Any) -> Call:
    holder = call if isinstance(call, dict) else {"": call}
    function = holder.get("custom", holder.get("function", holder))
    inner = function if isinstance(function, dict) else {}
    custom = isinstance(holder.get("custom"), dict)
    raw = inner.get("input" if custom else "arguments")
    raw_text = raw if isinstance(raw, str) else json.dumps(call)
    document = parsed(raw_text) if not custom else None
    rows = tuple(rows_of(document)) if isinstance(document, dict) else (Row("", raw_text),)
    known = holder.get("id")
    text = raw_text if document is None else offered(document)
    offer = None if said is None else _offer(raw_text, text)
    return Call(place, name, known if isinstance(known, str) else "", rows, raw_text, offer)


def _offer(raw: str, text: str) -> str | None:
    """The text, if it says the same as what is written and nothing in it is hidden."""
    same = text == raw or parsed(text) == parsed(raw)
    return text if same and not any(map(is_hidden, text)) else None


def _written(document: Mapping[str, Any]) -> Iterator[Any]:
    """Calls as they are written, in the order of `proposed`."""
    for choice in document.get("choices") or ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            yield from calls
        elif calls is not None:
            yield calls
        if message.get("function_call") is not None:
            yield message["function_call"]


def _is_text(part: Any) -> bool:
    """Whether a part of a message is a text and nothing else."""
    return (
        isinstance(part, dict)
        and part.keys() == {"type", "text"}
        and part["type"] in _TEXTS
        and isinstance(part["text"], str)
    )


def _row(place: str, value: Any) -> Row:
    if isinstance(value, Number):
        return Row(place, str(value), "number")
    if isinstance(value, str):
        return Row(place, value)
    if isinstance(value, list):
        return Row(place, f"[{', '.join(map(offered, value))}]", "array")
    kinds = {dict: "object", bool: "boolean", type(None): "null"}
    return Row(place, json.dumps(value), kinds.get(type(value), "number"))


def _below(place: str, name: str) -> str:
    """The place of a member; a name that is no plain word is quoted: none looks like two."""
    if not _PLAIN.fullmatch(name):
        return f"{place}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{place}.{name}" if place else name


def _index(member: Any, number: int) -> str:
    """A place in a list; by its id where it has one, so that versions can be compared."""
    known = member.get("id") if isinstance(member, dict) else None
    return known if isinstance(known, str) and known else str(number)


def _quoted(text: str) -> str:
    """A text in JSON, readable in every script; what is hidden is escaped."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(json.dumps(char)[1:-1] if is_hidden(char) else char for char in written)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")

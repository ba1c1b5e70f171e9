"""The tool calls that an answer proposes, and what stands in their place when they are withheld.

A call is read as strictly as a request: arguments that are not one JSON object which every parser
reads the same way are `malformed`, and so is anything in the place of a call that is none. What
cannot be judged is not given on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.content.written_numbers import as_written

DEPTH_MAX = 64  # as deep as a request may be by default
NAME_CHARS_MAX = 256  # as in the wire contract
UNNAMED = "?"
_NAMES = frozenset({"tool_calls", "function_call"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One proposed call. `arguments` is None where they are malformed; `chars` their length; `text`
    is the JSON that they were read from, if it was any.
    """

    choice: int
    name: str
    arguments: Mapping[str, Any] | None
    chars: int
    text: str = field(default="", repr=False, compare=False)

    def written(self) -> Mapping[str, Any] | None:
        """The arguments with each number as it is written, and not as a parser keeps it."""
        if self.arguments is None or not self.text.strip():
            return self.arguments
        said: Mapping[str, Any] = as_written(self.text)
        return said


def proposed(completion: Any) -> tuple[ToolCall, ...]:
    """All calls of a chat completion, in its order; of the older `function_call` too."""
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(choices, list):
        return ()
    return tuple(call for number, choice in enumerate(choices) for call in _of(number, choice))


def has_stray(parsed: Any, holder: str) -> bool:
    """Whether anything is named like tool calls that does not stand where we read them: in the
    `holder` (`message`, of a chunk `delta`) of a choice. Case makes no difference: it makes none
    to some clients, and nobody shall read a call that was not judged.
    """
    return named(parsed, holder)[1]


def named(parsed: Any, holder: str) -> tuple[int, bool]:
    """How many members are named like tool calls, empty ones too, and whether one is a stray."""
    choices = parsed.get("choices") if isinstance(parsed, dict) else None
    known = [
        choice[holder]
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict) and isinstance(choice.get(holder), dict)
    ]
    count, stray, stack = 0, False, [parsed]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            judged = any(value is one for one in known)
            for name, member in value.items():
                if name.casefold() in _NAMES:
                    count += 1
                    stray = stray or (bool(member) and not (judged and name in _NAMES))
                if isinstance(member, dict | list):
                    stack.append(member)
    return count, stray


def without_calls(completion: Mapping[str, Any], notice: str) -> dict[str, Any]:
    """The completion with `notice` in place of each choice that calls a tool.

    It ends with `stop`, never with `tool_calls` and none listed: clients would wait for a result,
    or show nothing. The text of the same turn is withheld with the calls.
    """
    choices = [
        _noticed(choice, notice) if any(_of(number, choice)) else choice
        for number, choice in enumerate(completion["choices"])
    ]
    return {**completion, "choices": choices}


def changed(completion: Mapping[str, Any], changes: Mapping[int, str | None]) -> dict[str, Any]:
    """The completion with calls changed, by their place in `proposed`: new arguments as text, or
    None for a call that is taken out.

    All else stays byte for byte, the ids of calls too. A line of text names what was taken out; a
    choice that calls nothing any more ends with `stop`.
    """
    place, choices = 0, []
    for number, choice in enumerate(completion["choices"]):
        count = len(list(_of(number, choice)))
        own = {n - place: said for n, said in changes.items() if place <= n < place + count}
        choices.append(_changed(choice, own) if own else choice)
        place += count
    return {**completion, "choices": choices}


def _changed(choice: Mapping[str, Any], changes: Mapping[int, str | None]) -> dict[str, Any]:
    message = dict(choice["message"])
    calls = list(message.get("tool_calls") or ())
    older = len(calls)  # the place of a `function_call`, after all others
    dropped = [_name(calls[n]) for n, said in changes.items() if said is None and n < older]
    kept = [
        _with_arguments(call, changes[n]) if changes.get(n) is not None else call
        for n, call in enumerate(calls)
        if n not in changes or changes[n] is not None
    ]
    if "tool_calls" in message:
        message["tool_calls"] = kept
    if older in changes:
        function = message.pop("function_call")
        if changes[older] is None:
            dropped.append(str(function.get("name")))
        else:
            message["function_call"] = {**function, "arguments": changes[older]}
    if not dropped:
        return {**choice, "message": message}
    notice = f"[Not approved by a reviewer, and not run: {', '.join(dropped)}.]"
    if not kept and not message.get("function_call"):
        return _noticed(choice, notice)
    said = message.get("content")
    message["content"] = f"{said}\n\n{notice}" if isinstance(said, str) and said else notice
    return {**choice, "message": message}


def _name(call: Mapping[str, Any]) -> str:
    return str((_function(call) or {}).get("name"))


def _with_arguments(call: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    if isinstance(call.get("custom"), dict):
        return {**call, "custom": {**call["custom"], "input": text}}
    return {**call, "function": {**call["function"], "arguments": text}}


def _noticed(choice: Mapping[str, Any], notice: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": notice, "refusal": None}
    return {"index": choice.get("index", 0), "message": message, "finish_reason": "stop"}


def _of(number: int, choice: Any) -> Iterator[ToolCall]:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        for call in calls:
            yield _call(number, _function(call))
    elif calls is not None:
        yield _malformed(number)
    if message.get("function_call") is not None:
        yield _call(number, message["function_call"])


def _function(call: Any) -> Any:
    """The part that names the function: a custom tool's input is one text. What has both parts is
    no call, because clients choose among them by its type.
    """
    if not isinstance(call, dict):
        return None
    custom, function = call.get("custom"), call.get("function")
    if custom is None:
        return function
    if isinstance(custom, dict) and function is None:
        return {"name": custom.get("name"), "input": custom.get("input")}
    return None


def _call(number: int, function: Any) -> ToolCall:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS_MAX:
        return _malformed(number)
    if "input" in function:
        text = function["input"]
        said = {"input": text} if isinstance(text, str) else None
        return ToolCall(number, name, said, len(text) if said else 0)
    text = function.get("arguments")
    if not isinstance(text, str):
        return ToolCall(number, name, None, 0)
    return ToolCall(number, name, _object(text), len(text), text)


def _object(text: str) -> Mapping[str, Any] | None:
    if not text.strip():  # what some backends send for a function without parameters
        return {}
    try:
        said = parse(text.encode(), DEPTH_MAX)
    except (NotStrictJSON, UnicodeEncodeError):
        return None
    return said if isinstance(said, dict) else None


def _malformed(number: int) -> ToolCall:
    return ToolCall(number, UNNAMED, None, 0)

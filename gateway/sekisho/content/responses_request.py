"""A request of the Responses API as the chat completion request that it stands for; pure.

What people review, rules judge and backends get is one form, whatever API the client speaks
(docs/adr/0024). Every member is carried over, or plainly needs nothing (`_NEEDLESS`), or is refused
with its name: nothing that would change the answer is dropped in silence. State kept at the backend
and tools that act there cannot be carried over.

Source: the request of `POST /v1/responses` in OpenAI's API reference, 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from sekisho.content.responses_tools import choice_of, tools_of
from sekisho.errors import BadRequest

_SAME = (
    *("model", "stream", "temperature", "top_p", "user", "parallel_tool_calls", "service_tier"),
    *("safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
)
"""Members that mean the same in both APIs."""

_NEEDLESS = frozenset({"store", "metadata", "background"})
"""`store`: nothing is kept at the backend, and here what policy says. `metadata` is a note that
only stored answers have. `background` is between the client and us."""

_STATE = frozenset({"previous_response_id", "conversation", "prompt"})
_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = frozenset({_LOGPROBS, "reasoning.encrypted_content", "message.input_image.image_url"})
"""What a client gets, or can do without; the rest of `include` is about hosted tools."""
_WORDS = frozenset({"text", "annotations", "logprobs"})
_PARTS: Mapping[str, frozenset[str]] = {
    "input_text": _WORDS,
    "output_text": _WORDS,
    "text": _WORDS,
    "refusal": frozenset({"refusal"}),
    "input_image": frozenset({"image_url", "detail"}),
    "input_file": frozenset({"file_data", "filename"}),
    "input_audio": frozenset({"input_audio"}),
}
"""The members of each kind of content; what an answer says beside its words is left out."""
_ECHO = frozenset({"id", "status", "phase"})
"""Members of an item that clients send back from an answer."""

ENDPOINT = "responses"
"""The name of this API where endpoints are told apart."""

_REFERENCE = (
    "items are not kept here. Ask with store: false, and your client sends the items themselves"
)

Messages = list[dict[str, Any]]


def as_chat(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the chat completion request.

    Raises BadRequest with the member at fault in `param`: `unsupported_parameter` for what cannot
    be carried over. Types that both APIs share are left to the checks of the chat request.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    chat: dict[str, Any] = {name: given.pop(name) for name in _SAME if name in given}
    messages: Messages = []
    if "instructions" in given:
        text = _text(given.pop("instructions"), "instructions")
        messages.append({"role": "system", "content": text})
    messages += _messages(given.pop("input", None))
    chat["messages"] = messages
    for name, carry in _CARRIED.items():
        if name in given:
            chat |= carry(given.pop(name))
    if chat.get("stream") is True:
        chat["stream_options"] = {"include_usage": True}
    for name in given.keys() - _NEEDLESS:
        _refuse_member(name)
    return chat


def wants_background(asked: Mapping[str, Any]) -> bool:
    """Whether the client comes back for the answer. Raises BadRequest."""
    background = asked.get("background")
    if not isinstance(background, bool | None):
        _wrong("background", "must be true or false")
    return background is True


def _max_tokens(value: Any) -> dict[str, Any]:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _wrong("max_output_tokens", "must be an integer of at least 1")
    return {"max_completion_tokens": value}


def _reasoning(value: Any) -> dict[str, Any]:
    """How hard to think. A summary of it is not to be had: backends give all of it or nothing."""
    wanted = _members(value, "reasoning", {"effort", "summary", "generate_summary"})
    return {"reasoning_effort": wanted["effort"]} if "effort" in wanted else {}


def _format(value: Any) -> dict[str, Any]:
    wanted = _members(value, "text", {"format", "verbosity"})
    chat = {"verbosity": wanted["verbosity"]} if "verbosity" in wanted else {}
    if "format" not in wanted:
        return chat
    names = {"type", "name", "schema", "description", "strict"}
    shape = _members(wanted["format"], "text.format", names)
    kind = shape.pop("type", None)
    if kind == "text":
        return chat
    if kind not in ("json_object", "json_schema"):
        _unsupported("text.format.type", f"{_short(kind)} is no format of a text")
    wanted_format = {"type": kind, **({kind: shape} if kind == "json_schema" else {})}
    return {**chat, "response_format": wanted_format}


def _include(value: Any) -> dict[str, Any]:
    names = _list(value, "include")
    for name in names:
        if not isinstance(name, str) or name not in _INCLUDED:
            _unsupported("include", f"{_short(name)} is not to be had here")
    return {"logprobs": True} if _LOGPROBS in names else {}


def _top_logprobs(value: Any) -> dict[str, Any]:
    return {"logprobs": True, "top_logprobs": value} if value else {}


def _truncation(value: Any) -> dict[str, Any]:
    if value != "disabled":
        _unsupported("truncation", "what is too long is not cut; leave older messages out yourself")
    return {}


def _stream_options(value: Any) -> dict[str, Any]:
    _members(value, "stream_options", {"include_obfuscation"})
    return {}


_CARRIED: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "max_output_tokens": _max_tokens,
    "reasoning": _reasoning,
    "text": _format,
    "include": _include,
    "top_logprobs": _top_logprobs,
    "truncation": _truncation,
    "stream_options": _stream_options,
    "tools": tools_of,
    "tool_choice": choice_of,
}


def _messages(asked: Any) -> Messages:
    if isinstance(asked, str):
        return [{"role": "user", "content": asked}]
    messages: Messages = []
    items = _list(asked, "input") if asked is not None else []
    if not items:
        _wrong("input", "must be a text, or a list with at least one message")
    for number, item in enumerate(items):
        _add(messages, item, f"input.{number}")
    return messages


def _add(messages: Messages, item: Any, place: str) -> None:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    match kind:
        case "message":
            _add_message(messages, _members(item, place, {"type", "role", "content"}), place)
        case "function_call":
            said = _members(item, place, {"type", "call_id", "name", "arguments"})
            function = {name: said.get(name) for name in ("name", "arguments")}
            _add_call(messages, said, {"type": "function", "function": function})
        case "custom_tool_call":
            said = _members(item, place, {"type", "call_id", "name", "input"})
            custom = {name: said.get(name) for name in ("name", "input")}
            _add_call(messages, said, {"type": "custom", "custom": custom})
        case "function_call_output" | "custom_tool_call_output":
            said = _members(item, place, {"type", "call_id", "output", "name"})
            content = _content(said.get("output"), f"{place}.output")
            told = {"role": "tool", "tool_call_id": said.get("call_id"), "content": content}
            messages.append(told)
        case "reasoning":
            return  # chat completions have no place for what the model thought before
        case "item_reference":
            _unsupported(place, _REFERENCE)
        case _:
            _unsupported(place, f"items of the type {_short(kind)} cannot be carried over")


def _add_message(messages: Messages, said: Mapping[str, Any], place: str) -> None:
    content = _content(said.get("content"), f"{place}.content")
    last = messages[-1] if messages else {}
    if said.get("role") == last.get("role") == "assistant" and last["content"] is None:
        last["content"] = content  # its calls stand before its words
    else:
        messages.append({"role": said.get("role"), "content": content})


def _add_call(messages: Messages, said: Mapping[str, Any], call: dict[str, Any]) -> None:
    """Calls of one turn stand in one message."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append({"id": said.get("call_id"), **call})


def _content(content: Any, place: str) -> Any:
    """A text as it is; parts as parts, one text alone as a text."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{place}.{number}") for number, part in enumerate(_list(content, place))]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _part(part: Any, place: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    known = _PARTS.get(kind) if isinstance(kind, str) else None
    if known is None:
        _unsupported(place, f"parts of the type {_short(kind)} cannot be carried over")
    said = _members(part, place, {"type", *known})
    match kind:
        case "refusal":
            return {"type": "refusal", "refusal": said.get("refusal")}
        case "input_image":
            detail = {"detail": said["detail"]} if "detail" in said else {}
            return {"type": "image_url", "image_url": {"url": said.get("image_url"), **detail}}
        case "input_file":
            return {"type": "file", "file": {k: v for k, v in said.items() if k != "type"}}
        case "input_audio":
            return {"type": "input_audio", "input_audio": said.get("input_audio")}
        case _:
            return {"type": "text", "text": _text(said.get("text"), f"{place}.text")}


def _members(value: Any, place: str, known: Iterable[str]) -> dict[str, Any]:
    """The members of `value` that say something; all of them must be `known`."""
    if not isinstance(value, dict):
        _wrong(place, "must be an object")
    said = {name: member for name, member in value.items() if member is not None}
    for name in said.keys() - set(known) - _ECHO:
        _unsupported(f"{place}.{name[:64]}", "this member cannot be carried over")
    return {name: member for name, member in said.items() if name not in _ECHO}


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        _wrong(place, "must be a text")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        _wrong(place, "must be a list")
    return value


def _refuse_member(name: str) -> NoReturn:
    if name in _STATE:
        why = "nothing is kept at the backend, so send the whole input"
    else:
        why = "this member cannot be carried over to the backend"
    _unsupported(name[:64], why)


def _short(value: Any) -> str:
    return repr(value[:64]) if isinstance(value, str) else "that is missing or no text"


def _wrong(param: str, what: str) -> NoReturn:
    message = f"{param} {what}."
    raise BadRequest(message, param=param)


def _unsupported(param: str, why: str) -> NoReturn:
    message = f"{param} is not available through this gateway: {why}."
    raise BadRequest(message, code="unsupported_parameter", param=param)

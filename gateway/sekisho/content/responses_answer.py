"""A chat completion as the response object that a client of the Responses API expects; pure.

The items of its output are made from the first choice: what the model thought where the backend
shows it, its words, its calls. A response does not repeat what was asked; where the API wants such
a member, it says the least it can. Ids of items are derived, so that the same answer given twice is
the same.

Source: the response object in OpenAI's API reference, 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ASKED = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}}
THOUGHTS = ("reasoning_content", "reasoning")
"""Members of a message with what the model thought, as backends spell it."""


def response(completion: Mapping[str, Any], response_id: str) -> dict[str, Any]:
    """The response that says what `completion` does."""
    choice = _first(completion.get("choices"))
    whole = started(completion, response_id)
    return ended(whole, output(choice, response_id), choice.get("finish_reason"), completion)


def started(head: Mapping[str, Any], response_id: str, status: str = "in_progress") -> Any:
    """A response of which nothing is known yet but what stands in `head`: time and model."""
    created, model = head.get("created"), head.get("model")
    return {
        "id": response_id,
        "object": "response",
        "created_at": created if isinstance(created, int) else 0,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": model if isinstance(model, str) else "",
        "output": [],
        **_ASKED,
        "temperature": None,
        "top_p": None,
        "usage": None,
    }


def ended(
    begun: Mapping[str, Any], items: list[Any], finish: Any, completion: Mapping[str, Any]
) -> dict[str, Any]:
    """`begun` at its end: how it ended, what it said and what it used."""
    reason = _INCOMPLETE.get(finish) if isinstance(finish, str) else None
    return {
        **begun,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": items,
        "usage": usage(completion.get("usage")),
    }


def failed(
    head: Mapping[str, Any], response_id: str, status: str, error: Mapping[str, str] | None
) -> dict[str, Any]:
    """A response that came to nothing, with why."""
    return {**started(head, response_id, status), "error": error}


def output(choice: Mapping[str, Any], response_id: str) -> list[dict[str, Any]]:
    """The items of one choice, in the order in which a stream has them."""
    message, items = choice.get("message"), list[dict[str, Any]]()
    if not isinstance(message, dict):
        return items
    if thought := next(filter(None, (_text(message.get(name)) for name in THOUGHTS)), ""):
        items.append(reasoning_item(response_id, len(items), thought))
    if text := _text(message.get("content")):
        items.append(message_item(response_id, len(items), text_part(text, token_odds(choice))))
    if refusal := _text(message.get("refusal")):
        items.append(message_item(response_id, len(items), refusal_part(refusal)))
    for call in calls_of(message):
        items.append(call_item(response_id, len(items), call))
    return items


def calls_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The calls of a message, of the older `function_call` too."""
    calls = message.get("tool_calls")
    found = [call for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)]
    older = message.get("function_call")
    return [*found, *([{"function": older}] if isinstance(older, dict) else [])]


def reasoning_item(response_id: str, number: int, thought: str) -> dict[str, Any]:
    """What the model thought."""
    name = item_id("rs", response_id, number)
    return {"id": name, "type": "reasoning", "summary": [], "content": [thought_part(thought)]}


def thought_part(text: str) -> dict[str, Any]:
    """Thoughts."""
    return {"type": "reasoning_text", "text": text}


def message_item(response_id: str, number: int, part: Mapping[str, Any]) -> dict[str, Any]:
    """What the model said: words, or its refusal."""
    return {
        "id": item_id("msg", response_id, number),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def call_item(response_id: str, number: int, call: Mapping[str, Any]) -> dict[str, Any]:
    """A call that the model proposes."""
    custom, function = call.get("custom"), call.get("function")
    said = custom if isinstance(custom, dict) else function if isinstance(function, dict) else {}
    name = call.get("id")
    own = item_id("ctc" if said is custom else "fc", response_id, number)
    told = {"id": own, "call_id": name if isinstance(name, str) and name else f"call_{own}"}
    if said is custom:
        return {
            **told,
            "type": "custom_tool_call",
            "status": "completed",
            "name": _text(said.get("name")),
            "input": _text(said.get("input")),
        }
    return {
        **told,
        "type": "function_call",
        "status": "completed",
        "name": _text(said.get("name")),
        "arguments": _text(said.get("arguments")),
    }


def text_part(text: str, odds: list[Any]) -> dict[str, Any]:
    """Words, with the log probabilities of their tokens where they were asked for."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": odds}


def token_odds(choice: Mapping[str, Any]) -> list[Any]:
    """The log probabilities of a choice, which both APIs write alike."""
    told = choice.get("logprobs")
    odds = told.get("content") if isinstance(told, dict) else None
    return odds if isinstance(odds, list) else []


def refusal_part(text: str) -> dict[str, Any]:
    """Words with which the model refuses."""
    return {"type": "refusal", "refusal": text}


def item_id(kind: str, response_id: str, number: int) -> str:
    """The id of an item: of its kind, response and place."""
    return f"{kind}_{response_id.removeprefix('resp_')}_{number}"


def usage(told: Any) -> dict[str, Any] | None:
    """What it used, in tokens; None where the backend does not say."""
    if not isinstance(told, dict):
        return None
    prompt, answer = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    details = told.get("prompt_tokens_details")
    cached = {name: _count(details, name) for name in ("cached_tokens", "cache_write_tokens")}
    thought = _count(told.get("completion_tokens_details"), "reasoning_tokens")
    return {
        "input_tokens": prompt,
        "input_tokens_details": cached,
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": _count(told, "total_tokens") or prompt + answer,
    }


def _text(value: Any) -> str:
    """A text, also where it comes in parts."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _count(members: Any, name: str) -> int:
    value = members.get(name) if isinstance(members, dict) else None
    return value if isinstance(value, int) else 0


def _first(choices: Any) -> Mapping[str, Any]:
    found = choices[0] if isinstance(choices, list) and choices else None
    return found if isinstance(found, dict) else {}

"""receive: bytes become an Exchange, or a 400 that says what is wrong with them.

The body is parsed once, strictly, and only the members the line itself needs are checked; all
others are relayed unchanged and judged by policy as facts. A request of the Responses API becomes
the chat completion request it stands for: all that follows knows one form. Member names are plain
lower case in the places a backend acts on, because some JSON libraries match names without regard
to case and would read `Tools` where the rules saw no `tools`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeGuard

import orjson

from sekisho.content import responses_request
from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.errors import BadRequest
from sekisho.model.assistant import Assistant, Assistants
from sekisho.model.exchange import Exchange
from sekisho.model.ids import uuid7

MODEL_CHARS_MAX = 256  # the longest real names are deployment paths of about 120
TOKENS_MAX = 10_000_000  # above any context window there is; sums with it stay exact
CHOICES_MAX = 128  # what the API allows
MESSAGES_MAX = 4096  # agents resend whole histories; beyond this it is not a conversation
_PLAIN_NAME = re.compile(r"[a-z0-9_.\-]{1,64}\Z")
_PRINTABLE = re.compile(r"[\x21-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class RawRequest:
    """What the web layer read from the wire: `body` whole and within its limits."""

    endpoint: str
    body: bytes
    client_ip: str
    idempotency_key: str | None = None
    retry_count: int = 0


def receive(raw: RawRequest, *, depth_max: int, now_us: int, assistants: Assistants) -> Exchange:
    """Parse and check `raw`, and put in what the assistant it names stands for.

    Raises BadRequest with the member at fault in `param`.
    """
    try:
        parsed = parse(raw.body, depth_max)
    except NotStrictJSON as error:
        message = f"This request was not sent on: {error}."
        raise BadRequest(message, code="invalid_json") from error
    if not isinstance(parsed, dict):
        message = "The body must be a JSON object."
        raise BadRequest(message)
    body, background = raw.body, False
    if raw.endpoint == responses_request.ENDPOINT:
        background = responses_request.wants_background(parsed)
        parsed = responses_request.as_chat(parsed)
        body = orjson.dumps(parsed)
    _check_names(parsed)
    _check_members(parsed)
    assistant = assistants.named(parsed["model"])
    if assistant is not None:
        parsed = _instructed(parsed, assistant)
        body = orjson.dumps(parsed)
    return Exchange(
        id=uuid7(now_us // 1000),
        received_us=now_us,
        endpoint=raw.endpoint,
        body=body,
        parsed=parsed,
        client_ip=raw.client_ip,
        idempotency_key=raw.idempotency_key,
        retry_count=raw.retry_count,
        assistant=assistant,
        revision=assistants.revision,
        background=background,
    )


def _instructed(parsed: Mapping[str, Any], assistant: Assistant) -> dict[str, Any]:
    """The body with the assistant's model, and its instructions before all messages: what is judged
    and scanned from here on is what would leave.
    """
    instructions = {"role": "system", "content": assistant.instructions}
    return {
        **parsed,
        "model": assistant.model,
        "messages": [instructions, *parsed["messages"]],
    }


def names_a_model(name: Any) -> TypeGuard[str]:
    """Whether a request could name this model."""
    return isinstance(name, str) and len(name) <= MODEL_CHARS_MAX and bool(_PRINTABLE.match(name))


def _check_names(parsed: Mapping[str, Any]) -> None:
    _plain_names(parsed, "")
    for place in ("messages", "tools"):
        items = parsed.get(place)
        if not isinstance(items, list):
            continue
        for number, item in enumerate(items):
            if isinstance(item, dict):
                _plain_names(item, f"{place}.{number}.")
                _plain_parts(item.get("content"), f"{place}.{number}.content.")


def _plain_parts(content: Any, prefix: str) -> None:
    if isinstance(content, list):
        for number, part in enumerate(content):
            if isinstance(part, dict):
                _plain_names(part, f"{prefix}{number}.")


def _plain_names(members: Mapping[str, Any], prefix: str) -> None:
    for name in members:
        if not _PLAIN_NAME.match(name):
            message = (
                f"The member name {name[:64]!r} is not plain lower case, so different backends "
                "could read it differently. Spell it as the API documents it."
            )
            raise BadRequest(message, param=f"{prefix}{name[:64]}")


def _check_members(parsed: Mapping[str, Any]) -> None:
    model = parsed.get("model")
    if not isinstance(model, str) or not model:
        _wrong("model", "must name a model; GET /v1/models lists those you may use")
    elif not names_a_model(model):
        _wrong("model", f"must be at most {MODEL_CHARS_MAX} printable ASCII characters")
    _check_messages(parsed.get("messages"))
    if not isinstance(parsed.get("stream"), bool | None):
        _wrong("stream", "must be true or false")
    for name in ("max_tokens", "max_completion_tokens", "n"):
        value = parsed.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            _wrong(name, "must be an integer of at least 1; some backends read less as endless")
        if value > TOKENS_MAX:
            _wrong(name, f"must be at most {TOKENS_MAX}")
    if isinstance(parsed.get("n"), int) and parsed["n"] > CHOICES_MAX:
        _wrong("n", f"must be at most {CHOICES_MAX}")
    if not isinstance(parsed.get("tools"), list | None):
        _wrong("tools", "must be a list")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        _wrong("messages", "must be a list with at least one message")
    if len(messages) > MESSAGES_MAX:
        _wrong("messages", f"must have at most {MESSAGES_MAX} entries")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            _wrong(f"messages.{number}", "must be an object with a role")


def _wrong(param: str, what: str) -> NoReturn:
    message = f"{param} {what}."
    raise BadRequest(message, param=param)

"""What a backend replied, read to its end: an answer, or a trouble that becomes ours.

Answers and the client's own mistakes go through; a backend that rejects our credential must not
look like the client's key being wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.clearance import Clearance, Recorded
from sekisho.content import assemble
from sekisho.content.call_watch import is_clear
from sekisho.content.strict_json import is_plain
from sekisho.content.tool_calls import DEPTH_MAX, has_stray
from sekisho.errors import BackendFailed
from sekisho.obligations import label_output
from sekisho.ports import BackendReply
from sekisho.releasing.outcome import REQUEST_HEADER, REQUEST_NAME, Outcome

EVENTS = "text/event-stream"
BREAK_GLASS_HEADER = "x-sekisho-break-glass"
"""Names the opening by which this went on without people."""

_KEPT_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "openai-processing-ms"})
_RELAYED_ERRORS = frozenset({400, 404, 413, 415, 422, 429})

DRAFT_HEADER = {"x-sekisho-draft": "open"}
"""With answers of which whoever asked has to say what became of them."""

TOO_LARGE = "answer_too_large"
"""The code of an answer that we stopped reading: the backend has made it, so it is not free."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def streamed(self) -> bool:
        """Whether the body is a stream of events."""
        return self.headers.get("content-type", "").startswith(EVENTS)


@dataclass(frozen=True, slots=True)
class Answer:
    """The backend's reply under way, with the record of what was asked."""

    recorded: Recorded
    reply: BackendReply

    @property
    def log_level(self) -> str:
        """How much of the content policy lets the ledger keep."""
        return self.recorded.clearance.outgoing.decision.obligations.log_level

    @property
    def labelled(self) -> bool:
        """Whether policy wants the answer to say what wrote it."""
        return self.recorded.clearance.outgoing.decision.obligations.label_output

    @property
    def text_labelled(self) -> bool:
        """Whether that is to stand in the text, too."""
        outgoing = self.recorded.clearance.outgoing
        return self.labelled and label_output.is_for_people(orjson.loads(outgoing.body))

    def ours(self, outcome: Outcome) -> Mapping[str, str]:
        """Headers of our own."""
        return {**outcome.headers, **told_before(self.recorded.clearance)}


def told_before(cleared: Clearance) -> dict[str, str]:
    """Headers that an answer has for how it was cleared, before there is any of it."""
    asked = cleared.outgoing.decision.obligations
    label = label_output.HEADER if asked.label_output else {}
    opening = {BREAK_GLASS_HEADER: cleared.opening} if cleared.opening else {}
    return {**label, **({} if asked.drafts_max is None else DRAFT_HEADER), **opening}


async def read_whole(
    reply: BackendReply, bytes_max: int, go_on: Callable[[], Awaitable[None]]
) -> bytes:
    """All of it. Raises BackendFailed (TOO_LARGE) beyond `bytes_max`, and whatever `go_on` raises,
    which is asked at each chunk.
    """
    chunks: list[bytes] = []
    total = 0
    async for chunk in reply.chunks():
        total += len(chunk)
        if total > bytes_max:
            message = f"The backend's answer is larger than {bytes_max} bytes."
            raise BackendFailed(message, code="answer_too_large")
        chunks.append(chunk)
        await go_on()
    return b"".join(chunks)


def judged(reply: BackendReply, body: bytes, exchange: str, ours: Mapping[str, str]) -> Whole:
    """The answer as a client may see it. Raises BackendFailed for the backend's own troubles."""
    if reply.status == HTTPStatus.OK or reply.status in _RELAYED_ERRORS:
        return Whole(reply.status, kept_headers(reply.headers, exchange, ours), body)
    if reply.status in (401, 403):
        message = "The backend does not accept the gateway's credential. Tell an operator."
        raise BackendFailed(message, code="backend_credential_refused")
    message = f"The backend answered with status {reply.status}. Try again later."
    raise BackendFailed(message)


def kept_headers(
    headers: Mapping[str, str], exchange: str, ours: Mapping[str, str]
) -> dict[str, str]:
    """The backend's headers a client may see, and ours: never cookies, nothing of our account.

    `ours` tells what our own limits leave; the backend's `x-ratelimit-*` are those of the account
    all of us share there, and are not told.
    """
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
    kept.update(ours)
    kept.setdefault("content-type", "application/json")
    if REQUEST_HEADER in headers:
        kept["x-backend-request-id"] = headers[REQUEST_HEADER]
    kept["x-sekisho-exchange"] = exchange
    return kept


def parsed_of(whole: Whole) -> Any:
    """What the answer says, a stream put together; None for an error that is no JSON.

    Raises BackendFailed (`backend_malformed`) for an answer that is none.
    """
    try:
        parsed = orjson.loads(whole.body)
    except orjson.JSONDecodeError:
        if whole.streamed:
            return assemble.completion(whole.body)
        parsed = None
    if whole.status == HTTPStatus.OK and not isinstance(parsed, dict):
        message = "The backend's answer is not a JSON object. Tell an operator."
        raise BackendFailed(message, code="backend_malformed")
    return parsed


def check_plain(whole: Whole, *, all_of_it: bool) -> None:
    """What is judged is what is given out: an answer with tool calls, or one that is read whole,
    must be read alike by every parser. Raises BackendFailed (`backend_malformed`).
    """
    body, marked = whole.body, b"_call" in whole.body.lower() or b"\\u00" in whole.body
    if whole.status != HTTPStatus.OK or not (all_of_it or marked):
        return
    if whole.streamed:
        clear = all(map(is_clear, assemble.events(body)))
    else:
        clear = is_plain(body, DEPTH_MAX) and not has_stray(orjson.loads(body), "message")
    if not clear:
        message = (
            "The backend's answer has something in it that different programs read differently. "
            "Tell an operator."
        )
        raise BackendFailed(message, code="backend_malformed")


def facts_of(status: int, parsed: Any) -> dict[str, Any]:
    """Finish reason and token counts, as far as they are there and of the right type."""
    facts: dict[str, Any] = {"http_status": status}
    if not isinstance(parsed, dict):
        return facts
    name = parsed.get("id")
    if isinstance(name, str) and REQUEST_NAME.fullmatch(name):
        facts["backend_request"] = name  # unless a header named it already
    choices = parsed.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        finish = choices[0].get("finish_reason")
        if isinstance(finish, str):
            facts["finish"] = finish[:64]
    usage = parsed.get("usage")
    if isinstance(usage, dict):
        facts["usage"] = {
            name: usage[name]
            for name in ("prompt_tokens", "completion_tokens", "total_tokens")
            if isinstance(usage.get(name), int) and 0 <= usage[name] < 2**53
        }
    return facts

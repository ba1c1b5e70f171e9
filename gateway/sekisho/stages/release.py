"""release: the answer goes back, and what was sent is durable before its last byte.

    whole answers     read to the end, outcome recorded, then delivered
    streamed answers  relayed as they come; the closing `data: [DONE]` waits for the record

Each intent gets exactly one outcome, whatever happens: released, cancelled by the client, broken by
the backend, or stopped by us. If the outcome cannot be written, a running stream ends with an error
event, and the bare fact (never content) is written as soon as the ledger is back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.clearance import Recorded
from sekisho.content import assemble
from sekisho.errors import BackendFailed, LedgerUnavailable
from sekisho.model import evidence
from sekisho.obligations import label_output
from sekisho.ports import BackendReply, Charge, Ledger
from sekisho_audit.events import Event, Payload

DONE = b"data: [DONE]"
_KEPT_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "openai-processing-ms"})
_RELAYED_ERRORS = frozenset({400, 404, 413, 415, 422, 429})
_REQUEST_HEADER = "x-request-id"
_REQUEST_NAME = re.compile(r"[!-~]{1,128}")  # a backend's word, and no text of anybody's
_CANCELLED = (asyncio.CancelledError, GeneratorExit)

CLIENT_GONE = "client_gone"
"""The cause with which a handler is cancelled when its client hangs up."""

SHUTDOWN = "shutdown"

TOO_LARGE = "answer_too_large"
"""The code of an answer that we stopped reading: the backend has made it, so it is not free."""

Later = Callable[[Event], None]
"""Takes an event without content that could not be written now and must be written soon."""

Keep = Callable[[Any, str], Awaitable[bytes | None]]
"""From an answer and the log level to the bytes kept sealed in the ledger, or None."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Stream:
    """An answer under way; `pieces` must be iterated to its end or closed.

    What operators count is known then: `ended` is `ok` or the code of what broke it off, `chunks`
    how many came. `cause` is what the record says if it is closed before its end.
    """

    status: int
    headers: Mapping[str, str]
    pieces: AsyncGenerator[bytes, None] = field(init=False)
    abandon: Callable[[], Awaitable[None]] = field(init=False)
    ended: str = "ok"
    chunks: int = 0
    cause: str = CLIENT_GONE

    async def close(self) -> None:
        """End it wherever it is, also if nobody ever began to read it. Safe to call twice."""
        await self.pieces.aclose()
        await self.abandon()


class Outcome:
    """Writes the one outcome of an intent, with what it cost; a second call does nothing."""

    def __init__(self, recorded: Recorded, ledger: Ledger, later: Later, charge: Charge) -> None:
        self._outgoing = recorded.clearance.outgoing
        self._intent = recorded.intent
        self._receipt = recorded.receipt
        self._ledger = ledger
        self._later = later
        self._charge = charge
        self._settled = False
        self._named: Mapping[str, str] = {}

    def begun(self, reply: BackendReply) -> None:
        """The backend began to answer: its own id of the request goes into the record."""
        name = reply.headers.get(_REQUEST_HEADER, "")
        if _REQUEST_NAME.fullmatch(name):
            self._named = {"backend_request": name}

    @property
    def settled(self) -> bool:
        """Whether an outcome was given, durable now or soon."""
        return self._settled

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of our own: what is left of the client's limits, and its receipt."""
        return {**self._charge.headers(), "x-sekisho-receipt": self._receipt}

    async def settle(
        self,
        status: str,
        facts: Mapping[str, Any],
        answer: Payload | None = None,
        *,
        chars: int = 0,
    ) -> None:
        """Make the outcome durable. Raises LedgerUnavailable after handing it to `later`.

        `chars` is how much came back, for a charge where the backend gave no usage. The write goes
        on if the caller is cancelled meanwhile: same event id, so never twice.
        """
        if self._settled:
            return
        self._settled = True
        used = self._used(status, facts, chars)
        told = {**facts, **self._named, "charged": used}
        event = evidence.outcome(self._outgoing, self._intent, status, answer, told)
        writing = asyncio.ensure_future(self._ledger.append([event]))
        try:
            places = await asyncio.shield(writing)
        except LedgerUnavailable:
            self._later(replace(event, payloads=()))
            self._charge.settle(used, None)
            raise
        except asyncio.CancelledError:
            writing.add_done_callback(lambda done: self._if_lost(done, event))
            self._charge.settle(used, None)
            raise
        self._charge.settle(used, places[-1].index)

    def _used(self, status: str, facts: Mapping[str, Any], chars: int) -> Mapping[str, Any]:
        """What it cost: nothing if the backend refused it or never began to answer.

        A client that hangs up pays for its prompt: the backend has read it.
        """
        refused = facts.get("http_status", HTTPStatus.OK) != HTTPStatus.OK
        if refused or (status == "failed" and not facts.get("bytes")):
            return {"tokens": 0, "spend_micros": 0}
        return self._charge.used(facts.get("usage"), chars)

    def abandon(self, cause: str) -> None:
        """Give the outcome `failed` without waiting, if none was given: nothing may stay open."""
        if not self._settled:
            self._settled = True
            used = self._charge.used(None, 0)
            facts = {"cause": cause, **self._named, "charged": used}
            self._later(evidence.outcome(self._outgoing, self._intent, "failed", None, facts))
            self._charge.settle(used, None)

    def cut(self, cause: str) -> None:
        """Note that the client did not get the last bytes of what the outcome says was sent."""
        self._later(evidence.cut(self._outgoing, self._intent, cause))

    def _if_lost(self, done: asyncio.Future[Any], event: Event) -> None:
        if done.cancelled() or done.exception() is not None:
            self._later(replace(event, payloads=()))


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
        return {**outcome.headers, **(label_output.HEADER if self.labelled else {})}


async def release(
    answer: Answer, outcome: Outcome, keep: Keep, *, answer_bytes_max: int
) -> Whole | Stream:
    """What the client gets. Raises BackendFailed or LedgerUnavailable with the outcome settled."""
    reply, outgoing = answer.reply, answer.recorded.clearance.outgoing
    outcome.begun(reply)
    streamed = reply.headers.get("content-type", "").startswith("text/event-stream")
    if reply.status == HTTPStatus.OK and outgoing.stream and streamed:
        headers = kept_headers(reply.headers, outgoing.exchange, answer.ours(outcome))
        stream = Stream(HTTPStatus.OK, headers)
        relay = _Relay(answer, outcome, keep, answer_bytes_max)
        stream.pieces = relay.pieces(stream)
        stream.abandon = partial(relay.abandon, stream)
        return stream
    return await gather(answer, outcome, keep, answer_bytes_max=answer_bytes_max)


async def gather(answer: Answer, outcome: Outcome, keep: Keep, *, answer_bytes_max: int) -> Whole:
    """Read the answer to its end and record the outcome before anyone sees it."""
    reply = answer.reply
    outcome.begun(reply)
    body = b""
    try:
        body = await _read(reply, answer_bytes_max)
        exchange = answer.recorded.clearance.outgoing.exchange
        whole = _judge(reply, body, exchange, answer.ours(outcome))
        if answer.text_labelled and whole.status == HTTPStatus.OK:
            whole = _labelled(whole)
            body = whole.body
        parsed = _parsed(whole)
        kept = await keep(parsed, answer.log_level) if parsed is not None else None
        facts = _facts(whole.status, parsed) | {"bytes": len(body)}
        said = assemble.chars(parsed)
        await outcome.settle("released", facts, Payload("answer", body, kept), chars=said)
    except BackendFailed as error:
        came = answer_bytes_max if error.code == TOO_LARGE else len(body)
        facts = {"http_status": reply.status, "cause": error.code, "bytes": came}
        await outcome.settle("failed", facts, chars=came)
        raise
    except asyncio.CancelledError as gone:
        await outcome.settle("cancelled", {"cause": cause_of(gone)})
        raise
    finally:
        outcome.abandon("internal_fault")
        await reply.close()
    return whole


class _Relay:
    """One running stream: relays chunks as they come and keeps what the record needs."""

    def __init__(self, answer: Answer, outcome: Outcome, keep: Keep, bytes_max: int) -> None:
        self._reply = answer.reply
        self._level = answer.log_level
        self._outcome = outcome
        self._keep = keep
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._tail = b""
        self._labeller = label_output.Labeller() if answer.text_labelled else None

    async def pieces(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._labelled():
                self._chunks.append(chunk)
                self._bytes += len(chunk)
                if self._bytes > self._bytes_max:
                    stream.ended = "answer_too_large"
                    said = assemble.chars(self._whole())
                    cause = {"cause": "answer_too_large", "bytes": self._bytes}
                    await self._outcome.settle("stopped", cause, chars=said)
                    yield error_event("answer_too_large", "The answer grew beyond its limit.")
                    return
                ready = self._ready(chunk)
                if ready:
                    yield ready
            await self._record()
            if self._tail:
                yield self._tail
        except BackendFailed as error:
            stream.ended = error.code
            with suppress(LedgerUnavailable):  # told later; the client hears of the backend
                said = assemble.chars(self._whole())
                cause = {"cause": error.code, "bytes": self._bytes}
                await self._outcome.settle("failed", cause, chars=said)
            yield error_event(error.code, error.message)
        except LedgerUnavailable as error:
            stream.ended = error.code
            yield error_event(error.code, error.message)
        except _CANCELLED:
            stream.ended = "cancelled"
            await self._gone(stream.cause)
            raise
        finally:
            stream.chunks = len(self._chunks)
            self._outcome.abandon("internal_fault")
            await self._reply.close()

    async def _labelled(self) -> AsyncGenerator[bytes, None]:
        """What came, with the label where policy wants it."""
        if self._labeller is None:
            async for chunk in self._reply.chunks():
                yield chunk
            return
        async for chunk in self._reply.chunks():
            if ready := self._labeller.feed(chunk):
                yield ready
            if self._labeller.waiting > self._bytes_max:  # an event without an end
                yield self._labeller.end()
        if rest := self._labeller.end():
            yield rest

    def _ready(self, chunk: bytes) -> bytes:
        """What of the stream so far may go now: all but the closing mark or a beginning of it."""
        pending = self._tail + chunk if self._tail else chunk
        place = pending.find(DONE)
        if place < 0:
            place = len(pending) - _overlap(pending)
        self._tail = pending[place:]
        return pending[:place] if place < len(pending) else pending

    async def _record(self) -> None:
        body = b"".join(self._chunks)
        parsed = assemble.completion(body)
        kept = await self._keep(parsed, self._level)
        facts = _facts(200, parsed) | {"bytes": self._bytes, "chunks": len(self._chunks)}
        said = assemble.chars(parsed)
        await self._outcome.settle("released", facts, Payload("answer", body, kept), chars=said)

    def _whole(self) -> dict[str, Any]:
        """What has come so far, as one completion."""
        return assemble.completion(b"".join(self._chunks))

    async def abandon(self, stream: Stream) -> None:
        """For a stream that was closed before it was begun: an unbegun generator runs nothing."""
        if not self._outcome.settled:
            stream.ended = "cancelled"
            await self._gone(stream.cause)
        await self._reply.close()

    async def _gone(self, cause: str) -> None:
        if self._outcome.settled:
            self._outcome.cut(cause)
            return
        facts = {"cause": cause, "bytes": self._bytes, "chunks": len(self._chunks)}
        parsed = self._whole()
        kept = await self._keep(parsed, self._level)
        answer = Payload("answer", b"".join(self._chunks), kept)
        said = assemble.chars(parsed)
        await self._outcome.settle("cancelled", facts, answer, chars=said)


def cause_of(gone: asyncio.CancelledError) -> str:
    """Why a handler was cancelled: its client hung up, or this worker is stopping."""
    return CLIENT_GONE if CLIENT_GONE in gone.args else SHUTDOWN


def _overlap(pending: bytes) -> int:
    """How many bytes at the end of `pending` could be the beginning of the closing mark."""
    if pending.endswith(b"\n"):
        return 0
    for length in range(min(len(DONE) - 1, len(pending)), 0, -1):
        if DONE.startswith(pending[-length:]):
            return length
    return 0


async def _read(reply: BackendReply, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    total = 0
    async for chunk in reply.chunks():
        total += len(chunk)
        if total > bytes_max:
            message = f"The backend's answer is larger than {bytes_max} bytes."
            raise BackendFailed(message, code="answer_too_large")
        chunks.append(chunk)
    return b"".join(chunks)


def _judge(reply: BackendReply, body: bytes, exchange: str, ours: Mapping[str, str]) -> Whole:
    """Answers and the client's own mistakes go through; the backend's troubles become ours.

    A backend that rejects our credential must not look like the client's key being wrong.
    """
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
    if _REQUEST_HEADER in headers:
        kept["x-backend-request-id"] = headers[_REQUEST_HEADER]
    kept["x-sekisho-exchange"] = exchange
    return kept


def _labelled(whole: Whole) -> Whole:
    """The answer with the label before its texts; a stream that was gathered is one, too."""
    if whole.headers.get("content-type", "").startswith("text/event-stream"):
        labeller = label_output.Labeller()
        return replace(whole, body=labeller.feed(whole.body) + labeller.end())
    labelled = label_output.apply(_parsed(whole))
    return whole if labelled is None else replace(whole, body=orjson.dumps(labelled))


def _parsed(whole: Whole) -> Any:
    try:
        return orjson.loads(whole.body)
    except orjson.JSONDecodeError:
        if whole.headers.get("content-type", "").startswith("text/event-stream"):
            return assemble.completion(whole.body)
        if whole.status == HTTPStatus.OK:
            message = "The backend's answer is not JSON. Tell an operator."
            raise BackendFailed(message, code="backend_malformed") from None
        return None


def _facts(status: int, parsed: Any) -> dict[str, Any]:
    """Finish reason and token counts, as far as they are there and of the right type."""
    facts: dict[str, Any] = {"http_status": status}
    if not isinstance(parsed, dict):
        return facts
    name = parsed.get("id")
    if isinstance(name, str) and _REQUEST_NAME.fullmatch(name):
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


def error_event(code: str, message: str) -> bytes:
    """A stream's last word when it cannot go on: every OpenAI SDK raises APIError on it."""
    error = {"message": message, "type": "api_error", "param": None, "code": code}
    return b"data: " + orjson.dumps({"error": error}) + b"\n\n"

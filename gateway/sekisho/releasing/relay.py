"""A stream under way: relayed as it comes, its closing mark kept back until the record is durable.

Text goes on at once. From the first tool call on everything is kept back until all of it is there
and the rules were asked; calls they do not allow never reach the client. While it is kept back the
client hears comments, so that no proxy takes the connection for a dead one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from sekisho.content import assemble
from sekisho.content.answer_stream import ALIVE, ALIVE_S, end_events, notice_events
from sekisho.content.call_watch import CallWatch
from sekisho.content.tool_calls import proposed
from sekisho.errors import BackendFailed, Halted, LedgerUnavailable, SekishoError
from sekisho.model.decision import Effect
from sekisho.model.verdict import Verdict
from sekisho.obligations import label_output
from sekisho.releasing.outcome import CLIENT_GONE, Outcome
from sekisho.releasing.replies import Answer, facts_of
from sekisho_audit.events import Event, Payload

DONE = b"data: [DONE]"
_CANCELLED = (asyncio.CancelledError, GeneratorExit)

Keep = Callable[[Any, str], Awaitable[bytes | None]]
"""From an answer and the log level to the bytes kept sealed in the ledger, or None."""


class Judge(Protocol):
    """The rules about one answer; `stages.guard` is it."""

    @property
    def reads_whole(self) -> bool:
        """Whether nothing of the answer may be shown before all of it is there."""
        ...

    async def go_on(self) -> None:
        """Whether more may be given out. Raises Halted, HaltUnknown."""
        ...

    async def whole(self, completion: Any) -> Verdict:
        """About an answer that nobody has seen."""
        ...

    async def calls_of(self, completion: Any) -> Verdict:
        """About the tool calls of a stream whose text is on its way."""
        ...

    def events(self, verdict: Verdict) -> Sequence[Event]:
        """What was decided, for the record."""
        ...


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


class Relay:
    """One running stream: relays chunks as they come and keeps what the record needs."""

    def __init__(
        self, answer: Answer, outcome: Outcome, keep: Keep, judge: Judge, bytes_max: int
    ) -> None:
        self._reply = answer.reply
        self._level = answer.log_level
        self._outcome = outcome
        self._keep = keep
        self._judge = judge
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._tail = b""
        self._watch = CallWatch()
        self._clock = asyncio.get_running_loop().time
        self._silent_since_s: float | None = None
        self._labeller = label_output.Labeller() if answer.text_labelled else None

    async def pieces(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        """What the client gets; at its end, or wherever it is closed, the outcome is given."""
        try:
            async for chunk in self._labelled():
                self._chunks.append(chunk)
                self._bytes += len(chunk)
                if self._bytes > self._bytes_max:
                    stream.ended = "answer_too_large"
                    await self._end_early("stopped", "answer_too_large")
                    yield error_event("answer_too_large", "The answer grew beyond its limit.")
                    return
                await self._judge.go_on()
                ready = self._ready(self._watch.feed(chunk))
                if self._watch.calling:
                    ready += self._alive(said=bool(ready))
                if ready:
                    yield ready
            await self._judge.go_on()
            if rest := self._ready(self._watch.end()):
                yield rest
            async for piece in self._closing(stream):
                yield piece
        except BackendFailed as error:
            stream.ended = error.code
            with suppress(LedgerUnavailable):  # told later; the client hears of the backend
                await self._end_early("failed", error.code)
            yield error_event(error.code, error.message)
        except SekishoError as error:
            stream.ended = error.code
            with suppress(SekishoError):  # told later
                await self._end_early("stopped", error.code)
            reason = (
                end_events(self._whole(), "content_filter") if isinstance(error, Halted) else b""
            )
            yield reason + error_event(error.code, error.message)
        except _CANCELLED:
            stream.ended = "cancelled"
            await self._gone(stream.cause)
            raise
        finally:
            stream.chunks = len(self._chunks)
            self._outcome.abandon("internal_fault")
            await self._reply.close()

    def _alive(self, *, said: bool) -> bytes:
        """A comment, if the client has heard nothing for too long. From the first call on all that
        was given out are whole events, so that it stands between two.
        """
        now_s = self._clock()
        if said or self._silent_since_s is None:
            self._silent_since_s = now_s
        if now_s - self._silent_since_s < ALIVE_S:
            return b""
        self._silent_since_s = now_s
        return ALIVE

    async def _closing(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        """The tool calls that were kept back, if the rules allow them, and the closing mark; both
        only after the record.
        """
        completion = self._whole()
        if not self._watch.calling:
            await self._record(completion)
            if self._tail:
                yield self._tail
            return
        readable = completion if not self._watch.ambiguous else {}
        verdict = await self._judge.calls_of(readable)
        self._outcome.let_go(verdict.opening)
        await self._judge.go_on()
        await self._record(completion, verdict)
        if verdict.effect is Effect.ALLOW:
            yield self._tail + self._watch.kept
        else:
            stream.ended = verdict.cause
            calling = sorted({call.choice for call in proposed(completion)})
            places = calling or range(len(completion["choices"]))
            yield notice_events(completion, places, verdict.notice)

    async def _end_early(self, status: str, cause: str) -> None:
        said = assemble.chars(self._whole())
        facts = {"cause": cause, "bytes": self._bytes, "chunks": len(self._chunks)}
        await self._outcome.settle(
            status, facts, chars=said, given=self._given if self._chunks else None
        )

    def _given(self) -> bytes:
        """What the client may have had of it."""
        return b"".join(self._chunks)

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

    async def _record(self, completion: dict[str, Any], verdict: Verdict | None = None) -> None:
        kept = await self._keep(completion, self._level)
        facts = facts_of(200, completion) | {"bytes": self._bytes, "chunks": len(self._chunks)}
        status = "released"
        if verdict is not None and verdict.effect is not Effect.ALLOW:
            status, facts["cause"] = "stopped", verdict.cause
        await self._outcome.settle(
            status,
            facts,
            Payload("answer", b"".join(self._chunks), kept),
            chars=assemble.chars(completion),
            before=self._judge.events(verdict) if verdict is not None else (),
            given=self._given if self._chunks else None,
        )

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
        await self._outcome.settle(
            "cancelled", facts, answer, chars=said, given=self._given if self._chunks else None
        )


def _overlap(pending: bytes) -> int:
    """How many bytes at the end of `pending` could be the beginning of the closing mark."""
    if pending.endswith(b"\n"):
        return 0
    for length in range(min(len(DONE) - 1, len(pending)), 0, -1):
        if DONE.startswith(pending[-length:]):
            return length
    return 0


def error_event(code: str, message: str) -> bytes:
    """A stream's last word when it cannot go on: every OpenAI SDK raises APIError on it."""
    error = {"message": message, "type": "api_error", "param": None, "code": code}
    return b"data: " + orjson.dumps({"error": error}) + b"\n\n"

"""release: the answer goes back, and what was sent is durable before its last byte.

    whole answers     read to the end, judged, outcome recorded, then delivered
    streamed answers  relayed as they come; tool calls and the closing mark wait for the record
    held answers      kept for people; whoever asked waits for them as for a held request

Each intent gets exactly one outcome, whatever happens: released, held, cancelled by the client,
broken by the backend, or stopped by us. If the outcome cannot be written, a running stream ends
with an error event, and the bare fact (never content) is written as soon as the ledger is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.content import assemble
from sekisho.content.answer_stream import as_stream
from sekisho.content.tool_calls import without_calls
from sekisho.errors import BackendFailed, DeniedByPolicy, SekishoError
from sekisho.holding.denial import denied
from sekisho.holding.file import HeldAnswer
from sekisho.model.decision import Effect
from sekisho.model.hold import HoldView
from sekisho.model.verdict import UNTOUCHED, Verdict
from sekisho.obligations import label_output
from sekisho.releasing.outcome import Outcome, cause_of
from sekisho.releasing.relay import Judge, Keep, Relay, Stream
from sekisho.releasing.replies import (
    BREAK_GLASS_HEADER,
    EVENTS,
    TOO_LARGE,
    Answer,
    Whole,
    check_plain,
    facts_of,
    judged,
    kept_headers,
    parsed_of,
    read_whole,
)
from sekisho_audit.events import Payload

_STATUS = {Effect.ALLOW: "released", Effect.HOLD: "held", Effect.DENY: "stopped"}

Hold = Callable[[HeldAnswer], Awaitable[HoldView]]
"""Files a held answer. Whatever happens to the caller, the outcome is given."""


async def release(
    answer: Answer,
    outcome: Outcome,
    keep: Keep,
    *,
    judge: Judge,
    hold: Hold,
    answer_bytes_max: int,
) -> Whole | Stream | HoldView:
    """What the client gets. Raises BackendFailed, DeniedByPolicy, Unavailable or LedgerRefused with
    the outcome settled.
    """
    reply, outgoing = answer.reply, answer.recorded.clearance.outgoing
    outcome.begun(reply)
    streamed = reply.headers.get("content-type", "").startswith(EVENTS)
    if reply.status == HTTPStatus.OK and outgoing.stream and streamed and not judge.reads_whole:
        headers = kept_headers(reply.headers, outgoing.exchange, answer.ours(outcome))
        stream = Stream(HTTPStatus.OK, headers)
        relay = Relay(answer, outcome, keep, judge, answer_bytes_max)
        stream.pieces = relay.pieces(stream)
        stream.abandon = partial(relay.abandon, stream)
        return stream
    return await gather(
        answer, outcome, keep, judge=judge, hold=hold, answer_bytes_max=answer_bytes_max
    )


async def gather(
    answer: Answer,
    outcome: Outcome,
    keep: Keep,
    *,
    judge: Judge,
    hold: Hold,
    answer_bytes_max: int,
) -> Whole | HoldView:
    """Read the answer to its end, judge it and record the outcome before anyone sees it."""
    reply = answer.reply
    outcome.begun(reply)
    body, handed_over = b"", False
    try:
        body = await read_whole(reply, answer_bytes_max, judge.go_on)
        outgoing = answer.recorded.clearance.outgoing
        whole = judged(reply, body, outgoing.exchange, answer.ours(outcome))
        parsed = parsed_of(whole)
        check_plain(whole, all_of_it=judge.reads_whole)
        verdict = await judge.whole(parsed) if whole.status == HTTPStatus.OK else UNTOUCHED
        ready = _as_decided(answer, whole, parsed, verdict)
        await judge.go_on()
        judgement = _Judgement(whole, parsed, verdict, ready)
        settle = await _settling(answer, outcome, keep, judge, judgement)
        if verdict.effect is Effect.HOLD:
            content, handed_over = orjson.dumps(parsed_of(ready)), True
            return await hold(HeldAnswer(verdict, content, settle, outcome.abandon))
        await settle()
    except BackendFailed as error:
        came = answer_bytes_max if error.code == TOO_LARGE else len(body)
        facts = {"http_status": reply.status, "cause": error.code, "bytes": came}
        await outcome.settle("failed", facts, chars=came)
        raise
    except SekishoError as error:
        error.paid = True
        if not handed_over:
            facts = {"http_status": reply.status, "cause": error.code, "bytes": len(body)}
            await outcome.settle("stopped", facts, chars=len(body))
        raise
    except asyncio.CancelledError as gone:
        if not handed_over:
            await outcome.settle("cancelled", {"cause": cause_of(gone)})
        raise
    finally:
        if not handed_over:
            outcome.abandon("internal_fault")
        await reply.close()
    _refuse(verdict)
    return ready


def _refuse(verdict: Verdict) -> None:
    """Raises DeniedByPolicy if the whole answer is denied."""
    if verdict.refused is not None:
        why = denied(verdict.refused)
        raise DeniedByPolicy(why.message, code="answer_denied", texts=why.texts)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What came, as it is and as it says, and what of it is ready to be given out."""

    whole: Whole
    parsed: Any
    verdict: Verdict
    ready: Whole


async def _settling(
    answer: Answer, outcome: Outcome, keep: Keep, judge: Judge, judgement: _Judgement
) -> Callable[..., Awaitable[None]]:
    """How the outcome is recorded: in one batch with what was decided, and with what is added.

    What was sent is recorded; of what was not, what came.
    """
    told, parsed, verdict = judgement.whole, judgement.parsed, judgement.verdict
    outcome.let_go(verdict.opening)
    if verdict.effect is Effect.ALLOW and judgement.ready is not told:
        told = judgement.ready
        parsed = parsed_of(told)
    kept = await keep(parsed, answer.log_level) if parsed is not None else None
    facts = facts_of(told.status, parsed) | {"bytes": len(told.body)}
    return partial(
        outcome.settle,
        _STATUS[verdict.effect],
        facts | ({"cause": verdict.cause} if verdict.cause else {}),
        Payload("answer", told.body, kept),
        chars=assemble.chars(parsed),
        before=judge.events(verdict),
    )


def _as_decided(answer: Answer, whole: Whole, parsed: Any, verdict: Verdict) -> Whole:
    """The answer as the client or a reviewer gets it: masked, labelled, or with a notice in place
    of what is withheld; untouched where nothing of that applies.
    """
    stream = answer.recorded.clearance.outgoing.stream
    if verdict.opening:
        whole = replace(whole, headers={**whole.headers, BREAK_GLASS_HEADER: verdict.opening})
    if verdict.notice:
        return _written(whole, without_calls(parsed, verdict.notice), stream=stream)
    if verdict.rewritten is not None:
        whole = _written(whole, verdict.rewritten, stream=stream)
    if answer.text_labelled and whole.status == HTTPStatus.OK:
        whole = _labelled(whole)
    return whole


def _written(whole: Whole, completion: Mapping[str, Any], *, stream: bool) -> Whole:
    """The completion in the form that was asked for."""
    body = as_stream(completion) if stream else orjson.dumps(completion)
    kind = EVENTS if stream else "application/json"
    return replace(whole, headers={**whole.headers, "content-type": kind}, body=body)


def _labelled(whole: Whole) -> Whole:
    """The answer with the label before its texts; a stream that was gathered is one, too."""
    if whole.streamed:
        labeller = label_output.Labeller()
        return replace(whole, body=labeller.feed(whole.body) + labeller.end())
    labelled = label_output.apply(parsed_of(whole))
    return whole if labelled is None else replace(whole, body=orjson.dumps(labelled))

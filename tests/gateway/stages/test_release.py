"""The answer goes back, and its outcome is durable before its last byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.clearance import Clearance, Recorded
from sekisho.content.assemble import completion
from sekisho.content.scan import Scanner
from sekisho.errors import BackendFailed, LedgerUnavailable
from sekisho.holding.file import HeldAnswer
from sekisho.model.decision import Decision, Effect, Obligations
from sekisho.model.facts import Facts
from sekisho.model.hold import HoldView
from sekisho.model.limits import Estimate, Spender
from sekisho.model.outgoing import Outgoing
from sekisho.obligations.label_output import LABEL
from sekisho.ports import Ledger
from sekisho.releasing.outcome import Outcome
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Answer, Whole
from sekisho.stages.guard import Guard
from sekisho.stages.release import release
from sekisho_audit.events import Appended, Event
from support.unlimited import BookedCharge

STREAM_HEADERS = {"content-type": "text/event-stream", "set-cookie": "a=b", "x-request-id": "r1"}
SPENDER = Spender("staff-7", frozenset(), "m", "b")
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
NOTHING_ASKED = Obligations()
LABELLED = Obligations(label_output=True)


@dataclass
class FakeReply:
    """A reply whose chunks and end are given."""

    parts: Sequence[bytes | Exception]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(STREAM_HEADERS))
    closed: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            await asyncio.sleep(0)
            yield part

    async def close(self) -> None:
        self.closed = True


@dataclass
class Notebook:
    """A ledger that remembers, and fails when told to: before or after taking effect."""

    events: list[Event] = field(default_factory=list)
    fail_before: bool = False
    fail_after: bool = False
    origin: str = "test"

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        await asyncio.sleep(0)
        if self.fail_before:
            raise LedgerUnavailable("down")
        self.events += events
        if self.fail_after:
            raise LedgerUnavailable("lost")
        return [Appended(len(self.events), "", {}) for _ in events]

    @property
    def statuses(self) -> list[str]:
        return [e.data["status"] for e in self.events if e.type == "backend.outcome"]


class Case:
    """One exchange at the stage release."""

    def __init__(
        self,
        reply: FakeReply,
        *,
        stream: bool = True,
        asked: bytes = b"{}",
        obligations: Obligations = NOTHING_ASKED,
    ) -> None:
        decision = Decision(Effect.ALLOW, (), "sha256:0", obligations)
        facts = Facts({}, "b", ())
        outgoing = Outgoing(
            "x1", "staff-7", "b", "m", "chat.completions", "/p", asked, stream, facts, decision, ()
        )
        self.reply = reply
        self.ledger = Notebook()
        self.later: list[Event] = []
        self.answer = Answer(Recorded(Clearance(outgoing, None), "i1", 0), reply)
        self.charge = BookedCharge(SPENDER, Estimate(10, 100), forced=False)
        ledger = cast("Ledger", self.ledger)
        self.outcome = Outcome(self.answer.recorded, ledger, self.later.append, self.charge)

    async def run(self, bytes_max: int = 10_000) -> Whole | Stream:
        async def keep(answer: Any, level: str) -> bytes | None:
            return json.dumps(answer).encode()

        async def hold(held: HeldAnswer) -> HoldView:
            raise AssertionError("nobody asked for a hold")

        async def allow(facts: Facts) -> Decision:
            return Decision(Effect.ALLOW, (), "sha256:0", NOTHING_ASKED)

        outgoing = self.answer.recorded.clearance.outgoing
        answer = await release(
            self.answer,
            self.outcome,
            keep,
            judge=Guard(outgoing, Scanner(), allow),
            hold=hold,
            answer_bytes_max=bytes_max,
        )
        assert isinstance(answer, (Whole, Stream))
        return answer

    async def pieces(self, bytes_max: int = 10_000) -> bytes:
        stream = await self.run(bytes_max)
        assert isinstance(stream, Stream)
        return b"".join([piece async for piece in stream.pieces])


async def test_a_stream_is_relayed_byte_for_byte_and_recorded_once() -> None:
    """Nothing is changed, and the outcome says released."""
    case = Case(FakeReply([CHUNK, CHUNK, DONE]))

    assert CHUNK + CHUNK + DONE == await case.pieces()
    assert ["released"] == case.ledger.statuses
    assert case.reply.closed


@given(st.lists(st.integers(1, len(CHUNK * 2 + DONE) - 1), max_size=6))
def test_the_closing_mark_waits_for_the_record_however_the_stream_is_cut(cuts: list[int]) -> None:
    """For any cut of the bytes, no complete closing mark leaves before the outcome is durable."""
    whole = CHUNK * 2 + DONE
    places = sorted({0, *cuts, len(whole)})
    parts = [whole[a:b] for a, b in pairwise(places)]

    async def check() -> None:
        case = Case(FakeReply(parts))
        stream = await case.run()
        assert isinstance(stream, Stream)
        sent = b""
        async for piece in stream.pieces:
            sent += piece
            if b"[DONE]" in sent:
                assert ["released"] == case.ledger.statuses
        assert whole == sent

    asyncio.run(check())


async def test_a_labelled_stream_is_recorded_as_the_client_got_it() -> None:
    """The label comes once, before the first text, and the header says it, too."""
    case = Case(FakeReply([CHUNK[:9], CHUNK[9:] + CHUNK, DONE]), obligations=LABELLED)
    stream = await case.run()
    assert isinstance(stream, Stream)
    sent = b"".join([piece async for piece in stream.pieces])

    assert sent.endswith(CHUNK + CHUNK + DONE)
    assert LABEL + "hihi" == completion(sent)["choices"][0]["message"]["content"]
    assert "ai-generated" == stream.headers["x-sekisho-label"]
    (event,) = case.ledger.events
    assert sent == event.payloads[0].exact


async def test_a_labelled_stream_of_one_endless_event_is_stopped() -> None:
    """Waiting for the end of an event must not fill the memory."""
    case = Case(FakeReply([b"data: " + b"x" * 400] * 5), obligations=LABELLED)
    assert b"answer_too_large" in await case.pieces(bytes_max=1_000)
    assert ["stopped"] == case.ledger.statuses


@pytest.mark.parametrize("kind", ["text", "json_object"])
async def test_a_labelled_answer_for_people_says_it_in_its_text(kind: str) -> None:
    """A program that reads JSON is told by the header only."""
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "hi"}}]}).encode()
    asked = json.dumps({"response_format": {"type": kind}}).encode()
    reply = FakeReply([body], headers={"content-type": "application/json"})
    case = Case(reply, stream=False, asked=asked, obligations=LABELLED)
    whole = await case.run()

    assert isinstance(whole, Whole)
    said = json.loads(whole.body)["choices"][0]["message"]["content"]
    assert (LABEL + "hi" if kind == "text" else "hi") == said
    assert "ai-generated" == whole.headers["x-sekisho-label"]
    assert whole.body == case.ledger.events[0].payloads[0].exact


async def test_without_a_ledger_the_stream_ends_with_an_error_and_the_fact_is_told_later() -> None:
    """The client is told, the closing mark is withheld, the bare outcome waits for the ledger."""
    case = Case(FakeReply([CHUNK, DONE]))
    case.ledger.fail_before = True

    sent = await case.pieces()

    assert b"[DONE]" not in sent
    assert b"audit_unavailable" in sent
    assert ["released"] == [event.data["status"] for event in case.later]
    assert all(event.payloads == () for event in case.later)


async def test_an_outcome_whose_reply_was_lost_is_told_later_under_the_same_id() -> None:
    """Took effect, reply lost: the later write is the same event, so the ledger keeps one."""
    case = Case(FakeReply([CHUNK, DONE]))
    case.ledger.fail_after = True

    await case.pieces()

    assert [case.ledger.events[0].id] == [event.id for event in case.later]


async def test_a_client_that_hangs_up_cancels_the_backend_and_is_recorded() -> None:
    """Closing the relay early closes the backend's answer and records cancelled with its bytes."""
    case = Case(FakeReply([CHUNK, CHUNK, DONE]))
    stream = await case.run()
    assert isinstance(stream, Stream)

    await anext(stream.pieces)
    await stream.pieces.aclose()

    assert case.reply.closed
    assert ["cancelled"] == case.ledger.statuses
    assert len(CHUNK) == case.ledger.events[0].data["bytes"]


async def test_hanging_up_after_the_record_is_a_cut_not_a_second_outcome() -> None:
    """The outcome stands; a separate event says the last bytes did not arrive."""
    case = Case(FakeReply([CHUNK, DONE]))
    stream = await case.run()
    assert isinstance(stream, Stream)

    async for piece in stream.pieces:
        if b"[DONE]" in piece:
            break
    await stream.pieces.aclose()

    assert ["released"] == case.ledger.statuses
    assert ["delivery.cut"] == [event.type for event in case.later]


async def test_a_backend_that_breaks_off_ends_the_stream_with_an_error_event() -> None:
    """What came is relayed, then every SDK raises on the error event."""
    case = Case(FakeReply([CHUNK, BackendFailed("broke off", code="backend_cut")]))

    sent = await case.pieces()

    assert sent.startswith(CHUNK)
    assert "backend_cut" == json.loads(sent.split(b"data: ")[-1])["error"]["code"]
    assert ["failed"] == case.ledger.statuses


async def test_an_endless_answer_is_stopped() -> None:
    """Memory for the record is bounded; the outcome says stopped."""
    case = Case(FakeReply([CHUNK] * 100))

    sent = await case.pieces(bytes_max=500)

    assert b"answer_too_large" in sent
    assert ["stopped"] == case.ledger.statuses


async def test_a_fault_of_ours_leaves_no_intent_open() -> None:
    """Even an error nobody thought of gives the intent its outcome."""
    case = Case(FakeReply([CHUNK, KeyError("bug")]))

    with pytest.raises(KeyError):
        await case.pieces()

    assert ["failed"] == [event.data["status"] for event in case.later]


JSON_HEADERS = {"content-type": "application/json", "set-cookie": "s=1", "server": "x"}
BODY = b'{"choices":[{"finish_reason":"stop"}],"usage":{"total_tokens":7,"prompt_tokens":-1}}'


async def test_a_whole_answer_is_recorded_before_anyone_sees_it() -> None:
    """Body unchanged; finish reason and sane counts are facts; no cookie passes."""
    case = Case(FakeReply([BODY[:9], BODY[9:]], headers=JSON_HEADERS), stream=False)

    whole = await case.run()

    assert isinstance(whole, Whole)
    assert BODY == whole.body
    ours = {"x-sekisho-exchange", "x-sekisho-receipt", *case.charge.headers()}
    assert {"content-type", *ours} == set(whole.headers)
    data = case.ledger.events[0].data
    assert ("stop", {"total_tokens": 7}) == (data["finish"], data["usage"])


async def test_a_whole_answer_is_withheld_without_a_ledger() -> None:
    """The model was asked, but what cannot be recorded is not shown."""
    case = Case(FakeReply([BODY], headers=JSON_HEADERS), stream=False)
    case.ledger.fail_before = True

    with pytest.raises(LedgerUnavailable):
        await case.run()

    assert ["released"] == [event.data["status"] for event in case.later]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "backend_credential_refused"),
        (403, "backend_credential_refused"),
        (500, "backend_failed"),
        (503, "backend_failed"),
        (302, "backend_failed"),
    ],
)
async def test_the_backends_troubles_are_not_the_clients(status: int, code: str) -> None:
    """A refused gateway credential must not look like the client's key being wrong."""
    case = Case(FakeReply([b"{}"], status=status, headers=JSON_HEADERS), stream=False)

    with pytest.raises(BackendFailed) as caught:
        await case.run()

    assert code == caught.value.code
    assert ["failed"] == case.ledger.statuses


async def test_the_clients_own_mistake_is_relayed() -> None:
    """A 400 of the backend tells the client what to mend, so it passes as it is."""
    body = b'{"error":{"message":"max_tokens too large"}}'
    case = Case(FakeReply([body], status=400, headers=JSON_HEADERS), stream=False)

    whole = await case.run()

    assert isinstance(whole, Whole)
    assert (400, body) == (whole.status, whole.body)


async def test_an_answer_that_is_not_json_is_refused() -> None:
    """A login page with status 200 is not an answer."""
    case = Case(FakeReply([b"<html>"], headers={"content-type": "text/html"}), stream=False)

    with pytest.raises(BackendFailed) as caught:
        await case.run()

    assert "backend_malformed" == caught.value.code


def outcomes(case: Case) -> list[Any]:
    """What the outcome says was used, and what the charge was settled with: the same."""
    (event,) = [
        event for event in (*case.ledger.events, *case.later) if event.type == "backend.outcome"
    ]
    ((used, _),) = case.charge.settled
    assert used == event.data["charged"]
    return [event.data["status"], event.data["charged"]["tokens"]]


def whole(status: int = 200, **members: Any) -> FakeReply:
    """A whole answer of the backend."""
    message = {
        "message": {
            "content": "four",
            "tool_calls": [{"function": {"name": "n", "arguments": "{}"}}],
        }
    }
    body = json.dumps({"choices": [message], **members}).encode()
    return FakeReply([body], status, {"content-type": "application/json"})


@pytest.mark.parametrize(
    ("reply", "status", "tokens"),
    [
        (whole(usage={"total_tokens": 33}), "released", 33),
        (whole(), "released", 10 + 7),
        (whole(429), "released", 0),
        (whole(503), "failed", 0),
        (FakeReply([CHUNK, CHUNK, DONE]), "released", 10 + 4),
        (FakeReply([CHUNK, BackendFailed("cut")]), "failed", 10 + 2),
        (FakeReply([BackendFailed("cut")]), "failed", 0),
        (FakeReply([CHUNK * 400]), "stopped", 10 + 800),
    ],
    ids=["told", "untold", "refused", "broken", "streamed", "cut", "never began", "too large"],
)
async def test_what_came_back_is_what_is_charged(
    reply: FakeReply, status: str, tokens: int
) -> None:
    """The backend's figure, else the prompt and what came back; a cut stream is not free."""
    case = Case(reply)
    with suppress(BackendFailed):
        stream = await case.run()
        if isinstance(stream, Stream):
            async for _ in stream.pieces:
                pass
    assert [status, tokens] == outcomes(case)


async def test_a_client_that_hangs_up_pays_for_its_prompt_and_what_it_got() -> None:
    """Otherwise hanging up after the last word would make everything free."""
    case = Case(FakeReply([CHUNK] * 5))
    stream = await case.run()
    assert isinstance(stream, Stream)
    await anext(stream.pieces)
    await stream.close()
    assert ["cancelled", 12] == outcomes(case)


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_a_charge_is_settled_also_when_the_outcome_is_told_later(fault: str) -> None:
    """Without a place in the ledger, since nobody knows whether it has one."""
    case = Case(FakeReply([CHUNK, DONE]))
    setattr(case.ledger, fault, True)
    await case.pieces()
    assert [({"tokens": 12, "spend_micros": 0}, None)] == case.charge.settled


async def test_what_is_left_is_ours_not_the_backends() -> None:
    """The account we share there is nobody's business; our own figures are told."""
    reply = whole()
    reply.headers["x-ratelimit-remaining-requests"] = "99999"
    reply.headers["x-ratelimit-limit-tokens"] = "99999"
    answer = await Case(reply).run()
    assert isinstance(answer, Whole)
    assert "7" == answer.headers["x-ratelimit-remaining-requests"]
    assert "x-ratelimit-limit-tokens" not in answer.headers


@pytest.mark.parametrize(
    ("reply", "most"),
    [
        (FakeReply([b"x" * 500], headers={"content-type": "application/json"}), 100),
        (FakeReply([b"not json"], headers={"content-type": "application/json"}), 10_000),
    ],
    ids=["too large", "malformed"],
)
async def test_an_answer_we_did_not_take_is_not_free(reply: FakeReply, most: int) -> None:
    """The backend has made it; what it cost is charged by what came."""
    case = Case(reply)
    with pytest.raises(BackendFailed):
        await case.run(most)
    status, tokens = outcomes(case)
    assert ("failed", True) == (status, tokens > 10)


@pytest.mark.parametrize(
    ("header", "body", "named"),
    [
        ("req_1", "chatcmpl-9", "req_1"),
        ("", "chatcmpl-9", "chatcmpl-9"),
        ("a\nb", "x" * 129, None),
        ("身份证", 7, None),
    ],
    ids=["header", "body", "not a name", "no text"],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_the_backends_own_id_is_in_the_record(
    header: str, body: object, named: str | None, stream: bool
) -> None:
    """By it the record is compared with the backend's usage export; nothing else gets in so."""
    said = {"id": body, "object": "chat.completion", "choices": []}
    kind = "text/event-stream" if stream else "application/json"
    raw = json.dumps(said).encode()
    parts = [b"data: " + raw + b"\n\n", DONE] if stream else [raw]
    reply = FakeReply(parts, headers={"content-type": kind, "x-request-id": header})
    case = Case(reply, stream=stream)
    if stream:
        await case.pieces()
    else:
        await case.run()
    [event] = case.ledger.events
    assert event.data.get("backend_request") == named


async def test_an_outcome_nobody_waits_for_names_the_request_too() -> None:
    case = Case(FakeReply([BackendFailed("gone", code="backend_failed")]))
    await case.pieces()
    assert [event.data["backend_request"] for event in case.ledger.events] == ["r1"]

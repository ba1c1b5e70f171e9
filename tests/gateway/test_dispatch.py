"""Answers that people have to see first, from the request to the hold; real store of holds."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from sekisho.errors import (
    DeniedByPolicy,
    HoldStoreUnavailable,
    LedgerUnavailable,
    PolicyUnavailable,
    SekishoError,
)
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldState, HoldView
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.web.problems import problem
from support.holds import ONE_REVIEW, STAFF, STRANGER, TWO_REVIEWS, Desk
from support.line import ANSWER, CHAT_BODY, Line, chat, decision
from support.memory_ledger import MemoryLedger

ANSWER_HELD = HoldTerms("response", ONE_REVIEW, 600, 10)
CALLS_HELD = HoldTerms("tool_call", ONE_REVIEW, 600, 10)
LATER = decision(Effect.ALLOW, hold_later=(ANSWER_HELD,))
LATER_CALLS = decision(Effect.ALLOW, hold_later=(CALLS_HELD,))
WHOLE = decision(Effect.ALLOW, review_response=True)
DENY = decision(Effect.DENY)
STREAM_BODY = b'{"model":"gpt-x","messages":[{"role":"user","content":"hello"}],"stream":true}'
FUNCTION = {"name": "crm.write", "arguments": '{"id":7}'}
CALL = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "t1", "type": "function", "function": FUNCTION}],
            },
        }
    ]
}
STREAMED_CALL = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"I write."}}]}\n\n',
    (
        b'data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1",'
        b'"function":{"name":"crm.write","arguments":"{\\"id\\":7}"}}]}}]}\n\n'
    ),
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
    b"data: [DONE]\n\n",
)


@pytest.fixture
def line(desk: Desk, ledger: MemoryLedger) -> Line:
    """A line whose holds live in the real store."""
    return Line(holds=desk.store, ledger=ledger)


def calls(line: Line) -> None:
    """The backend answers with a tool call."""
    line.backend.parts = (orjson.dumps(CALL),)


def streams(line: Line, *parts: bytes) -> None:
    """The backend answers with a stream."""
    line.backend.parts, line.backend.content_type = parts, "text/event-stream"


async def held(line: Line, body: bytes = CHAT_BODY) -> HoldView:
    """The hold that stands for an answer."""
    view = await line.pipeline.handle(STAFF, chat(body))
    assert isinstance(view, HoldView)
    return view


async def whole(line: Line, body: bytes = CHAT_BODY) -> Whole:
    """An answer given back whole."""
    answer = await line.pipeline.handle(STAFF, chat(body))
    assert isinstance(answer, Whole)
    return answer


async def relayed(line: Line) -> bytes:
    """A stream given back."""
    stream = await line.pipeline.handle(STAFF, chat(STREAM_BODY))
    assert isinstance(stream, Stream)
    return b"".join([piece async for piece in stream.pieces])


async def test_an_answer_is_held_as_it_would_be_given_out(line: Line) -> None:
    """Sent once; decisions, outcome and hold are one batch; nobody has seen it yet."""
    line.rules.says = LATER

    view = await held(line)

    assert (HoldState.PENDING, "response") == (view.state, view.hold.stage)
    assert orjson.loads(ANSWER) == orjson.loads(view.hold.outgoing)
    assert [CHAT_BODY] == line.backend.sent
    assert [
        "request.received", "policy.decision", "backend.intent",
        "policy.decision", "backend.outcome", "hold.filed",
    ] == line.ledger.types()  # fmt: skip
    assert ["held"] == [one["status"] for one in line.data("backend.outcome")]


async def test_tool_calls_are_held_where_the_rules_say_so(line: Line) -> None:
    """By the request's decision, or only by what is said of the call; an answer without is not."""
    line.rules.says = LATER_CALLS
    assert ANSWER == (await whole(line)).body

    calls(line)
    view = await held(line)
    assert ("tool_call", ONE_REVIEW) == (view.hold.stage, view.hold.thresholds)

    line.rules.says = decision(Effect.ALLOW)
    line.rules.later["tool_call"] = decision(Effect.HOLD, hold=CALLS_HELD)
    again = await held(line)
    assert again.hold.id != view.hold.id
    assert again.hold.rules == ("rule.a",)


async def test_equal_requests_are_sent_once(line: Line) -> None:
    """They wait for the one under way and join its hold."""
    line.rules.says = LATER

    views = await asyncio.gather(*(held(line) for _ in range(5)))

    assert 1 == len({view.hold.id for view in views})
    assert [CHAT_BODY] == line.backend.sent
    assert 1 == len(line.data("hold.filed"))


async def test_nobody_joins_another_persons_answer(line: Line) -> None:
    """Equal words of two people are two requests."""
    line.rules.says = LATER
    view = await held(line)

    other = await line.pipeline.handle(STRANGER, chat())

    assert isinstance(other, HoldView)
    assert other.hold.id != view.hold.id
    assert 2 == len(line.backend.sent)


async def test_what_is_allowed_after_all_is_given_back_and_its_place_is_free(line: Line) -> None:
    """Read whole, judged, released: byte for byte; an equal request is a new one."""
    line.rules.says = WHOLE

    assert ANSWER == (await whole(line)).body
    assert ANSWER == (await whole(line)).body

    assert ["released"] * 2 == [one["status"] for one in line.data("backend.outcome")]
    assert ["request", "response"] * 2 == [one["stage"] for one in line.data("policy.decision")]


async def test_a_stream_that_is_read_whole_stays_a_stream(line: Line) -> None:
    """What the backend streamed goes out as it came."""
    line.rules.says = WHOLE
    streams(line, *STREAMED_CALL)

    answer = await whole(line, STREAM_BODY)

    assert b"".join(STREAMED_CALL) == answer.body
    assert "text/event-stream" == answer.headers["content-type"]


async def test_a_denied_answer_is_refused_and_recorded(line: Line) -> None:
    """It was made and is on record; who asked gets the rule."""
    line.rules.says, line.rules.later["response"] = WHOLE, DENY

    with pytest.raises(DeniedByPolicy, match=r"rule\.a") as caught:
        await line.pipeline.handle(STAFF, chat())

    assert "answer_denied" == caught.value.code
    (outcome,) = line.data("backend.outcome")
    assert ("stopped", "answer_denied") == (outcome["status"], outcome["cause"])


async def test_a_denied_call_becomes_a_text(line: Line) -> None:
    """The agent's run ends with the reason; the call is in no byte of the answer."""
    calls(line)
    line.rules.later["tool_call:crm.write"] = DENY

    answer = orjson.loads((await whole(line)).body)

    (choice,) = answer["choices"]
    assert "stop" == choice["finish_reason"]
    assert "crm.write: not allowed" in choice["message"]["content"]
    assert "tool_calls" not in choice["message"]
    (outcome,) = line.data("backend.outcome")
    assert ("stopped", "tool_call_denied") == (outcome["status"], outcome["cause"])
    assert "crm.write" == line.data("policy.decision")[-1]["tool"]


async def test_an_allowed_call_of_a_stream_goes_on_after_the_record(line: Line) -> None:
    """Byte for byte."""
    streams(line, *STREAMED_CALL)

    assert b"".join(STREAMED_CALL) == await relayed(line)
    assert ["released"] == [one["status"] for one in line.data("backend.outcome")]


@pytest.mark.parametrize("says", [DENY, decision(Effect.HOLD, hold=CALLS_HELD)])
async def test_a_call_of_a_stream_that_is_not_allowed_is_withheld(line: Line, says: Any) -> None:
    """The text that went before stays, the call never comes, the stream ends in order."""
    streams(line, *STREAMED_CALL)
    line.rules.later["tool_call"] = says

    sent = await relayed(line)

    assert sent.startswith(STREAMED_CALL[0])
    assert sent.endswith(b"data: [DONE]\n\n")
    assert b'"tool_calls"' not in sent
    assert b'\\"id\\"' not in sent
    (outcome,) = line.data("backend.outcome")
    assert "stopped" == outcome["status"]
    assert line.counted('sekisho_decision_seconds_count{stage="tool_call"} 1.0')


async def test_without_rules_a_stream_ends_before_the_call(line: Line) -> None:
    """I5: an error event in its place, and the outcome says stopped."""
    streams(line, *STREAMED_CALL)
    line.rules.later["tool_call"] = PolicyUnavailable("late", cause="late")

    sent = await relayed(line)

    assert b"tool_calls" not in sent
    assert b'"code":"policy_unavailable"' in sent
    assert ["stopped"] == [one["status"] for one in line.data("backend.outcome")]


@pytest.mark.parametrize("lost", ["lose_before", "lose_after"])
async def test_a_hold_that_cannot_be_recorded_gives_nothing_out(
    line: Line, desk: Desk, lost: str
) -> None:
    """Failed before it took effect: failed. Took effect and the reply was lost: the hold is in the
    ledger and the sweep brings it to the store.
    """
    line.rules.says = LATER
    line.backend.on_send = lambda: setattr(line.ledger, lost, 1)

    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())

    await line.unsettled.flush()
    (outcome,) = line.data("backend.outcome")
    filed = line.data("hold.filed")
    assert (
        ("failed", 0)
        if lost == "lose_before"
        else ("held", 1)
        == (
            outcome["status"],
            len(filed),
        )
    )
    due = await desk.store.due(10, 0)
    assert bool(due.orphans) or not filed


async def test_a_client_that_leaves_does_not_take_the_hold_along(line: Line) -> None:
    """Once the answer is there, filing goes on."""
    line.rules.says = LATER
    line.rules.later["response"] = decision(Effect.HOLD, hold=ANSWER_HELD)
    task = asyncio.create_task(line.pipeline.handle(STAFF, chat()))
    async with asyncio.timeout(10):
        while not line.data("backend.outcome"):
            await asyncio.sleep(0)
    task.cancel("client_gone")
    with pytest.raises(asyncio.CancelledError):
        await task

    view = await held(line)

    assert [CHAT_BODY] == line.backend.sent
    assert view.state is HoldState.PENDING


async def test_nobody_to_ask_is_no_hold(line: Line) -> None:
    """Terms without reviewers free nothing."""
    line.rules.says = decision(Effect.ALLOW, hold_later=(HoldTerms("response", (), 600, 1),))

    with pytest.raises(DeniedByPolicy) as caught:
        await line.pipeline.handle(STAFF, chat())

    assert "policy_malformed" == caught.value.code
    await line.unsettled.flush()
    assert ["failed"] == [one["status"] for one in line.data("backend.outcome")]


async def test_the_terms_of_request_and_answer_are_both_met(line: Line) -> None:
    """Two reviews by one, one by the other: two."""
    line.rules.says = LATER
    two = HoldTerms("response", TWO_REVIEWS, 60, 90)
    line.rules.later["response"] = decision(Effect.HOLD, hold=two)

    view = await held(line)

    assert (TWO_REVIEWS, 90) == (view.hold.thresholds, view.hold.risk)


@pytest.mark.parametrize("fault", ["rules", "store", "ledger"])
async def test_what_a_backend_has_answered_is_not_asked_for_again(
    line: Line, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """No client tries by itself what would be paid for once more."""
    line.rules.says = LATER
    if fault == "rules":
        line.rules.later["response"] = PolicyUnavailable("late", cause="late")
    elif fault == "ledger":
        line.backend.on_send = lambda: setattr(line.ledger, "lose_before", 1)
    else:
        line.backend.on_send = lambda: monkeypatch.setattr(
            "sekisho.adapters.redis_holds.RedisHoldStore.reserve", _full
        )

    with pytest.raises(SekishoError) as caught:
        await line.pipeline.handle(STAFF, chat())

    _, headers, _ = problem(caught.value)
    assert (b"x-should-retry", b"false") in headers
    await line.unsettled.flush()
    assert 1 == len(line.data("backend.outcome"))
    assert not line.data("hold.filed")


async def _full(*_: object) -> None:
    raise HoldStoreUnavailable("full", code="hold_store_full")

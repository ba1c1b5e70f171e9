"""The kill switch wherever an exchange can be: nothing goes on, and the record says so."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sekisho.content.assemble import completion
from sekisho.content.responses_stream import ResponseEvents
from sekisho.errors import Halted, HaltUnknown, LedgerRefused
from sekisho.model.assistant import Assistant, Assistants
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldState, HoldView
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho_audit.events import Event
from support.holds import ONE_REVIEW, STAFF, Desk
from support.line import ALLOW, CHAT_BODY, HOLD, Line, chat, decision
from support.memory_ledger import MemoryLedger
from support.release_case import CHUNK, DONE, Case, FakeReply
from support.switch import halt

STREAM_BODY = CHAT_BODY[:-1] + b',"stream":true}'
LATER = decision(Effect.ALLOW, hold_later=(HoldTerms("response", ONE_REVIEW, 600, 10),))
CALL = b"""{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"tool_calls":[
{"id":"t1","type":"function","function":{"name":"crm.write","arguments":"{}"}}]}}]}"""
SCOPES = [
    ("all", ""),
    ("team", "sales"),
    ("backend", "demo"),
    ("model", "gpt-x"),
]


@pytest.fixture
def held(desk: Desk, ledger: MemoryLedger) -> Line:
    """A line whose holds live in the real store."""
    return Line(holds=desk.store, ledger=ledger)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
async def test_nothing_is_admitted(scope: str, name: str) -> None:
    """Neither rules nor backend are asked; the refusal is on record, its reason is told."""
    line = Line()
    line.switch.set(halt(scope, name))

    with pytest.raises(Halted) as caught:
        await line.pipeline.handle(STAFF, chat())

    assert "There is a leak." in caught.value.message
    assert caught.value.exchange
    assert not line.rules.asked
    assert not line.backend.sent
    assert line.ledger.types() == ["request.received", "exchange.refused"]
    [refused] = line.data("exchange.refused")
    assert (refused["code"], refused["status"], refused["stage"]) == ("halted", 403, "describe")


async def test_trying_the_rules_is_stopped_too() -> None:
    """What would happen is that nothing happens."""
    line = Line()
    line.switch.set(halt())

    with pytest.raises(Halted):
        await line.pipeline.check(STAFF, chat())


async def test_what_others_do_goes_on() -> None:
    """Another team, model and backend; rules are told that not everything is stopped."""
    line = Line()
    line.switch.set(halt("team", "hr"), halt("model", "gpt-y"), halt("backend", "other"))

    assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole)
    assert line.rules.asked[0]["context"]["halt"] is False


@pytest.mark.parametrize(("scope", "name"), SCOPES)
async def test_nothing_leaves_that_was_admitted_before(scope: str, name: str) -> None:
    """Set while the rules were asked: no intent, and what was decided stays on record."""
    line = Line()
    line.switch.set(halt(scope, name), after=1)

    with pytest.raises(Halted):
        await line.pipeline.handle(STAFF, chat())

    assert not line.backend.sent
    assert line.ledger.types() == ["request.received", "policy.decision", "exchange.refused"]
    assert [charge.settled for charge in line.limiter.charges] == [[(None, None)]]


async def test_the_ledgers_own_refusal_is_a_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may know of one before the worker: 403 and no trying again, not 503."""
    line = Line()
    real = line.ledger.append

    async def append(events: list[Event]) -> Any:
        if events[-1].type == "backend.intent":
            raise LedgerRefused("an operator stopped it", code="halted_intent")
        return await real(events)

    monkeypatch.setattr(line.ledger, "append", append)

    with pytest.raises(Halted) as caught:
        await line.pipeline.handle(STAFF, chat())

    assert (caught.value.status, caught.value.code) == (403, "halted")
    assert [one["code"] for one in line.data("exchange.refused")] == ["halted"]
    assert not line.backend.sent


@pytest.mark.parametrize("after", [0, 1], ids=["admission", "dispatch"])
async def test_a_worker_that_does_not_hear_lets_nothing_through(after: int) -> None:
    """Unknown is not free: 503, on record."""
    line = Line()
    line.switch.unheard, line.switch.after = True, after

    with pytest.raises(HaltUnknown):
        await line.pipeline.handle(STAFF, chat())

    assert not line.backend.sent
    assert [one["code"] for one in line.data("exchange.refused")] == ["halt_unknown"]


async def test_a_whole_answer_is_not_given_out() -> None:
    """Set while the backend worked: it has answered, and nobody is shown it."""
    line = Line()
    line.backend.on_send = lambda: line.switch.set(halt())

    with pytest.raises(Halted) as caught:
        await line.pipeline.handle(STAFF, chat())

    assert caught.value.paid
    [outcome] = line.data("backend.outcome")
    assert (outcome["status"], outcome["cause"]) == ("stopped", "halted")


async def test_an_answer_that_would_be_held_is_not_filed(held: Line) -> None:
    """Stopped is stopped: reviewers are not asked about it either."""
    held.rules.says = LATER
    held.backend.on_send = lambda: held.switch.set(halt())

    with pytest.raises(Halted):
        await held.pipeline.handle(STAFF, chat())

    assert "hold.filed" not in held.ledger.types()
    assert [one["status"] for one in held.data("backend.outcome")] == ["stopped"]


@pytest.mark.parametrize("gone_on", [0, 1, 2])
async def test_a_running_stream_ends_at_its_next_chunk(gone_on: int) -> None:
    """With a reason to stop and an error event; the outcome says so, with its cause."""
    case = Case(FakeReply([CHUNK, CHUNK, CHUNK, DONE]))
    case.switch.set(halt(), after=gone_on)

    sent = await case.pieces()

    assert sent.startswith(CHUNK * gone_on)
    assert CHUNK * (gone_on + 1) not in sent
    assert b"[DONE]" not in sent
    events = [orjson.loads(one.removeprefix(b"data: ")) for one in sent.split(b"\n\n") if one]
    error = events[-1]["error"]
    assert error["code"] == "halted"
    assert "There is a leak." in error["message"]
    assert events[-2]["choices"][0]["finish_reason"] == "content_filter"
    assert case.ledger.statuses == ["stopped"]
    assert case.ledger.events[-1].data["cause"] == "halted"
    assert case.reply.closed


async def test_a_stream_is_stopped_before_its_closing_mark() -> None:
    """The last chance: everything came, and its end was not said yet."""
    case = Case(FakeReply([CHUNK + DONE]))
    case.switch.set(halt(), after=1)

    sent = await case.pieces()

    assert b"[DONE]" not in sent
    assert completion(sent)["choices"][0]["finish_reason"] == "content_filter"
    assert case.ledger.statuses == ["stopped"]


async def test_a_stream_that_does_not_hear_ends() -> None:
    """Whether it was stopped cannot be known, so nothing more of it is given out."""
    case = Case(FakeReply([CHUNK, CHUNK, DONE]))
    case.switch.unheard, case.switch.after = True, 1

    sent = await case.pieces()

    assert sent.startswith(CHUNK + b'data: {"error"')
    assert b'"code":"halt_unknown"' in sent
    assert case.ledger.statuses == ["stopped"]


async def test_a_stream_of_a_line_knows_whose_it_is() -> None:
    """Team, model and backend of the request count until its end."""
    for scope, name in SCOPES:
        line = Line()
        line.backend.parts, line.backend.content_type = (CHUNK, CHUNK, DONE), "text/event-stream"
        stream = await line.pipeline.handle(STAFF, chat(STREAM_BODY))
        assert isinstance(stream, Stream)
        assert await anext(stream.pieces) == CHUNK

        line.switch.set(halt(scope, name))

        rest = b"".join([piece async for piece in stream.pieces])
        assert b'"code":"halted"' in rest
        assert stream.ended == "halted"


async def test_a_call_of_a_halted_tool_never_reaches_the_agent() -> None:
    """It gets a text instead, so its run ends in order; the rules are not asked."""
    line = Line()
    line.backend.parts = (CALL,)
    line.switch.set(halt("tool", "crm.write"))

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    [choice] = orjson.loads(answer.body)["choices"]
    assert choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"]
    assert "An operator stopped the tool crm.write" in choice["message"]["content"]
    [outcome] = line.data("backend.outcome")
    assert (outcome["status"], outcome["cause"]) == ("stopped", "halted")
    assert [one["stage"] for one in line.rules.asked] == ["request"]


async def test_an_approved_request_is_not_sent(held: Line, desk: Desk) -> None:
    """Set between the claim and the sending: it fails with its cause, and nothing leaves."""
    held.rules.says = HOLD
    view = await held.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await desk.approve(view)
    held.rules.says = ALLOW
    held.switch.set(halt())

    await held.pipeline.resume(view.hold.id)

    assert not held.backend.sent
    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (after.state, after.outcome_reason) == (HoldState.FAILED, "halted")
    assert [one["code"] for one in held.data("exchange.refused")] == ["halted"]


@pytest.mark.parametrize("after", [0, 1])
async def test_an_approved_answer_is_not_released(held: Line, desk: Desk, after: int) -> None:
    """Before the rules were asked again, and after: `hold.released` is not written."""
    held.rules.says = LATER
    view = await held.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await desk.approve(view)
    held.switch.set(halt("team", "sales"), after=after)

    await held.pipeline.resume(view.hold.id)

    assert "hold.released" not in held.ledger.types()
    assert await desk.store.answer(view.hold.id) is None


async def test_rules_are_told_at_resuming(held: Line, desk: Desk) -> None:
    """A rule may read the switch as well; it gets what stands now."""
    held.rules.says = HOLD
    view = await held.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await desk.approve(view)
    held.switch.set(halt(), after=99)

    await held.pipeline.resume(view.hold.id)

    assert held.rules.asked[-1]["context"]["halt"] is True


async def test_an_assistant_is_stopped_by_its_name() -> None:
    """Also once it was admitted: it is asked in place of a model, and so it is stopped as one."""
    legal = Assistant("legal", "gpt-x", "Be brief.", frozenset({"sales"}))
    body = orjson.dumps({**orjson.loads(CHAT_BODY), "model": "assistant/legal"})
    for after in (0, 1, 2):
        line = Line(assistants=Assistants("sha256:0", {"legal": legal}))
        line.switch.set(halt("model", "assistant/legal"), after=after)

        with pytest.raises(Halted):
            await line.pipeline.handle(STAFF, chat(body))

        assert len(line.backend.sent) == (after == 2)
        assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole)


async def test_a_client_of_the_other_api_sees_why_its_stream_ended() -> None:
    """An `error` event after what was said."""
    case = Case(FakeReply([CHUNK, CHUNK, DONE]))
    case.switch.set(halt(), after=1)
    events = ResponseEvents("resp_1")

    told = events.feed(await case.pieces()) + events.end()

    last = orjson.loads(told.strip().split(b"\n\n")[-1].split(b"data: ")[1])
    assert (last["type"], last["code"]) == ("error", "halted")

"""The answer goes back, and its outcome is durable before its last byte."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from sekisho.errors import BackendFailed, LedgerUnavailable
from sekisho.obligations.label_output import LABEL
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from support.release_case import (
    CHUNK,
    DONE,
    JSON_HEADERS,
    LABELLED,
    Case,
    FakeReply,
    outcomes,
    whole,
)


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


async def test_a_fault_of_ours_leaves_no_intent_open() -> None:
    """Even an error nobody thought of gives the intent its outcome."""
    case = Case(FakeReply([CHUNK, KeyError("bug")]))

    with pytest.raises(KeyError):
        await case.pieces()

    assert ["failed"] == [event.data["status"] for event in case.later]


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


async def test_an_outcome_nobody_waits_for_names_the_request_too() -> None:
    case = Case(FakeReply([BackendFailed("gone", code="backend_failed")]))
    await case.pieces()
    assert [event.data["backend_request"] for event in case.ledger.events] == ["r1"]

"""A stream goes on as it comes; its closing mark, and what it calls, wait for the record."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.answer_stream import ALIVE
from sekisho.content.assemble import completion
from sekisho.errors import BackendFailed
from sekisho.obligations.label_output import LABEL
from sekisho.releasing import relay
from sekisho.releasing.relay import Stream
from support.release_case import (
    CHUNK,
    DONE,
    LABELLED,
    Case,
    FakeReply,
)

CALL = (
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","type":"function",'
    b'"function":{"name":"f","arguments":"{}"}}]}}]}\n\n'
)
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'


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
    """What came is relayed, then every SDK raises on the error event. The record says how much went
    out: somebody has had it.
    """
    case = Case(FakeReply([CHUNK, BackendFailed("broke off", code="backend_cut")]))

    sent = await case.pieces()

    assert sent.startswith(CHUNK)
    assert "backend_cut" == json.loads(sent.split(b"data: ")[-1])["error"]["code"]
    assert ["failed"] == case.ledger.statuses
    assert [1] == [event.data["chunks"] for event in case.ledger.events]


async def test_an_endless_answer_is_stopped() -> None:
    """Memory for the record is bounded; the outcome says stopped."""
    case = Case(FakeReply([CHUNK] * 100))

    sent = await case.pieces(bytes_max=500)

    assert b"answer_too_large" in sent
    assert ["stopped"] == case.ledger.statuses


CALLING = (
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","function":'
    b'{"name":"crm.write","arguments":"{}"}}]}}]}\n\n'
)


@given(st.lists(st.integers(1, len(CHUNK + CALLING + DONE) - 1), max_size=6))
def test_a_call_waits_for_the_record_however_the_stream_is_cut(cuts: list[int]) -> None:
    """For any cut of the bytes, no byte of a tool call leaves before the outcome is durable."""
    whole = CHUNK + CALLING + DONE
    places = sorted({0, *cuts, len(whole)})
    parts = [whole[a:b] for a, b in pairwise(places)]

    async def check() -> None:
        case = Case(FakeReply(parts))
        stream = await case.run()
        assert isinstance(stream, Stream)
        sent = b""
        async for piece in stream.pieces:
            sent += piece
            if len(sent) > len(CHUNK):
                assert ["released"] == case.ledger.statuses
        assert whole == sent

    asyncio.run(check())


async def test_a_stream_that_breaks_off_after_a_call_never_gives_it_on() -> None:
    """The error event stands in its place."""
    case = Case(FakeReply([CHUNK, CALLING, BackendFailed("cut")]))

    sent = await case.pieces()

    assert sent.startswith(CHUNK)
    assert b"crm.write" not in sent
    assert ["failed"] == case.ledger.statuses


async def test_a_client_that_hangs_up_while_a_call_is_judged_gets_none_of_it() -> None:
    """Cancelled, with what came on record."""
    case = Case(FakeReply([CHUNK, CALLING, DONE]))
    stream = await case.run()
    assert isinstance(stream, Stream)
    assert CHUNK == await anext(stream.pieces)

    await stream.close()

    assert ["cancelled"] == case.ledger.statuses


async def test_a_call_that_two_parsers_read_differently_is_withheld() -> None:
    """Allowed as we read it, and another as a client might."""
    twice = CALLING.replace(b'"name":"crm.write"', b'"name":"rm","name":"crm.write"')
    case = Case(FakeReply([CHUNK, twice, DONE]))

    sent = await case.pieces()

    assert sent.startswith(CHUNK)
    assert b"crm.write" not in sent.removeprefix(CHUNK)
    assert b'"rm"' not in sent
    assert ["stopped"] == case.ledger.statuses


async def test_while_calls_are_kept_back_the_client_hears_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Comments between whole events, none of what is kept back, and the calls in the end."""
    monkeypatch.setattr(relay, "ALIVE_S", 0)
    case = Case(FakeReply([CHUNK + CALL[:-4], CALL[-4:], END, DONE]))
    stream = await case.run()
    assert isinstance(stream, Stream)

    pieces = [piece async for piece in stream.pieces]

    assert ALIVE in pieces
    assert all(b"tool_calls" not in piece for piece in pieces[:-1])
    assert CHUNK + CALL + END + DONE == b"".join(pieces).replace(ALIVE, b"")

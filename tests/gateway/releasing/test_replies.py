"""What a backend replied: answers go through, its troubles become ours."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sekisho.errors import BackendFailed
from sekisho.releasing.replies import Whole, check_plain
from support.release_case import (
    DONE,
    JSON_HEADERS,
    Case,
    FakeReply,
    outcomes,
    whole,
)


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


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[{"message":{"tool_calls":[]}}],"choices":[]}',
        b'{"choices":[{"tool_calls":[{"a":1}],"message":{"content":"x"}}]}',
        b'{"choices":[{"message":{"content":"a","tool\\u005fcalls":[],"tool\\u005fcalls":[]}}]}',
    ],
)
async def test_an_answer_that_two_parsers_read_differently_is_refused(body: bytes) -> None:
    """What is judged is what is given out; the rest of its words are not worth the check."""
    case = Case(FakeReply([body], headers=JSON_HEADERS), stream=False)

    with pytest.raises(BackendFailed) as caught:
        await case.run()

    assert caught.value.code == "backend_malformed"
    assert ["failed"] == case.ledger.statuses


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_what_is_read_whole_is_read_alike(kind: str) -> None:
    """Else only where there may be a call in it."""
    text = b'{"a":1,"a":2}'
    said = b"data: " + text + b"\n\ndata: [DONE]\n\n" if "event" in kind else text
    whole = Whole(200, {"content-type": kind}, said)

    check_plain(whole, all_of_it=False)
    check_plain(replace(whole, status=400), all_of_it=True)
    with pytest.raises(BackendFailed):
        check_plain(whole, all_of_it=True)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
def test_a_stream_read_whole_has_its_calls_where_they_are_judged(end: bytes) -> None:
    """However its lines end."""
    said = b'data: {"choices":[{"index":0,"message":{"tool_calls":[{"id":"t"}]}}]}' + end

    with pytest.raises(BackendFailed):
        check_plain(Whole(200, {"content-type": "text/event-stream"}, said), all_of_it=False)

"""What clients of each API get of an answer, whole, streamed, or of an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import orjson
import pytest

from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.web.dialects import CHAT, RESPONSES, Dialect, dialect_of

COMPLETION = b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}'
CHUNKS = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]'
JSON = {"content-type": "application/json", "x-sekisho-exchange": "0193-aa"}
EVENTS = {**JSON, "content-type": "text/event-stream; charset=utf-8"}


def test_chat_is_relayed_byte_for_byte() -> None:
    """Whole and in pieces."""
    assert CHAT.told(Whole(200, JSON, COMPLETION)) == COMPLETION
    assert CHAT.told(Whole(200, EVENTS, CHUNKS)) == CHUNKS


def test_an_answer_becomes_a_response() -> None:
    """Under the id of its exchange, for nothing of it is kept."""
    said = orjson.loads(RESPONSES.told(Whole(200, JSON, COMPLETION)))

    assert (said["id"], said["status"]) == ("resp_0193aa", "completed")
    assert said["output"][0]["content"][0]["text"] == "hi"


def test_a_gathered_stream_becomes_events() -> None:
    """Also if its closing mark has no line end."""
    said = RESPONSES.told(Whole(200, EVENTS, CHUNKS))

    assert said.count(b"event: response.completed\n") == 1


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES])
def test_errors_are_the_same_in_both(dialect: Dialect) -> None:
    """OpenAI's error body has one form."""
    error = b'{"error":{"message":"no"}}'

    assert dialect.told(Whole(400, JSON, error)) == error


async def test_closing_the_events_closes_the_stream_behind() -> None:
    """A client that leaves must end the backend's work too."""
    closed: list[bool] = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield CHUNKS[:60]
            yield CHUNKS[60:]
        finally:
            closed.append(True)

    stream = Stream(200, EVENTS)
    stream.pieces = pieces()
    RESPONSES.telling(stream)

    assert (await anext(stream.pieces)).startswith(b"event: response.created\n")
    await stream.pieces.aclose()

    assert closed == [True]


def test_each_endpoint_has_its_dialect() -> None:
    """By the name it has in facts and events."""
    assert [dialect_of(one.endpoint) for one in (CHAT, RESPONSES)] == [CHAT, RESPONSES]

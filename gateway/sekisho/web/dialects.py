"""The API that a client speaks: how its results are named, and what an answer looks like in it.

Behind the gate everything is a chat completion. A client of the Responses API gets each answer as a
response, whole or as events, with the same words and calls that were judged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.content import responses_request
from sekisho.content.responses_answer import response
from sekisho.content.responses_stream import ResponseEvents
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole

Pieces = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API. `path` is where requests are posted; results are below it, under `prefix` and the id
    of their hold. `retrieve` is the part of its SDKs that fetches a result.

    `whole`, `events` and `pieces` make what the client gets of a completion, of all its chunks, and
    of chunks as they come; each is told the id of the result.
    """

    endpoint: str
    path: str
    prefix: str
    retrieve: str
    whole: Callable[[bytes, str], bytes]
    events: Callable[[bytes, str], bytes]
    pieces: Callable[[Pieces, str], Pieces]

    def told(self, reply: Whole) -> bytes:
        """The body of an answer that was never held."""
        if reply.status != HTTPStatus.OK:
            return reply.body
        tell = self.events if reply.streamed else self.whole
        return tell(reply.body, self.unheld(reply.headers))

    def telling(self, stream: Stream) -> None:
        """Have a stream under way speak this API."""
        stream.pieces = self.pieces(stream.pieces, self.unheld(stream.headers))

    def unheld(self, headers: Mapping[str, str]) -> str:
        """A name for what is not kept, so not found under it later."""
        return self.prefix + headers["x-sekisho-exchange"].replace("-", "")


def dialect_of(endpoint: str) -> Dialect:
    """The API that a request came by."""
    return CHAT if endpoint == CHAT.endpoint else RESPONSES


def _as_it_is(said: Any, _: str) -> Any:
    return said


def _response(body: bytes, result_id: str) -> bytes:
    return orjson.dumps(response(orjson.loads(body), result_id))


def _events(body: bytes, result_id: str) -> bytes:
    events = ResponseEvents(result_id)
    return events.feed(body) + events.end()


async def _pieces(pieces: Pieces, result_id: str) -> Pieces:
    events = ResponseEvents(result_id)
    async with aclosing(pieces):
        async for piece in pieces:
            if said := events.feed(piece):
                yield said
        if said := events.end():
            yield said


CHAT = Dialect(
    "chat.completions",
    "/v1/chat/completions",
    "chatcmpl-",
    "client.chat.completions",
    _as_it_is,
    _as_it_is,
    _as_it_is,
)
RESPONSES = Dialect(
    responses_request.ENDPOINT,
    "/v1/responses",
    "resp_",
    "client.responses",
    _response,
    _events,
    _pieces,
)

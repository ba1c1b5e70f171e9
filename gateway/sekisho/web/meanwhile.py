"""What a client hears that asked for a stream, while its answer is read whole or waits for people.

    comments      from the first moment on, so that neither it nor a proxy gives the connection up
    the answer    as the stream that was asked for, once it may be seen
    an error      as the stream's last event, with the words that a status would have come with

It gets the status 200 before anybody knows how it ends, so this is only for answers that take too
long to keep the status free any longer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial
from http import HTTPStatus

import orjson

from sekisho.content.answer_stream import ALIVE, ALIVE_S, as_stream
from sekisho.errors import SekishoError
from sekisho.releasing.gathering import Gathering
from sekisho.releasing.relay import Stream, error_event
from sekisho.releasing.replies import EVENTS, Whole
from sekisho.web.dialects import Dialect
from sekisho.web.problems import problem
from sekisho.web.waiting import Waiting


class Meanwhile:
    """One per worker; keeps nothing of any client."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def stream(
        self,
        gathering: Gathering,
        dialect: Dialect,
        *,
        language: str,
        for_people: Callable[[], bool],
    ) -> Stream:
        """The stream of an answer that is not there yet. `for_people` is called when it waits for
        people from now on: whether there is a place for that; if not, it is told where it is kept.
        """
        stream = Stream(HTTPStatus.OK, {**gathering.headers, "content-type": EVENTS})
        stream.pieces = self._pieces(gathering, dialect, stream, language, for_people)
        stream.abandon = partial(_abandon, gathering, stream)
        return stream

    async def _pieces(
        self,
        gathering: Gathering,
        dialect: Dialect,
        stream: Stream,
        language: str,
        for_people: Callable[[], bool],
    ) -> AsyncGenerator[bytes, None]:
        yield ALIVE
        while not await gathering.has_ended(ALIVE_S):
            yield ALIVE
        name = dialect.unheld(gathering.headers)
        try:
            ended = gathering.task.result()
            if isinstance(ended, Whole):
                yield dialect.events(_chunks(ended), name)
                return
            stream.ended = "held"
            name = dialect.prefix + ended.hold.id
            placed = for_people()
            while placed and self._waiting.goes_on(ended):
                ended = await self._waiting.waited(ended, ALIVE_S)
                await self._waiting.check(ended)
                yield ALIVE
            reply = await self._waiting.told(ended, as_json=False)
        except SekishoError as error:
            stream.ended = error.code
            yield dialect.events(_error(problem(error, language=language)[2]), name)
            return
        yield (
            reply.body
            if reply.status == HTTPStatus.OK
            else dialect.events(_error(reply.body), name)
        )


def _chunks(whole: Whole) -> bytes:
    """The answer, or what the backend said instead, as a stream."""
    if whole.streamed:
        return whole.body
    if whole.status == HTTPStatus.OK:
        return as_stream(orjson.loads(whole.body))
    return _error(whole.body)


def _error(body: bytes) -> bytes:
    """An error's body as the last event of a stream."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("error"), dict):
        return error_event("backend_failed", "The backend refused it without a word.")
    return b"data: " + orjson.dumps(said) + b"\n\n"


async def _abandon(gathering: Gathering, stream: Stream) -> None:
    if not gathering.task.done():
        stream.ended = "cancelled"
    await gathering.close(stream.cause)

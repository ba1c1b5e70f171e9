"""Responses asked for with `background: true`: the client does not wait, it comes back.

    POST                    at once, `queued`; or the stream of its events, from the first
    GET                     how it stands: queued, in_progress, completed, failed, cancelled
    GET ?stream=true        its events after `starting_after`, as they come
    POST .../cancel         taken back while people are asked

It is kept as a hold, and sent by whichever worker wins its claim, so that it needs no client and
outlives any worker. Where people are asked, the same reviews count; the answer never says more than
a waiting client would get. Only who asked can read it; for anyone else it is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.content.answer_stream import ALIVE, ALIVE_S, as_stream
from sekisho.content.responses_answer import failed, response, started
from sekisho.content.responses_stream import ResponseEvents
from sekisho.errors import BadRequest, Halted, HaltUnknown
from sekisho.holding.deliver import json_of
from sekisho.holding.review import withdraw
from sekisho.holding.wait import wait
from sekisho.model.hold import WAITING, HoldState, HoldView
from sekisho.model.principal import Principal
from sekisho.ports import HoldStore, Ledger
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import EVENTS
from sekisho.web.dialects import RESPONSES
from sekisho.web.waiting import Reply, Waiting, headers_of

NUMBER_DIGITS_MAX = 9  # more events than any answer has


class Background:
    """Holds as clients meet them that come back for the answer.

    `launch` starts sending an approved hold on this worker; a stream is ended after `stream_s`, and
    the client takes it up again where it was.
    """

    def __init__(
        self,
        waiting: Waiting,
        holds: HoldStore,
        ledger: Ledger,
        *,
        launch: Callable[[str], None],
        stream_s: float,
    ) -> None:
        self._waiting = waiting
        self._holds = holds
        self._ledger = ledger
        self._launch = launch
        self._stream_s = stream_s

    async def posted(self, view: HoldView) -> Reply | Stream:
        """What the POST gets at once."""
        if view.state is HoldState.APPROVED:
            self._launch(view.hold.id)
        if view.hold.stream:
            return self._events(view, after=-1)
        return await self._told(view)

    async def retrieve(
        self, result_id: str, principal: Principal, query: Mapping[str, str]
    ) -> Reply | Stream:
        """How it stands, or its events. A response that was not asked for in the background is
        retrieved as any other.
        """
        view = await self._waiting.found(result_id, principal, RESPONSES)
        streamed = query.get("stream", "false") == "true"
        if not view.hold.background:
            if streamed:
                message = "Only a response asked for with background: true is streamed again."
                raise BadRequest(message, param="stream")
            return await self._waiting.retrieve(result_id, principal, RESPONSES)
        if streamed:
            return self._events(view, after=_number(query.get("starting_after", "-1")))
        return await self._told(view)

    async def cancel(self, result_id: str, principal: Principal) -> Reply:
        """Take it back while people are asked; what was sent or decided stays as it is."""
        view = await self._waiting.found(result_id, principal, RESPONSES)
        if not view.hold.background:
            raise BadRequest("Only a response asked for with background: true can be cancelled.")
        now = await self._waiting.followed(view)
        if now.state is HoldState.PENDING:
            await withdraw(self._holds, self._ledger, principal, now.hold.id)
        return await self._told(await self._waiting.found(result_id, principal, RESPONSES))

    async def _told(self, view: HoldView) -> Reply:
        headers = headers_of(view, "application/json")
        return Reply(HTTPStatus.OK, headers, orjson.dumps(await self._response(view)))

    async def _response(self, view: HoldView) -> dict[str, Any]:
        """The response as it stands."""
        name, head = RESPONSES.prefix + view.hold.id, _head(view)
        now = await self._waiting.followed(view)
        told: dict[str, Any]
        await self._waiting.check(now)
        if now.state in WAITING:
            sent = now is not view or now.state is HoldState.DISPATCHING
            told = started(head, name, "in_progress" if sent else "queued")
            if now.hold.thresholds:
                told["approval"] = self._waiting.approval(now)
        else:
            told = await self._ended(now, name, head)
        return {**told, "background": True}

    async def _ended(self, now: HoldView, name: str, head: Mapping[str, Any]) -> dict[str, Any]:
        stored = await self._waiting.answer(now)
        if stored is None:
            error = self._waiting.error(now)
            status = "cancelled" if now.state is HoldState.WITHDRAWN else "failed"
            why = {"code": error.code, "message": error.message}
            return failed(head, name, status, why if status == "failed" else None)
        if stored.status != HTTPStatus.OK:
            return failed(head, name, "failed", _error_in(stored.body))
        completion = orjson.loads(json_of(stored))
        if isinstance(completion.get("error"), dict):  # it broke off in mid-stream
            return failed(head, name, "failed", _error_in(orjson.dumps(completion)))
        return response(completion, name)

    def _events(self, view: HoldView, after: int) -> Stream:
        headers = {
            "content-type": EVENTS,
            "x-sekisho-exchange": view.hold.exchange,
            "x-sekisho-hold": view.hold.id,
        }
        stream = Stream(HTTPStatus.OK, headers)
        stream.pieces = self._pieces(view, after)
        stream.abandon = _nothing
        return stream

    async def _pieces(self, view: HoldView, after: int) -> AsyncGenerator[bytes, None]:
        name = RESPONSES.prefix + view.hold.id
        events = ResponseEvents(name, queued=True, after=after)
        yield events.begin(_head(view)) or ALIVE
        clock = asyncio.get_running_loop().time
        until_s = clock() + self._stream_s
        try:
            while (now := await self._waiting.followed(view)).state in WAITING:
                await self._waiting.check(now)
                if clock() >= until_s:
                    return
                stopped = partial(self._waiting.is_stopped, now)
                hold_id, launch = now.hold.id, self._launch
                await wait(hold_id, self._holds, ALIVE_S, on_approved=launch, stopped=stopped)
                yield ALIVE
                view = await self._holds.get(view.hold.id) or view
            stored = await self._waiting.answer(now)
        except (Halted, HaltUnknown) as error:
            why = {"code": error.code, "message": error.message}
            yield events.fail({**failed(_head(view), name, "failed", why), "background": True})
            return
        if stored is not None and stored.status == HTTPStatus.OK:
            yield events.feed(as_stream(orjson.loads(json_of(stored))))
        else:
            yield events.fail(await self._response(view))


def _head(view: HoldView) -> dict[str, Any]:
    """What is known before there is an answer."""
    return {"created": view.hold.created_us // 1_000_000, "model": view.hold.model}


def _error_in(body: bytes) -> dict[str, str]:
    """What the backend refused it with, or broke it off with, as far as it says."""
    try:
        error = orjson.loads(body)["error"]
        return {"code": str(error.get("code")), "message": str(error.get("message"))}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return {"code": "backend_failed", "message": "The backend refused it without a word."}


def _number(text: str) -> int:
    """Raises BadRequest for what is no sequence number."""
    if text != "-1" and not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
        message = "starting_after is the sequence number of the last event that you have."
        raise BadRequest(message, param="starting_after")
    return int(text)


async def _nothing() -> None:
    """There is no backend behind it to let go of."""

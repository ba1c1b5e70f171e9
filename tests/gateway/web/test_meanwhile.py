"""What a client hears while its streamed answer is read whole; real line, real store of holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from sekisho.content.answer_stream import ALIVE
from sekisho.errors import BackendFailed
from sekisho.holding import file
from sekisho.model.decision import Effect, HoldTerms
from sekisho.releasing.gathering import Gathering
from sekisho.releasing.relay import Stream
from sekisho.web import meanwhile
from sekisho.web.dialects import CHAT, RESPONSES, Dialect
from sekisho.web.meanwhile import Meanwhile
from sekisho.web.waiting import Waiting
from support.holds import LIMITS, ONE_REVIEW, REVIEWER, STAFF, Desk, SystemClock
from support.line import Line, chat, decision
from support.memory_ledger import MemoryLedger
from support.switch import halt

WHOLE = decision(Effect.ALLOW, review_response=True)
HELD = decision(Effect.ALLOW, hold_later=(HoldTerms("response", ONE_REVIEW, 600, 10),))
ASKED = b'{"model":"gpt-x","messages":[{"role":"user","content":"hello"}],"stream":true}'
CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}'
STREAMED = (CHUNK + b"\n\n", b"data: [DONE]\n\n")
DIALECTS = pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=["chat", "responses"])


def _room() -> bool:
    """There is room for whoever waits for people."""
    return True


class Case:
    """A slow backend, a client that asked for a stream, and what it has heard."""

    def __init__(self, desk: Desk, ledger: MemoryLedger, says: Any = WHOLE) -> None:
        self.desk = desk
        self.line = Line(holds=desk.store, ledger=ledger, silent_s_max=0)
        self.line.rules.says = says
        self.line.backend.gate = asyncio.Event()
        self.line.backend.parts = STREAMED
        self.line.backend.content_type = "text/event-stream"
        self.launched: list[str] = []
        self.waiting = Waiting(
            desk.store,
            ledger,
            SystemClock(),
            limits=LIMITS,
            public_url="https://gw.example",
            launch=self.launched.append,
            halts=self.line.switch,
        )
        self.heard: list[bytes] = []

    async def begin(
        self, dialect: Dialect, for_people: Callable[[], bool] = _room, language: str = "en"
    ) -> Stream:
        gathering = await self.line.pipeline.handle(STAFF, chat(ASKED))
        assert isinstance(gathering, Gathering)
        return Meanwhile(self.waiting).stream(
            gathering, dialect, language=language, for_people=for_people
        )

    async def listen(self, stream: Stream) -> None:
        """Until its end."""
        async for piece in stream.pieces:
            self.heard.append(piece)
        await stream.close()

    def answers(self) -> None:
        assert self.line.backend.gate is not None
        self.line.backend.gate.set()

    async def is_sent(self) -> None:
        """Until the backend has it."""
        async with asyncio.timeout(20):
            while not self.line.backend.sent:
                await asyncio.sleep(0.01)

    async def is_held(self) -> None:
        """Until people are asked about its answer."""
        async with asyncio.timeout(20):
            while not await self.desk.store.list_open(9):
                await asyncio.sleep(0.01)

    async def heard_alive(self, times: int) -> None:
        async with asyncio.timeout(20):
            while len(self.heard) < times:
                await asyncio.sleep(0.01)
        assert set(self.heard) == {ALIVE}

    async def approved(self) -> None:
        """A reviewer approves what is held, and a worker finishes it."""
        await self.is_held()
        cards = await self.desk.store.list_open(9)
        view = await self.desk.store.get(cards[0].id)
        assert view is not None
        await self.desk.approve(view, REVIEWER)
        async with asyncio.timeout(20):
            while not self.launched:
                await asyncio.sleep(0.01)
        await self.line.pipeline.resume(view.hold.id)

    @property
    def last(self) -> bytes:
        return self.heard[-1]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment every 20 ms, so that a test hears some."""
    monkeypatch.setattr(meanwhile, "ALIVE_S", 0.02)


@DIALECTS
@pytest.mark.usefixtures("_quick")
async def test_comments_then_the_answer(desk: Desk, ledger: MemoryLedger, dialect: Dialect) -> None:
    """Nothing of it is told before all of it was judged and the outcome is on record."""
    case = Case(desk, ledger)
    stream = await case.begin(dialect)
    assert ("text/event-stream", 200) == (stream.headers["content-type"], stream.status)
    hearing = asyncio.create_task(case.listen(stream))
    await case.heard_alive(3)
    case.answers()
    await hearing

    assert {ALIVE} == set(case.heard[:-1])
    if dialect is CHAT:
        assert b"".join(STREAMED) == case.last
    else:
        assert b"response.created" in case.last
        assert b"response.completed" in case.last
    assert ["released"] == [one["status"] for one in case.line.data("backend.outcome")]
    assert "ok" == stream.ended


@DIALECTS
@pytest.mark.usefixtures("_quick")
async def test_comments_until_people_have_answered(
    desk: Desk, ledger: MemoryLedger, dialect: Dialect
) -> None:
    """The same connection brings the approved answer; who waits for people is asked for a place."""
    case, places = Case(desk, ledger, HELD), []

    def for_people() -> bool:
        places.append("people")
        return True

    hearing = asyncio.create_task(case.listen(await case.begin(dialect, for_people)))
    await case.heard_alive(2)
    case.answers()
    await case.approved()
    await hearing

    assert {ALIVE} == set(case.heard[:-1])
    assert b'"hi"' in case.last
    assert ["people"] == places
    assert 1 == len(case.line.backend.sent)


@DIALECTS
@pytest.mark.usefixtures("_quick")
async def test_a_denied_answer_is_an_error_at_the_end(
    desk: Desk, ledger: MemoryLedger, dialect: Dialect
) -> None:
    """With the rule's words in the client's language, nothing of the answer in it."""
    case = Case(desk, ledger)
    case.line.rules.later["response"] = decision(Effect.DENY)
    stream = await case.begin(dialect)
    case.answers()
    await case.listen(stream)

    assert b"answer_denied" in case.last
    assert b'"hi"' not in b"".join(case.heard)
    assert "answer_denied" == stream.ended


@pytest.mark.usefixtures("_quick")
async def test_not_in_time_says_where_it_is_kept(
    desk: Desk, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream ends with what a 428 says, with the hold beside the words."""
    case = Case(desk, ledger, HELD)
    monkeypatch.setattr(case.waiting, "goes_on", lambda _: False)
    stream = await case.begin(CHAT)
    case.answers()
    await case.listen(stream)

    error = orjson.loads(case.last.removeprefix(b"data: "))["error"]
    assert "approval_pending" == error["code"]
    assert "response" == error["approval"]["stage"]


async def test_no_room_for_who_waits_for_people(desk: Desk, ledger: MemoryLedger) -> None:
    """It was sent and is kept: told is where, and not that nothing was sent."""
    case = Case(desk, ledger, HELD)
    stream = await case.begin(CHAT, lambda: False)
    case.answers()
    await case.listen(stream)

    error = orjson.loads(case.last.removeprefix(b"data: "))["error"]
    assert "approval_pending" == error["code"]
    [card] = await desk.store.list_open(9)
    assert card.id == error["approval"]["id"]


@pytest.mark.usefixtures("_quick")
async def test_what_an_operator_stops_while_people_are_asked_is_told_at_once(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """One error, and no storm of comments until the time of waiting is over."""
    case = Case(desk, ledger, HELD)
    hearing = asyncio.create_task(case.listen(await case.begin(CHAT)))
    case.answers()
    await case.is_held()
    case.line.switch.set(halt())
    async with asyncio.timeout(20):
        await hearing

    assert b'"halted"' in case.last


async def test_what_an_operator_stops_at_the_backend_ends_at_its_next_chunk(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """As a stream that is relayed: the rest is not read, nothing of it is given out."""
    case = Case(desk, ledger)
    stream = await case.begin(CHAT)
    await case.is_sent()
    case.line.switch.set(halt())
    case.line.backend.parts = (*STREAMED[:1] * 3, BackendFailed("never read"))  # type: ignore[assignment]
    case.answers()
    await case.listen(stream)

    assert b'"halted"' in case.last
    [outcome] = case.line.data("backend.outcome")
    assert ("stopped", "halted") == (outcome["status"], outcome["cause"])


async def test_an_equal_request_waits_with_comments_for_the_one_under_way(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """And gets its hold: sent once, nobody is told to come back."""
    case = Case(desk, ledger, HELD)
    streams = [await case.begin(CHAT), await case.begin(CHAT)]
    hearing = [asyncio.create_task(case.listen(one)) for one in streams]
    case.answers()
    await case.is_held()
    await asyncio.sleep(10 * file._APPEAR_POLL_S)
    await case.approved()
    await asyncio.gather(*hearing)

    assert 2 == sum(b'"hi"' in piece for piece in case.heard)
    assert 1 == len(case.line.backend.sent)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b'{"error":{"message":"No.","code":"bad"}}', b'"bad"'),
        (b"<html>", b"backend_failed"),
        (b'{"error":"no"}', b"backend_failed"),
        (b"[]", b"backend_failed"),
    ],
)
def test_an_error_body_as_an_event(said: bytes, code: bytes) -> None:
    """Whatever a backend said, it is one event that every SDK raises on."""
    event = meanwhile._error(said)

    assert event.startswith(b"data: {")
    assert event.count(b"\n") == 2
    assert code in event


async def test_a_failed_backend_is_told(desk: Desk, ledger: MemoryLedger) -> None:
    """By its code, as in any other stream."""
    case = Case(desk, ledger)
    case.line.backend.fails = [BackendFailed("The backend is down.")]
    stream = await case.begin(CHAT)
    case.answers()
    await case.listen(stream)

    assert b"The backend is down." in case.last
    assert ["failed"] == [one["status"] for one in case.line.data("backend.outcome")]


@pytest.mark.parametrize("begun", [True, False])
async def test_a_client_that_leaves_ends_it(
    desk: Desk, ledger: MemoryLedger, *, begun: bool
) -> None:
    """Whether or not it had heard a word: the outcome is given, and an equal request is new."""
    case = Case(desk, ledger)
    stream = await case.begin(CHAT)
    await case.is_sent()
    if begun:
        assert ALIVE == await anext(stream.pieces)

    await stream.close()

    assert ["cancelled"] == [one["status"] for one in case.line.data("backend.outcome")]
    case.answers()
    again = await case.begin(CHAT)
    await case.listen(again)
    assert b'"hi"' in case.last

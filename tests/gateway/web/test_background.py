"""Clients that come back: kept, sent once by whoever wins, told as it stands; a real store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from sekisho.content import assemble
from sekisho.errors import (
    BackendFailed,
    BadRequest,
    Halted,
    HoldStoreUnavailable,
    JustificationRequired,
    LedgerUnavailable,
    NotFound,
)
from sekisho.holding.sweep import Sweep
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.principal import Principal
from sekisho.releasing.relay import Stream
from sekisho.stages.receive import RawRequest
from sekisho.web.background import Background
from sekisho.web.dialects import RESPONSES
from sekisho.web.waiting import Reply, Waiting
from support.holds import LIMITS, ONE_REVIEW, REVIEWER, STAFF, STRANGER, Desk, SystemClock
from support.line import HOLD, Line, decision
from support.memory_ledger import MemoryLedger
from support.switch import halt

LATER = decision(Effect.ALLOW, hold_later=(HoldTerms("response", ONE_REVIEW, 600, 10),))


def asked(*, background: bool = True, **more: Any) -> RawRequest:
    """A request of the Responses API."""
    body = {"model": "gpt-x", "input": "hello", "background": background, **more}
    return RawRequest("responses", orjson.dumps(body), "127.0.0.1")


@dataclass
class Room:
    """A line with a real store, and what clients meet that come back."""

    desk: Desk
    line: Line
    launched: list[str] = field(default_factory=list)
    stream_s: float = 30

    def __post_init__(self) -> None:
        store, ledger = self.desk.store, self.line.ledger
        url = "https://gate.example"
        waiting = Waiting(
            *(store, ledger, SystemClock()),
            limits=LIMITS,
            public_url=url,
            launch=self._launch,
            halts=self.line.switch,
        )
        self.background = Background(
            waiting, store, ledger, launch=self._launch, stream_s=self.stream_s
        )

    def _launch(self, hold_id: str) -> None:
        self.launched.append(hold_id)

    async def post(self, raw: RawRequest) -> HoldView:
        """The hold that stands for a request."""
        view = await self.line.pipeline.handle(STAFF, raw)
        assert isinstance(view, HoldView)
        return view

    async def stands(self, view: HoldView, who: Principal = STAFF, **query: str) -> dict[str, Any]:
        """The response as it is told now."""
        reply = await self.background.retrieve(RESPONSES.prefix + view.hold.id, who, query)
        assert isinstance(reply, Reply)
        assert reply.status == 200
        told: dict[str, Any] = orjson.loads(reply.body)
        return told

    async def cancel(self, view: HoldView) -> dict[str, Any]:
        """Take it back."""
        reply = await self.background.cancel(RESPONSES.prefix + view.hold.id, STAFF)
        told: dict[str, Any] = orjson.loads(reply.body)
        return told


async def events_of(stream: Reply | Stream) -> list[dict[str, Any]]:
    """All events of a stream."""
    assert isinstance(stream, Stream)
    body = b"".join([piece async for piece in stream.pieces])
    return [orjson.loads(data) for data in assemble.events(body)]


@pytest.fixture
def room(desk: Desk, ledger: MemoryLedger) -> Room:
    return Room(desk, Line(holds=desk.store, ledger=ledger))


async def test_what_is_allowed_starts_at_once_and_is_there_later(room: Room) -> None:
    """Nobody waits and nobody is asked; the answer is one fetch away, as often as wanted."""
    view = await room.post(asked())

    first = await room.background.posted(view)
    assert isinstance(first, Reply)
    told = orjson.loads(first.body)
    assert (told["status"], told["background"], told["output"]) == ("queued", True, [])
    assert "approval" not in told
    assert room.launched == [view.hold.id]

    await room.line.pipeline.resume(view.hold.id)

    for _ in range(2):
        done = await room.stands(view)
        assert (done["status"], done["id"]) == ("completed", told["id"])
        assert done["output"][0]["content"][0]["text"] == "hi"
    assert len(room.line.backend.sent) == 1
    assert b"background" not in room.line.backend.sent[0]
    filed, settled = room.line.data("hold.filed")[0], room.line.data("hold.settled")[0]
    assert (filed["background"], "thresholds" in filed) == (True, False)
    assert (settled["state"], list(settled["reviews"])) == ("approved", [])


async def test_what_people_are_asked_about_waits_for_them(room: Room) -> None:
    """Queued until they answer, with where to look; then sent once."""
    room.line.rules.says = HOLD
    view = await room.post(asked())

    told = await room.stands(view)
    assert (told["status"], view.state) == ("queued", HoldState.PENDING)
    assert told["approval"]["url"] == f"https://gate.example/approvals/{view.hold.id}"
    assert room.line.backend.sent == []

    await room.desk.approve(view)
    await room.line.pipeline.resume(view.hold.id)

    assert (await room.stands(view))["status"] == "completed"
    assert len(room.line.backend.sent) == 1


async def test_a_held_answer_is_in_progress_and_then_completed(room: Room) -> None:
    """One id from first to last, though the answer has a hold of its own; nothing of it before."""
    room.line.rules.says = LATER
    view = await room.post(asked())
    await room.line.pipeline.resume(view.hold.id)

    told = await room.stands(view)
    assert (told["status"], told["output"]) == ("in_progress", [])
    later = (await room.desk.store.list_open(10))[0]
    assert told["approval"]["id"] == later.id != view.hold.id

    held = await room.desk.store.get(later.id)
    assert held is not None
    await room.desk.approve(held)
    await room.line.pipeline.resume(later.id)

    done = await room.stands(view)
    assert (done["status"], done["id"]) == ("completed", told["id"])


@pytest.mark.parametrize(
    ("decide", "status", "code"),
    [("deny", "failed", "approval_denied"), ("withdraw", "cancelled", None)],
)
async def test_what_comes_to_nothing_says_why(
    room: Room, decide: str, status: str, code: str | None
) -> None:
    """Denied is failed, with the reviewer's reason; taken back is cancelled."""
    room.line.rules.says = HOLD
    view = await room.post(asked())
    if decide == "deny":
        await room.desk.review(view, REVIEWER, "deny", "too much")
    else:
        assert (await room.cancel(view))["status"] == "cancelled"

    told = await room.stands(view)

    assert told["status"] == status
    assert (told["error"] or {}).get("code") == code
    assert room.line.backend.sent == []


async def test_a_backend_that_fails_fails_the_response(room: Room) -> None:
    """It is not sent again."""
    room.line.backend.fails = [BackendFailed("It is down.")]
    view = await room.post(asked())
    await room.line.pipeline.resume(view.hold.id)

    told = await room.stands(view)

    assert (told["status"], told["error"]["code"]) == ("failed", "backend_failed")
    assert len(room.line.backend.sent) == 1


async def test_an_answer_that_broke_off_is_failed(room: Room) -> None:
    """Half an answer and an error is none that was completed, polled or streamed."""
    half = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'
    error = b'data: {"error":{"code":"overloaded","message":"Too much."}}\n\n'
    room.line.backend.parts = (half, error)
    room.line.backend.content_type = "text/event-stream"
    view = await room.post(asked(stream=True))
    await room.line.pipeline.resume(view.hold.id)

    told = await room.stands(view)

    assert (told["status"], told["error"]["code"]) == ("failed", "overloaded")
    events = await events_of(await room.background.posted(view))
    assert events[-1]["type"] == "error"


async def test_what_was_sent_is_not_taken_back(room: Room) -> None:
    """Cancelling tells how it stands, and changes nothing."""
    view = await room.post(asked())
    await room.line.pipeline.resume(view.hold.id)

    assert (await room.cancel(view))["status"] == "completed"


async def test_for_anyone_else_it_is_not_there(room: Room) -> None:
    """Neither to read nor to cancel."""
    view = await room.post(asked())
    name = RESPONSES.prefix + view.hold.id

    for who in (STRANGER, REVIEWER):
        with pytest.raises(NotFound):
            await room.background.retrieve(name, who, {})
        with pytest.raises(NotFound):
            await room.background.cancel(name, who)


async def test_a_stream_is_taken_up_again_after_any_event(room: Room) -> None:
    """It begins before there is an answer; afterwards the same events have the same numbers."""
    view = await room.post(asked(stream=True))
    running = asyncio.create_task(events_of(await room.background.posted(view)))
    await asyncio.sleep(0)
    await room.line.pipeline.resume(view.hold.id)

    events = await running

    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    name = RESPONSES.prefix + view.hold.id
    for after in (0, 4, len(events) - 1):
        query = {"stream": "true", "starting_after": str(after)}
        again = await events_of(await room.background.retrieve(name, STAFF, query))
        assert again == events[after + 1 :]


async def test_the_stream_of_what_was_denied_ends_with_why(room: Room) -> None:
    """`response.failed`, as the API has it."""
    room.line.rules.says = HOLD
    view = await room.post(asked(stream=True))
    await room.desk.review(view, REVIEWER, "deny", "too much")

    events = await events_of(await room.background.posted(view))

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "approval_denied"


async def test_a_stream_nobody_answers_ends_and_can_be_taken_up(desk: Desk) -> None:
    """No connection is held for ever."""
    room = Room(desk, Line(holds=desk.store, ledger=MemoryLedger()), stream_s=0)
    room.line.rules.says = HOLD
    view = await room.post(asked(stream=True))

    events = await events_of(await room.background.posted(view))

    assert [event["type"] for event in events] == ["response.created", "response.queued"]


@pytest.mark.parametrize("after", ["x", "-2", "1e3", "9" * 10, "٣"])
async def test_an_odd_number_to_start_after_is_refused(room: Room, after: str) -> None:
    """By its name."""
    view = await room.post(asked())
    query = {"stream": "true", "starting_after": after}

    with pytest.raises(BadRequest) as caught:
        await room.background.retrieve(RESPONSES.prefix + view.hold.id, STAFF, query)

    assert caught.value.param == "starting_after"


async def test_what_was_not_asked_for_in_the_background_is_retrieved_as_ever(room: Room) -> None:
    """428 while people are asked, never a status; it is neither streamed again nor cancelled."""
    room.line.rules.says = HOLD
    view = await room.post(asked(background=False))
    name = RESPONSES.prefix + view.hold.id

    reply = await room.background.retrieve(name, STAFF, {})
    assert isinstance(reply, Reply)
    assert reply.status == 428
    with pytest.raises(BadRequest):
        await room.background.retrieve(name, STAFF, {"stream": "true"})
    with pytest.raises(BadRequest):
        await room.background.cancel(name, STAFF)


async def test_waiting_and_coming_back_are_two_requests(room: Room) -> None:
    """A client that waits never joins one that does not: it would be told `queued`."""
    room.line.rules.says = HOLD

    first = await room.post(asked())
    waits = await room.post(asked(background=False))
    again = await room.post(asked())

    assert first.hold.id == again.hold.id != waits.hold.id


async def test_five_equal_posts_are_one(room: Room) -> None:
    """One hold, one dispatch."""
    views = await asyncio.gather(*(room.post(asked()) for _ in range(5)))

    assert len({view.hold.id for view in views}) == 1
    await asyncio.gather(*(room.line.pipeline.resume(views[0].hold.id) for _ in range(3)))
    assert len(room.line.backend.sent) == 1


async def test_who_must_say_why_is_asked_and_not_queued(room: Room) -> None:
    """Nobody else could end that wait; the answer comes later all the same."""
    room.line.rules.says = decision(Effect.ALLOW, justify=True)
    view = await room.post(asked())

    assert view.unjustified
    assert not view.hold.starts_alone
    with pytest.raises(JustificationRequired):
        raise room.background._waiting.error(view)

    await room.desk.justify(view)
    await room.line.pipeline.resume(view.hold.id)
    assert (await room.stands(view))["status"] == "completed"


@pytest.mark.parametrize("fault", ["never proposed", "never recorded", "reply lost"])
async def test_what_was_kept_is_started_whatever_failed(room: Room, fault: str) -> None:
    """Any worker's sweep starts it, without waiting for its end; it is sent once."""
    view = await _filed_only(room, fault)

    sweep = Sweep(room.desk.store, room.line.ledger, room.line.pipeline.resume)
    for _ in range(200):
        await sweep.once()
        if (await room.stands(view))["status"] == "completed":
            break
        await asyncio.sleep(0.05)
    await sweep.stop()

    assert (await room.stands(view))["status"] == "completed"
    assert len(room.line.backend.sent) == 1
    assert len(room.line.data("hold.settled")) == 1
    assert room.line.data("request.refused") == []


async def _filed_only(room: Room, fault: str) -> HoldView:
    """What the POST gets whose hold was kept, and not started for a fault of store or ledger."""
    ledger, append = room.line.ledger, room.line.ledger.append
    store, propose = room.desk.store, room.desk.store.propose

    async def away(*_: Any) -> Any:
        raise HoldStoreUnavailable("The store is away.")

    async def lost(events: Any) -> Any:
        settled = any(event.type == "hold.settled" for event in events)
        if settled and fault == "never recorded":
            raise LedgerUnavailable("The ledger is away.")
        places = await append(events)
        if settled:
            raise LedgerUnavailable("The reply was lost.")
        return places

    if fault == "never proposed":
        store.propose = away  # type: ignore[method-assign]
    else:
        ledger.append = lost  # type: ignore[method-assign]
    view = await room.post(asked())
    ledger.append = append  # type: ignore[method-assign]
    store.propose = propose  # type: ignore[method-assign]
    return view


async def test_what_an_operator_stopped_is_not_given_out_later(room: Room) -> None:
    """Nor told as on its way; when the switch is lifted it is there."""
    view = await room.post(asked())
    await room.line.pipeline.resume(view.hold.id)
    room.line.switch.set(halt())

    with pytest.raises(Halted):
        await room.stands(view)

    room.line.switch.set()
    assert (await room.stands(view))["status"] == "completed"


@pytest.mark.parametrize("ready", [False, True])
async def test_a_stream_of_what_was_stopped_ends_with_why(room: Room, ready: bool) -> None:
    """At once, whether or not there is an answer; nothing of it is shown."""
    view = await room.post(asked(stream=True))
    if ready:
        await room.line.pipeline.resume(view.hold.id)
    room.line.switch.set(halt(), after=0 if ready else 1)

    events = await events_of(await room.background.posted(view))

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "halted"
    assert not [one for one in events if "delta" in one["type"]]

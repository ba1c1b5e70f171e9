"""The live queue: nothing missed, nothing of a hold but its card, nobody sees another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from sekisho.errors import HoldStoreUnavailable, NotAuthenticated, Overloaded
from sekisho.holding import desk as desks
from sekisho.model.decision import Threshold
from sekisho.model.principal import Principal, Role
from sekisho.web.live_queue import EACH_MAX, LiveQueue, events
from support.holds import CANARY, REVIEWER, REVIEWER_2, STAFF, Desk, person

LIMIT_S = 20.0


class Listener:
    """Reads a stream as a client would."""

    def __init__(self, desk: Desk, who: Principal = REVIEWER, last_id: str = "") -> None:
        self.principal: Principal | Exception = who
        self.last_id = last_id
        self.heard: list[bytes] = []
        self.frames = events(LiveQueue(), desk.store, self._who, last_id, 30)

    async def _who(self) -> Principal:
        if isinstance(self.principal, Exception):
            raise self.principal
        return self.principal

    async def burst(self) -> list[tuple[str, Any]]:
        """The next events up to the one that ends a burst."""
        found: list[tuple[str, Any]] = []
        async with asyncio.timeout(LIMIT_S):
            async for frame in self.frames:
                self.heard.append(frame)
                if frame.startswith(b":"):
                    continue
                fields = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
                self.last_id = fields.get("id", self.last_id)
                found.append((fields["event"], orjson.loads(fields["data"])))
                if fields["event"] == "current":
                    return found
        message = "the stream ended"
        raise AssertionError(message)


@pytest.fixture
async def listener(desk: Desk) -> AsyncIterator[Listener]:
    one = Listener(desk)
    yield one
    await one.frames.aclose()  # type: ignore[attr-defined]


async def test_it_begins_with_the_queue_and_tells_what_changes(
    desk: Desk, listener: Listener
) -> None:
    """Filed, claimed, decided; each burst ends with an id."""
    view = await desk.file()
    first = await listener.burst()
    assert [event for event, _ in first] == ["reset", "hold", "current"]
    assert (first[1][1]["id"], first[1][1]["claimed_by"]) == (view.hold.id, None)

    await desks.claim(desk.store, REVIEWER_2, view.hold.id)
    (_, card), _ = await listener.burst()
    assert card["claimed_by"] == REVIEWER_2.id
    other = await desk.file("other")
    (_, card), _ = await listener.burst()
    assert card["id"] == other.hold.id
    await desk.approve(view, REVIEWER_2)
    assert await listener.burst() == [("gone", {"id": view.hold.id}), ("current", {"holds": 1})]


async def test_a_hold_comes_when_its_step_opens(desk: Desk, listener: Listener) -> None:
    """And goes from those whose step is over."""
    asked = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))
    officer = person("officer-1", groups=("security",))
    before = Listener(desk, person("officer-2", groups=("security",)))
    view = await desk.file(thresholds=asked)
    assert (await listener.burst())[-1] == ("current", {"holds": 0})
    assert (await before.burst())[-1] == ("current", {"holds": 1})
    await desk.approve(view, officer)
    (_, card), _ = await listener.burst()
    assert (card["id"], card["open_step"], card["may_review"]) == (view.hold.id, 2, True)
    assert await before.burst() == [("gone", {"id": view.hold.id}), ("current", {"holds": 0})]
    await before.frames.aclose()  # type: ignore[attr-defined]


async def test_nothing_of_a_hold_is_in_it_but_its_card(desk: Desk, listener: Listener) -> None:
    """No prompt, no reason, no binding."""
    view = await desk.file()
    await listener.burst()
    heard = b"".join(listener.heard)

    assert view.hold.id.encode() in heard
    for secret in (CANARY, view.hold.binding, "Salaries are looked at"):
        assert secret.encode() not in heard


async def test_only_who_may_review_a_hold_hears_of_it(desk: Desk) -> None:
    """Not who asked, although they also are a reviewer; not another group."""
    await desk.file()
    await desk.file("theirs", thresholds=(Threshold("security", 1, 1),))
    officer = person("officer-1", groups=("security",))
    for who, count in ((person("staff-7", Role.REVIEWER), 0), (STAFF, 0), (officer, 1)):
        one = Listener(desk, who)
        assert (await one.burst())[-1] == ("current", {"holds": count})
        await one.frames.aclose()  # type: ignore[attr-defined]


async def test_who_comes_back_misses_nothing(desk: Desk) -> None:
    """With the last id: nothing if nothing changed, else everything anew."""
    await desk.file()
    first = Listener(desk)
    await first.burst()
    await first.frames.aclose()  # type: ignore[attr-defined]

    same = Listener(desk, last_id=first.last_id)
    heard = asyncio.create_task(same.burst())
    await asyncio.sleep(0.5)
    await desk.file("two")
    told = await heard
    assert [event for event, _ in told] == ["hold", "current"]
    await same.frames.aclose()  # type: ignore[attr-defined]
    late = Listener(desk, last_id=first.last_id)
    assert [event for event, _ in await late.burst()] == ["reset", "hold", "hold", "current"]
    await late.frames.aclose()  # type: ignore[attr-defined]


async def test_a_burst_that_was_cut_is_not_taken_for_whole(desk: Desk) -> None:
    """Only its end bears an id, so who lost the end gets all of it again."""
    await desk.file()
    await desk.file("two")
    cut = Listener(desk)
    frames = [await anext(cut.frames) for _ in range(3)]
    await cut.frames.aclose()  # type: ignore[attr-defined]

    assert not any(b"id: " in frame.split(b"data:")[0] for frame in frames)


async def test_a_lost_role_ends_what_is_seen(desk: Desk, listener: Listener) -> None:
    """It is looked up again each time; a credential that is gone ends the stream."""
    view = await desk.file()
    await listener.burst()
    listener.principal = replace(REVIEWER, roles=frozenset({Role.EMPLOYEE}))
    assert await listener.burst() == [("gone", {"id": view.hold.id}), ("current", {"holds": 0})]
    listener.principal = NotAuthenticated("This key was revoked.")
    async with asyncio.timeout(LIMIT_S):
        rest = [frame async for frame in listener.frames]
    assert rest == []


async def test_a_part_that_is_down_is_said_and_waited_for(desk: Desk, listener: Listener) -> None:
    """As a comment, which clients skip; then the queue comes."""
    await desk.file()
    listener.principal = HoldStoreUnavailable("It is restarting.")
    frames = [await anext(listener.frames) for _ in range(2)]
    assert all(frame.startswith(b":") for frame in frames)
    listener.principal = REVIEWER

    assert [event for event, _ in await listener.burst()] == ["reset", "hold", "current"]


def test_listeners_are_bounded() -> None:
    """In all, and of one person; a place that was given back is free."""
    live = LiveQueue(EACH_MAX + 1)
    for _ in range(EACH_MAX):
        live.take("reviewer-1")
    with pytest.raises(Overloaded) as raised:
        live.take("reviewer-1")
    assert raised.value.code == "too_many_listeners"
    live.take("reviewer-2")
    with pytest.raises(Overloaded):
        live.take("reviewer-3")
    live.give_back("reviewer-1")
    live.take("reviewer-3")


async def test_all_listeners_read_the_store_once(desk: Desk) -> None:
    """A hundred of them cost as much as one."""
    live = LiveQueue()
    reads = await asyncio.gather(*(live.cards(desk.store) for _ in range(100)))
    assert len({id(cards) for cards, _ in reads}) == 1

"""Notifications in a real Valkey: kept with the change they tell of, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import orjson
import pytest
from redis import Redis

from sekisho.adapters.redis_outbox import PREFIX, RedisOutbox
from sekisho.errors import HoldStoreUnavailable
from sekisho.holding.outbox import Changed
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState
from sekisho.model.notification import Moment, Notification
from support.holds import REVIEWER, STAFF, Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

ONE = Notification("id-1", "desk", Moment.FILED, rules=("r",), hold="", created_us=1)


@pytest.fixture
def outbox(desk: Desk) -> RedisOutbox:
    return RedisOutbox(desk.store, 3)


@pytest.fixture
def raw(valkey: Valkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        yield client


async def only(outbox: RedisOutbox) -> Changed:
    [changed] = (await outbox.look(10)).changed
    return changed


async def queued(outbox: RedisOutbox, channel: str = "desk") -> list[str]:
    return [one.notification.id for one in (await outbox.due(channel, 10)).waiting]


async def test_a_hold_is_there_to_look_at_from_the_moment_it_is_filed(
    desk: Desk, outbox: RedisOutbox
) -> None:
    """With what may be known of it, until it was noted."""
    view = await desk.file()
    changed = await only(outbox)
    assert (changed.card.id, changed.told, changed.card.groups) == (
        view.hold.id,
        frozenset(),
        ("sales",),
    )
    assert await outbox.note(changed, frozenset({"filed-1"}), None, [ONE]) == []
    assert (await outbox.look(10)).changed == []
    assert await queued(outbox) == ["id-1"]


async def test_every_change_brings_it_back(desk: Desk, outbox: RedisOutbox) -> None:
    """With what was told of it."""
    view = await desk.file()
    await outbox.note(await only(outbox), frozenset({"filed-1"}), None, [])
    await desk.approve(view)
    changed = await only(outbox)
    assert (changed.card.state, changed.told) == (HoldState.APPROVED, frozenset({"filed-1"}))


async def test_a_step_that_opened_meanwhile_is_not_taken_for_told(
    desk: Desk, outbox: RedisOutbox
) -> None:
    """What was looked at before it opened is noted no more, so its reviewers are told after all."""
    asked = (Threshold("reviewer", 1, 1), Threshold("legal", 1, 1, 2))
    view = await desk.file(thresholds=asked)
    old = await only(outbox)
    await desk.approve(view)
    await outbox.note(old, frozenset({"filed-1"}), None, [ONE])
    assert await queued(outbox) == []
    now = await only(outbox)
    assert (now.card.open_step, now.told) == (2, frozenset())


async def test_it_comes_back_when_its_time_has_come(desk: Desk, outbox: RedisOutbox) -> None:
    """By the store's clock."""
    await desk.file()
    seen = await outbox.look(10)
    [changed] = seen.changed
    await outbox.note(changed, frozenset({"filed-1"}), seen.now_us + 60_000_000, [])
    assert (await outbox.look(10)).changed == []
    await outbox.note(replace(changed, told=frozenset({"filed-1"})), frozenset(), seen.now_us, [])
    assert len((await outbox.look(10)).changed) == 1


async def test_a_hold_that_changed_meanwhile_is_looked_at_again(
    desk: Desk, outbox: RedisOutbox
) -> None:
    """What was decided about it as it was is thrown away, all of it."""
    view = await desk.file()
    before = await only(outbox)
    await desk.approve(view)
    assert await outbox.note(before, frozenset({"filed-1"}), None, [ONE]) == []
    assert await queued(outbox) == []
    assert (await only(outbox)).told == frozenset()


async def test_two_senders_at_once_note_one(desk: Desk, outbox: RedisOutbox) -> None:
    """The second finds that it was told."""
    await desk.file()
    changed = await only(outbox)
    await outbox.note(changed, frozenset({"filed-1"}), None, [ONE])
    await outbox.note(changed, frozenset({"filed-1"}), None, [replace(ONE, id="id-2")])
    assert await queued(outbox) == ["id-1"]


async def test_what_waits_is_kept_once_and_within_bounds(outbox: RedisOutbox) -> None:
    """The fourth has no room, and one channel takes none from another."""
    every = [replace(ONE, id=f"id-{n}") for n in range(5)]
    assert await outbox.post([ONE, ONE]) == []
    assert await outbox.post(every) == ["id-3", "id-4"]
    assert sorted(one.id for one in await outbox.refused(9)) == ["id-3", "id-4"]
    assert len(await outbox.refused(1)) == 1
    await outbox.done(replace(ONE, id="id-3"))
    assert [one.id for one in await outbox.refused(9)] == ["id-4"]
    assert await outbox.post([replace(ONE, id="x", channel="other")]) == []
    assert sorted(await queued(outbox)) == ["id-0", "id-1", "id-2"]
    assert await outbox.channels() == ["desk", "other"]


async def test_what_was_taken_is_gone_and_what_was_not_comes_later(
    outbox: RedisOutbox, raw: Redis
) -> None:
    """With how often it was tried; repeated after a lost reply nothing changes."""
    await outbox.post([ONE])
    await outbox.later(ONE, 1, 0)
    await outbox.later(ONE, 1, 0)
    [waiting] = (await outbox.due("desk", 10)).waiting
    assert (waiting.attempts, waiting.notification) == (1, ONE)
    await outbox.later(ONE, 2, 60)
    assert await queued(outbox) == []
    await outbox.done(ONE)
    await outbox.done(ONE)
    await outbox.later(ONE, 3, 0)
    assert await queued(outbox) == []
    assert await outbox.channels() == []
    assert raw.keys(f"{PREFIX}*") == []


async def test_the_state_of_its_hold_comes_with_it(desk: Desk, outbox: RedisOutbox) -> None:
    """As it is by now."""
    view = await desk.file()
    told = replace(ONE, hold=view.hold.id)
    await outbox.post([told, replace(ONE, id="id-2", hold="hold_gone")])
    await desk.review(view, REVIEWER, "deny")
    states = {w.notification.id: w.state for w in (await outbox.due("desk", 10)).waiting}
    assert states == {"id-1": "denied", "id-2": ""}


async def test_one_leads_until_its_lease_is_over(desk: Desk, outbox: RedisOutbox) -> None:
    """Given up or run out, another takes over."""
    assert await outbox.lead("a", 60)
    assert await outbox.lead("a", 60)
    assert not await outbox.lead("b", 60)
    assert await outbox.lead("a", 0)
    assert await outbox.lead("b", 60)


async def test_what_cannot_be_read_keeps_nobody_from_being_told(
    desk: Desk, outbox: RedisOutbox, raw: Redis
) -> None:
    """Somebody wrote into the store, or a later version did: it is dropped, and said."""
    view = await desk.file("one")
    other = await desk.file("two")
    raw.hset(f"{{sekisho-holds}}:hold:{view.hold.id}", "card", "x")
    assert [one.card.id for one in (await outbox.look(10)).changed] == [other.hold.id]
    await outbox.post([ONE, replace(ONE, id="id-2")])
    body = orjson.dumps({**asdict(ONE), "moment": "later-version"})
    for broken in (b"\xff", b"[]", b"{}", body):
        raw.hset(f"{PREFIX}bodies", "id-1", broken)
        raw.zadd(f"{PREFIX}queue:desk", {"id-1": 0})
        assert await queued(outbox) == ["id-2"]
        assert not raw.hexists(f"{PREFIX}bodies", "id-1")
        raw.hset(f"{PREFIX}refused", "id-3", broken)
        assert await outbox.refused(9) == []


async def test_a_restarted_store_keeps_all_and_a_lost_one_is_told_again(
    desk: Desk, valkey: Valkey, ledger: MemoryLedger
) -> None:
    """From the ledger; the same ids are made again, so receivers drop what they have."""
    outbox = RedisOutbox(desk.store, 10)
    await desk.file()
    await outbox.note(await only(outbox), frozenset({"filed-1"}), None, [ONE])
    valkey.restart()
    assert await queued(outbox) == ["id-1"]
    assert (await only(outbox)).told == {"filed-1"}  # applied from the ledger, so looked at again
    valkey.restart(lose_data=True)
    assert (await only(outbox)).told == frozenset()
    assert await queued(outbox) == []


async def test_a_forgotten_hold_leaves_nothing_to_look_at(
    desk: Desk, outbox: RedisOutbox, raw: Redis
) -> None:
    """Also where nobody looks, since there is no channel."""
    view = await desk.file()
    await desk.review(view, REVIEWER, "deny")
    raw.zadd("{sekisho-holds}:due", {view.hold.id: 1})
    assert await desk.store.forget(view.hold.id)
    assert raw.zcard("{sekisho-holds}:tell") == 0


async def test_a_store_that_is_away_says_so_in_time(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Whoever needs it is told, and nothing waits for ever."""
    one = open_desk(valkey.url, ledger)
    try:
        await one.file(principal=STAFF)
        valkey.kill()
        with pytest.raises(HoldStoreUnavailable):
            await RedisOutbox(one.store, 10).look(10)
    finally:
        valkey.start()
        await one.close()

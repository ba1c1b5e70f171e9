from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from sekisho.adapters.redis_leases import (
    ATTEMPTS_MAX,
    RUN,
    TAG,
    Ask,
    LeaseStore,
    RunChanged,
    Told,
    counter_key,
)
from sekisho.errors import LimitsUnavailable
from sekisho.model.limits import Metric, Window, window_name
from support.faulty_redis import FaultyRedis
from support.limit_world import windows_now
from support.valkey import Valkey

KEY = counter_key("principal", "staff-7", Metric.TOKENS_PER_MIN)
ASK = Ask(KEY, "m", -1, "", 0, 0, need=10, least=10, limit=1000)
LEASE_S = 2
SHARE = 4


def opened(url: str, origin: str = "ledger-1") -> LeaseStore:
    return LeaseStore(FaultyRedis.to(url), origin, lease_us=LEASE_S * 1_000_000, share=SHARE)


@pytest.fixture
async def stores(valkey: Valkey) -> AsyncIterator[list[LeaseStore]]:
    """Two workers that know the run, begun long before this minute."""
    two = [opened(valkey.url) for _ in range(2)]
    for one in two:
        with pytest.raises(RunChanged):
            await one.beat(60_000_000)
    with redis.Redis.from_url(valkey.url) as client:
        client.set(RUN, "r:0")
    for one in two:
        one.run = "r:0"
    yield two
    for one in two:
        await one.close()


async def ask(store: LeaseStore, one: Ask, **changed: Any) -> Told:
    _, told = await store.take([replace(one, **changed)])
    return told[0]


def holding(told: Told, claim: int, free: int, **changed: Any) -> Ask:
    """What a worker says that has joined."""
    return replace(ASK, start=told.start, epoch=told.epoch, claim=claim, free=free, **changed)


async def test_a_batch_is_a_share_of_what_is_left(stores: list[LeaseStore]) -> None:
    """Or what is needed, whichever is larger; never more than is left."""
    one, two = stores
    first = await ask(one, ASK)
    assert (250, 750) == (first.grant, first.left)
    second = await ask(two, ASK, need=600, least=600)
    assert (600, 150) == (second.grant, second.left)
    third = await ask(one, holding(first, 250, 0, need=151, least=151))
    assert (0, 150) == (third.grant, third.left)
    fourth = await ask(one, holding(first, 250, 0, need=150, least=150))
    assert (150, 0) == (fourth.grant, fourth.left)


async def test_what_is_left_goes_to_those_it_is_of_use_to(stores: list[LeaseStore]) -> None:
    """Several exchanges want more than there is in all, but the least wish can be met."""
    told = await ask(stores[0], ASK, need=1500, least=700)
    assert 1000 == told.grant
    told = await ask(stores[1], ASK, need=1500, least=700)
    assert 0 == told.grant


async def test_some_exchanges_ahead(stores: list[LeaseStore]) -> None:
    """Where an eighth of what is left covers them."""
    told = await ask(stores[0], ASK, limit=8 * 80, need=10, least=10)
    assert 160 == told.grant
    stores[1]._share = 1024
    told = await ask(stores[1], ASK, limit=160 + 640, need=10, least=10)
    assert 80 == told.grant
    told = await ask(stores[1], holding(told, 80, 0, limit=160 + 80 + 16, need=10, least=10))
    assert 10 == told.grant


async def test_a_call_made_again_changes_nothing(stores: list[LeaseStore], valkey: Valkey) -> None:
    """The first one's reply was lost: the worker still says that it holds nothing."""
    store = stores[0]
    store._client.lose_after["take"] = ATTEMPTS_MAX  # type: ignore[attr-defined]
    with pytest.raises(LimitsUnavailable):
        await ask(store, ASK)

    told = await ask(store, ASK)

    assert (250, 750) == (told.grant, told.left)


async def test_a_call_that_comes_late_is_ignored(stores: list[LeaseStore]) -> None:
    """A server that stood still may run an old call after a newer one."""
    store = stores[0]
    first = await ask(store, ASK)
    await ask(store, holding(first, 250, 250))
    store._calls = 0

    assert "stale" == (await ask(store, ASK)).status


async def test_debts_and_returns(stores: list[LeaseStore]) -> None:
    """The claim is what counts, whether it grew or shrank; beyond the limit nothing is left."""
    one, two = stores
    told = await ask(one, ASK)
    assert 900 == (await ask(one, holding(told, 100, 0, need=0, least=0))).left
    assert -500 == (await ask(one, holding(told, 1500, 0, need=0, least=0))).left
    assert 0 == (await ask(two, ASK)).grant


async def test_letting_go_keeps_what_was_used(stores: list[LeaseStore], valkey: Valkey) -> None:
    """And joining again claims nothing back."""
    store = stores[0]
    told = await ask(store, ASK)
    await ask(store, holding(told, 40, 0, need=0, least=0, fold=True))

    told = await ask(store, ASK, need=0, least=0)

    assert 960 == told.left


async def test_claims_of_another_window_or_epoch_do_not_count(stores: list[LeaseStore]) -> None:
    """They were about something else."""
    told = await ask(stores[0], ASK)

    for other in ({"epoch": "other"}, {"start": told.start - 60_000_000}):
        said = await ask(stores[0], holding(told, 777, 50), need=0, least=0, **other)
        assert 1000 == said.left


async def test_windows_are_those_of_the_ledger(stores: list[LeaseStore]) -> None:
    """Minute, day and month begin and end as UTC has them."""
    kinds = (Window.MINUTE, Window.DAY, Window.MONTH)
    before = windows_now()
    asks = [replace(ASK, key=f"{KEY}:{kind}", kind=kind) for kind in kinds]
    _, told = await stores[0].take(asks)
    after = windows_now()

    names = tuple(window_name(kind, one.start) for kind, one in zip(kinds, told, strict=True))
    assert names in {before, after}
    begun = [replace(one, begin=(t.start, 0, 0)) for one, t in zip(asks, told, strict=True)]
    _, told = await stores[0].take(begun)
    month = datetime.fromtimestamp(told[2].start // 1_000_000, UTC)
    ends = datetime.fromtimestamp(told[2].ends_us // 1_000_000, UTC)
    assert (month.month % 12 + 1, 1, 0) == (ends.month, ends.day, ends.hour)
    assert told[1].ends_us - told[1].start == 86_400_000_000


def test_every_month(valkey: Valkey) -> None:
    """The script's calendar is that of everyone, over a hundred years and more."""
    source = LeaseStore.sources["take"].decode()
    body = source[source.index("local function month_of") :].split("\nend\n", 1)[0]
    ask_all = "local r = {} for d = 0, 47000 do r[d + 1] = month_of(d) end return r"
    with redis.Redis.from_url(valkey.url) as client:
        firsts: Any = client.eval(f"{body}\nend\n{ask_all}", 0)

    epoch = date(1970, 1, 1)
    expected = [
        ((epoch + timedelta(days)).replace(day=1) - epoch).days for days in range(len(firsts))
    ]
    assert 47001 == len(firsts)
    assert expected == firsts


async def test_a_new_minute_begins_with_nothing(stores: list[LeaseStore], valkey: Valkey) -> None:
    """What was leased of the one before is over."""
    told = await ask(stores[0], ASK)
    with redis.Redis.from_url(valkey.url) as client:
        client.hset(KEY, "w", told.start - 60_000_000)

    assert 1000 == (await ask(stores[1], ASK, need=0, least=0)).left


async def test_a_counter_that_is_not_there_begins_with_the_ledger(
    stores: list[LeaseStore], valkey: Valkey
) -> None:
    """A day always, a minute if this run of the store began within it; each ledger once."""
    one, two = stores
    with redis.Redis.from_url(valkey.url) as client:
        client.set(RUN, "s:9999999999999999")
    one.run = two.run = "s:9999999999999999"
    assert "absent" == (await ask(one, ASK)).status
    absent = await ask(one, ASK, kind="d")
    assert "absent" == absent.status

    begun = replace(ASK, kind="d", begin=(absent.start, 300, 17), need=0, least=0)
    assert (700, 17) == ((told := await ask(one, begun)).left, told.size)
    assert (700, 17) == ((told := await ask(two, begun, begin=(0, 0, 0))).left, told.size)
    other = opened(valkey.url, "ledger-2")
    other.run = one.run
    assert "absent" == (await ask(other, ASK, kind="d")).status
    assert 600 == (await ask(other, begun, begin=(absent.start, 100, 5))).left
    await other.close()


async def test_a_sum_for_another_window_is_not_taken(stores: list[LeaseStore]) -> None:
    """The day ended while the ledger was asked."""
    absent = await ask(stores[0], ASK, kind="d")

    told = await ask(stores[0], ASK, kind="d", begin=(absent.start - 86_400_000_000, 1, 1))

    assert "absent" == told.status


async def test_places_return_when_they_are_not_renewed(
    stores: list[LeaseStore], valkey: Valkey
) -> None:
    """The clock that counts is the store's."""
    one, two = stores
    places = replace(ASK, kind="p", need=3, least=3, limit=4)
    assert 3 == (await ask(one, places)).grant
    assert 0 == (await ask(two, places)).grant
    with redis.Redis.from_url(valkey.url) as client:
        cell = client.hget(KEY, f"c:{one.worker}")
        assert isinstance(cell, bytes)
        claim, call, _ = cell.decode().split("|")
        client.hset(KEY, f"c:{one.worker}", f"{claim}|{call}|1")
    assert 3 == (await ask(two, places)).grant
    # Those in use are claimed all the same; others see them.
    assert -2 == (await ask(one, places, claim=3, need=3)).left


async def test_places_outlive_a_run(stores: list[LeaseStore], valkey: Valkey) -> None:
    """Who holds them renews them; the ledger knows nothing of them."""
    one, two = stores
    places = replace(ASK, kind="p", need=3, least=3, limit=4)
    await ask(one, places)
    with redis.Redis.from_url(valkey.url) as client:
        client.set(RUN, "r2:1")
    two.run = "r2:1"

    assert 0 == (await ask(two, places, need=2, least=2)).grant


class TestRuns:
    """Whether the store is what it was."""

    async def test_a_restart_begins_a_run(self) -> None:
        """Counters of the run before are made anew, although their keys are still there."""
        valkey = Valkey()
        valkey.start()
        store = opened(valkey.url)
        try:
            with pytest.raises(RunChanged):
                await ask(store, ASK)
            before = store.run
            absent = await ask(store, ASK, kind="d")
            await ask(store, ASK, kind="d", begin=(absent.start, 0, 0))
            valkey.restart()
            await store._client.connection_pool.disconnect()
            with pytest.raises(RunChanged):
                await ask(store, ASK, kind="d")
            assert before != store.run
            assert "absent" == (await ask(store, ASK, kind="d")).status
        finally:
            await store.close()
            valkey.close()

    async def test_all_workers_join_one_run(self, valkey: Valkey) -> None:
        """The second to see the end does not begin another."""
        stores = [opened(valkey.url) for _ in range(3)]
        for store in stores:
            with pytest.raises(RunChanged):
                await store.beat(60_000_000)

        assert 1 == len({store.run for store in stores})
        for store in stores:
            await store.beat(60_000_000)
            await store.close()

    async def test_a_wiped_store(self, stores: list[LeaseStore], valkey: Valkey) -> None:
        """FLUSHALL keeps the scripts and takes the run."""
        with redis.Redis.from_url(valkey.url) as client:
            client.flushall()
        for store in stores:
            with pytest.raises(RunChanged):
                await ask(store, ASK)

        assert stores[0].run == stores[1].run != "r:0"

    async def test_flushed_scripts(self, stores: list[LeaseStore], valkey: Valkey) -> None:
        """They may mean a failover, so a run begins."""
        with redis.Redis.from_url(valkey.url) as client:
            client.script_flush()
        with pytest.raises(RunChanged):
            await ask(stores[0], ASK)

        assert "r:0" != stores[0].run

    async def test_a_dead_worker_ends_a_run(self, stores: list[LeaseStore], valkey: Valkey) -> None:
        """What it had used of its leases is only in the ledger."""
        one, two = stores
        await one.beat(60_000_000)
        await two.beat(60_000_000)
        with redis.Redis.from_url(valkey.url) as client:
            client.zadd(f"{TAG}:workers", {two.worker: 1})

        with pytest.raises(RunChanged):
            await one.beat(60_000_000)
        with pytest.raises(RunChanged):
            await two.beat(60_000_000)
        assert one.run == two.run

    async def test_a_worker_that_left_is_not_missed(
        self, stores: list[LeaseStore], valkey: Valkey
    ) -> None:
        """It gave back what it had."""
        one, two = stores
        await one.beat(60_000_000)
        await two.beat(60_000_000)
        await two.beat(60_000_000, leave=True)

        with redis.Redis.from_url(valkey.url) as client:
            assert [one.worker.encode()] == client.zrange(f"{TAG}:workers", 0, -1)


@pytest.mark.parametrize("when", ["lose_before", "lose_after"])
async def test_lost_calls(stores: list[LeaseStore], when: str) -> None:
    """In both forms: said within the deadline, and the next call works."""
    store = stores[0]
    getattr(store._client, when).update(take=ATTEMPTS_MAX, beat=ATTEMPTS_MAX)
    with pytest.raises(LimitsUnavailable):
        await ask(store, ASK)
    with pytest.raises(LimitsUnavailable):
        await store.beat(60_000_000)

    assert 250 == (await ask(store, ASK)).grant
    getattr(store._client, when)["take"] = 1
    assert "ok" == (await ask(store, ASK)).status


async def test_a_silent_store(stores: list[LeaseStore], valkey: Valkey) -> None:
    """Nobody waits for it for ever."""
    valkey.pause()
    try:
        with pytest.raises(LimitsUnavailable):
            await ask(stores[0], ASK)
    finally:
        valkey.unpause()


def test_scripts_say_what_they_promise() -> None:
    """As those of the hold store do."""
    assert all(b"Promises" in source for source in LeaseStore.sources.values())


NAMES = st.text(max_size=120)


@given(NAMES, NAMES)
def test_no_two_names_share_a_key(one: str, two: str) -> None:
    """Nor can a name leave its place: no braces, spaces or line ends in a key."""
    keys = [counter_key("model", name, Metric.CONCURRENT) for name in (one, two)]

    assert (keys[0] == keys[1]) is (one == two)
    assert all(key.startswith(f"{TAG}:concurrent:model:") for key in keys)
    rest = keys[0].removeprefix(f"{TAG}:concurrent:model:")
    assert not set(rest) & set("{}: \r\n\0*")
    assert len(rest) <= 200


def test_a_name_that_looks_like_a_digest() -> None:
    """A client cannot name a model so that it is counted as another."""
    key = counter_key("model", "x" * 300, Metric.CONCURRENT)
    digest = key.rsplit(":", 1)[1]

    assert digest.startswith("%~")
    assert key != counter_key("model", digest, Metric.CONCURRENT)


async def test_an_error_of_the_server_is_no_grant(stores: list[LeaseStore], valkey: Valkey) -> None:
    """A key of another type, say: refused, not let through."""
    with redis.Redis.from_url(valkey.url) as client:
        client.set(KEY, "x")
        with pytest.raises(ResponseError):
            client.hget(KEY, "o")

    with pytest.raises(LimitsUnavailable):
        await ask(stores[0], ASK)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from sekisho.adapters import redis_limits
from sekisho.adapters.limit_charge import LeasedCharge
from sekisho.adapters.redis_leases import ATTEMPTS_MAX
from sekisho.adapters.redis_limits import RedisLimiter
from sekisho.errors import LimitReached, LimitsUnavailable
from sekisho.model.limits import Estimate, Metric, Spender
from support.faulty_redis import ALWAYS
from support.limit_world import Desk, out_of, rules, spender
from support.valkey import Valkey

WHO = spender("staff-7", "sales")
ONE = Estimate(0, 10)


@pytest.fixture
async def desk(valkey: Valkey) -> AsyncIterator[Desk]:
    one = Desk(valkey.url)
    one.usage = rules(
        {"for": "principal:*", "requests_per_min": 10_000, "concurrent": 500},
        {"for": "group:*", "spend_per_day": 1, "spend_per_month": 20},
        {"for": "backend:*", "tokens_per_min": 900_000_000},
    )
    yield one
    await one.close()


async def warm(desk: Desk, who: Spender = WHO) -> RedisLimiter:
    limiter = desk.worker()
    await desk.settled(limiter)
    await desk.spend(limiter, who)
    return limiter


async def reserved(limiter: RedisLimiter, who: Spender = WHO) -> LeasedCharge | LimitReached:
    try:
        return await limiter.reserve(who, ONE)
    except LimitReached as error:
        return error


async def test_most_exchanges_cost_no_call(desk: Desk) -> None:
    """A hundred of them, and the look that policy takes at what is left, ask a few times."""
    limiter = await warm(desk)
    desk.stores[0].calls.clear()
    for _ in range(100):
        await limiter.standing(WHO)
        await desk.spend(limiter, WHO)

    assert len(desk.stores[0].calls) <= 10


async def test_no_limits_no_store(valkey: Valkey) -> None:
    """Without rows nothing is asked and nothing refused, but everything is told to the ledger."""
    desk = Desk("unix:///nowhere")
    limiter = desk.worker()

    charge = await limiter.reserve(WHO, Estimate(5, 0))

    assert {"tokens": 1029, "spend_micros": 1029} == {
        name: charge.reserved[name] for name in ("tokens", "spend_micros")
    }
    assert {} == charge.headers()
    assert (await limiter.standing(WHO)).requests_left is None


async def test_a_limit_holds_over_workers(desk: Desk) -> None:
    """Four of them share it to the last unit."""
    desk.usage = rules({"for": "principal:*", "requests_per_min": 40})
    limiters = [desk.worker() for _ in range(4)]
    got = [
        await reserved(limiters[number % 4]) for number in range(100) for _ in range(1 + number % 2)
    ]

    passed = [one for one in got if isinstance(one, LeasedCharge)]
    refused = [one for one in got if isinstance(one, LimitReached)]
    assert len(passed) <= 40
    assert len(passed) >= 40 - 4
    assert {"limit_reached"} == {one.code for one in refused}
    assert all(1 <= one.retry_after_s <= 60 for one in refused)


async def test_all_or_none(desk: Desk) -> None:
    """Refused for one limit, nothing is used of the others."""
    desk.usage = rules(
        {"for": "principal:*", "requests_per_min": 10},
        {"for": "group:sales", "spend_per_month": 0.000015},
    )
    limiter = desk.worker()
    assert isinstance(await reserved(limiter), LeasedCharge)
    for _ in range(30):
        error = await reserved(limiter)
        assert isinstance(error, LimitReached)
        assert "budget_exhausted" == error.code

    others = [await reserved(limiter, spender("staff-7")) for _ in range(9)]
    assert all(isinstance(one, LeasedCharge) for one in others)


async def test_many_at_once_share_a_call(desk: Desk) -> None:
    """Whoever waits is served together, each all or none, and the last ones are refused."""
    desk.usage = rules({"for": "principal:*", "requests_per_min": 10, "concurrent": 500})
    limiter = desk.worker()
    await desk.settled(limiter)
    desk.stores[0].calls.clear()

    got = await asyncio.gather(*(reserved(limiter) for _ in range(30)))

    assert 10 == sum(isinstance(one, LeasedCharge) for one in got)
    assert len(desk.stores[0].calls) <= 8


async def test_places(desk: Desk) -> None:
    """As many at once as there are, and when one ends another begins."""
    desk.usage = rules({"for": "principal:*", "concurrent": 2})
    limiter = desk.worker()
    first, second = [await limiter.reserve(WHO, ONE) for _ in range(2)]
    error = await reserved(limiter)
    assert isinstance(error, LimitReached)
    assert ("too_many_requests_at_once", 1) == (error.code, error.retry_after_s)

    first.settle(None, None)

    assert isinstance(await reserved(limiter), LeasedCharge)
    assert 2 == out_of(desk.url, "principal", "staff-7", Metric.CONCURRENT)
    second.settle(None, None)


async def test_a_forced_attempt_passes_and_is_counted(desk: Desk) -> None:
    """It repeats what was let through; the next one is refused for it."""
    desk.usage = rules({"for": "principal:*", "requests_per_min": 1})
    limiter = desk.worker()
    await desk.spend(limiter, WHO)

    charge = await limiter.reserve(WHO, ONE, forced=True)
    desk.end(charge, WHO, 10)

    assert isinstance(await reserved(limiter), LimitReached)
    await desk.settled(limiter)
    assert 2 == out_of(desk.url, "principal", "staff-7", Metric.REQUESTS_PER_MIN)


async def test_swapped_rules_count_at_once(desk: Desk) -> None:
    """With what was used before."""
    limiter = await warm(desk)
    desk.usage = rules({"for": "group:sales", "spend_per_day": 0.000015})
    assert isinstance(await reserved(limiter), LimitReached)

    desk.usage = rules({"for": "group:sales", "spend_per_day": 0.000020})
    assert isinstance(await reserved(limiter), LeasedCharge)


async def test_a_budget_set_at_noon_knows_the_morning(desk: Desk) -> None:
    """The ledger has what was spent while there was no limit."""
    desk.usage = rules()
    limiter = desk.worker()
    await desk.spend(limiter, WHO, 1000)
    desk.usage = rules({"for": "group:sales", "spend_per_day": 0.0015})

    assert 1000 == (await limiter.standing(WHO)).day_micros
    assert 60 == (await limiter.standing(WHO)).day_percent
    await desk.spend(limiter, WHO, 490)
    assert isinstance(await reserved(limiter, WHO), LeasedCharge)
    assert isinstance(await reserved(limiter, WHO), LimitReached)


@pytest.mark.parametrize("when", ["lose_before", "lose_after"])
async def test_a_lost_call_is_refused_and_does_not_count_twice(desk: Desk, when: str) -> None:
    """In both forms nothing passes, and afterwards the sums are right."""
    limiter = desk.worker()
    await desk.settled(limiter)
    getattr(desk.stores[0], when)["take"] = ATTEMPTS_MAX
    with pytest.raises(LimitsUnavailable):
        await limiter.reserve(WHO, ONE)
    await asyncio.sleep(redis_limits.SILENT_S)

    await desk.spend(limiter, WHO)
    await limiter.close()

    assert 10 == out_of(desk.url, "group", "sales", Metric.SPEND_PER_DAY)
    assert 1 == out_of(desk.url, "principal", "staff-7", Metric.REQUESTS_PER_MIN)


async def test_a_silent_store(desk: Desk, valkey: Valkey) -> None:
    """What is leased goes on; who has no lease is refused within the deadline, and soon at once."""
    limiter = await warm(desk)
    valkey.pause()
    try:
        for _ in range(5):
            await desk.spend(limiter, WHO)
        with pytest.raises(LimitsUnavailable):
            await limiter.reserve(spender("staff-8"), ONE)
        many = [limiter.reserve(spender(f"staff-1{number}"), ONE) for number in range(50)]
        got = await asyncio.gather(*many, return_exceptions=True)
        assert {LimitsUnavailable} == {type(one) for one in got}
    finally:
        valkey.unpause()
    await asyncio.sleep(redis_limits.SILENT_S)

    assert await limiter.reserve(spender("staff-8"), ONE)
    await desk.settled(limiter)
    await limiter.close()
    assert 60 == out_of(desk.url, "group", "sales", Metric.SPEND_PER_DAY)


async def test_a_window_ends_while_the_store_is_silent(desk: Desk) -> None:
    """Then nobody passes: what is left of the new one is not known."""
    now = [100.0]
    limiter = desk.worker()
    limiter._now_s = limiter._rounds._now_s = lambda: now[0]
    await desk.spend(limiter, WHO)
    desk.stores[0].lose_before["take"] = ALWAYS
    await desk.spend(limiter, WHO)
    now[0] += 61

    with pytest.raises(LimitsUnavailable):
        await limiter.reserve(WHO, ONE)


async def test_a_silent_ledger(desk: Desk) -> None:
    """A counter cannot begin without it: refused, not begun at zero."""
    desk.ledger.down = True
    limiter = desk.worker()

    with pytest.raises(LimitsUnavailable):
        await limiter.reserve(WHO, ONE)

    desk.ledger.down = False
    await asyncio.sleep(redis_limits.SILENT_S)
    assert await limiter.reserve(WHO, ONE)


async def test_a_client_that_leaves_while_waiting(desk: Desk, valkey: Valkey) -> None:
    """What it got meanwhile goes back."""
    limiter = desk.worker()
    await desk.settled(limiter)
    valkey.pause()
    waiting = [asyncio.create_task(limiter.reserve(WHO, ONE)) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    valkey.unpause()
    await asyncio.wait(waiting)

    assert waiting[0].cancelled()
    for task in waiting[1:]:
        task.result().settle(None, None)
    assert all(not counter.open for counter in limiter.leases.counters.values())
    await limiter.close()
    assert 0 == out_of(desk.url, "group", "sales", Metric.SPEND_PER_DAY)


async def test_cancelled_as_the_answer_arrives(desk: Desk) -> None:
    """In the very turn of the loop in which it was served."""
    limiter = desk.worker()
    await desk.settled(limiter)
    waiting = asyncio.create_task(limiter.reserve(WHO, ONE))
    while not any(one.open for one in limiter.leases.counters.values()):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert all(not counter.open for counter in limiter.leases.counters.values())


async def test_more_unconfirmed_charges_than_can_be_remembered(desk: Desk) -> None:
    """While nobody knows whether the store is whole, memory is bounded: refused."""
    limiter = await warm(desk)
    limiter.leases._recent_max = 3
    for _ in range(2):
        await desk.spend(limiter, WHO)
    with pytest.raises(LimitsUnavailable):
        await limiter.reserve(WHO, ONE)

    await desk.settled(limiter)
    await desk.settled(limiter)
    assert await limiter.reserve(WHO, ONE)


@pytest.mark.parametrize("lose_data", [False, True])
async def test_counters_come_back_from_the_ledger(*, lose_data: bool) -> None:
    """Killed with exchanges in flight and charges unnoticed: afterwards every sum is the ledger's.

    Settled before the restart, in flight over it, and from a lease that is lost without notice.
    """
    valkey = Valkey()
    valkey.start()
    desk = Desk(valkey.url)
    desk.usage = rules({"for": "principal:*", "spend_per_day": 1})
    try:
        one, two = desk.worker(), desk.worker()
        for limiter in (one, two):
            await desk.spend(limiter, WHO, 100)
        flying = [await limiter.reserve(WHO, ONE) for limiter in (one, two)]
        valkey.restart(lose_data=lose_data)
        await desk.spend(one, WHO, 7)
        desk.end(flying[0], WHO, 10)
        await desk.settled(two)
        await desk.spend(two, WHO, 11)
        await desk.spend(one, WHO, 13)
        desk.end(flying[1], WHO, 10)
        await desk.settled(one)
        await desk.settled(two)
        await one.close()
        await two.close()

        spent = out_of(valkey.url, "principal", "staff-7", Metric.SPEND_PER_DAY)
        assert 100 + 100 + 7 + 10 + 11 + 13 + 10 == spent
    finally:
        await desk.close()
        valkey.close()


async def test_a_deleted_counter_comes_back_too(desk: Desk, valkey: Valkey) -> None:
    """An operator's slip, or a store that evicts."""
    limiter = await warm(desk)
    with redis.Redis.from_url(valkey.url) as client:
        client.delete(*client.keys("*group*"))
    await desk.spend(limiter, WHO)
    await desk.settled(limiter)
    await limiter.close()

    assert 20 == out_of(desk.url, "group", "sales", Metric.SPEND_PER_DAY)


async def test_two_ledgers_bring_their_own_sums(valkey: Valkey) -> None:
    """A replica elsewhere has another ledger; after a loss each brings what it knows."""
    here, there = Desk(valkey.url), Desk(valkey.url)
    there.ledger.origin = "ledger.example/other"
    usage = rules({"for": "principal:*", "spend_per_day": 1})
    here.usage = there.usage = usage
    try:
        one, two = here.worker(), there.worker()
        await here.spend(one, WHO, 100)
        await there.spend(two, WHO, 30)
        with redis.Redis.from_url(valkey.url) as client:
            client.flushall()
        await here.settled(one)
        await there.settled(two)
        await one.close()
        await two.close()

        assert 130 == out_of(valkey.url, "principal", "staff-7", Metric.SPEND_PER_DAY)
    finally:
        await here.close()
        await there.close()


async def test_names_that_look_like_others(desk: Desk) -> None:
    """Counted apart, whatever characters they have."""
    desk.usage = rules({"for": "model:*", "requests_per_min": 100})
    limiter = desk.worker()
    names = ["m", "m ", "m:x", "m%20", "{m}", "m\n", "ｍ", "m" * 300, "m" * 301, "*"]
    for number, name in enumerate(names):
        for _ in range(number + 1):
            await desk.spend(limiter, spender("staff-7", model=name))
    await limiter.close()

    assert list(range(1, 11)) == [
        out_of(desk.url, "model", name, Metric.REQUESTS_PER_MIN) for name in names
    ]

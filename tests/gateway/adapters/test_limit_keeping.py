from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from sekisho.adapters import limit_keeping
from sekisho.adapters.redis_leases import ATTEMPTS_MAX, TAG
from sekisho.errors import LimitReached, LimitsUnavailable
from sekisho.model.limits import Estimate, Metric
from support.faulty_redis import ALWAYS
from support.limit_world import Desk, out_of, rules, spender
from support.valkey import Valkey

WHO = spender("staff-7", "sales")
SOON_S = 10.0


@pytest.fixture
async def desk(valkey: Valkey) -> AsyncIterator[Desk]:
    one = Desk(valkey.url)
    one.usage = rules(
        {"for": "principal:*", "requests_per_min": 1000, "tokens_per_min": 10_000, "concurrent": 4}
    )
    yield one
    await one.close()


def out(desk: Desk, metric: Metric) -> int:
    return out_of(desk.url, "principal", "staff-7", metric)


async def until(desk: Desk, metric: Metric, units: int) -> None:
    async with asyncio.timeout(SOON_S):
        while out(desk, metric) != units:
            await asyncio.sleep(0.02)


async def test_what_is_idle_goes_back(desk: Desk) -> None:
    """After two sweeps the store has exactly what was used."""
    limiter = desk.worker()
    await desk.spend(limiter, WHO, 10)
    assert out(desk, Metric.TOKENS_PER_MIN) > 10

    for _ in range(2):
        await limiter.keeper.sweep()
        await limiter.keeper.flush()

    assert (1, 10) == (out(desk, Metric.REQUESTS_PER_MIN), out(desk, Metric.TOKENS_PER_MIN))
    assert 0 == out(desk, Metric.CONCURRENT)


async def test_places_are_renewed_while_they_are_used(desk: Desk) -> None:
    """And return by themselves when nobody renews them: this worker is dead to the others."""
    one, two = desk.worker(lease_s=0.5), desk.worker(lease_s=0.5)
    one.start()
    charges = [await one.reserve(WHO, Estimate(1, 1)) for _ in range(4)]
    await asyncio.sleep(1.2)
    with pytest.raises(LimitReached) as caught:
        await two.reserve(WHO, Estimate(1, 1))
    assert "too_many_requests_at_once" == caught.value.code

    await limit_keeping.end(one.keeper._task)  # type: ignore[arg-type]
    await asyncio.sleep(1.0)
    assert await two.reserve(WHO, Estimate(1, 1))
    for charge in charges:
        charge.settle(None, None)


async def test_near_a_limit_places_go_back_at_once(desk: Desk) -> None:
    """Not at the next tick: somebody else is refused for them."""
    limiter = desk.worker(lease_s=60)
    limiter.start()
    charges = [await limiter.reserve(WHO, Estimate(1, 1)) for _ in range(4)]

    for charge in charges:
        charge.settle(None, None)

    await until(desk, Metric.CONCURRENT, 0)


async def test_a_debt_is_told(desk: Desk) -> None:
    """By the next tick others have less."""
    limiter = desk.worker()
    limiter.start()
    await desk.spend(limiter, WHO, 10, used=9000)

    await until(desk, Metric.TOKENS_PER_MIN, 9000)


async def test_what_was_leased_under_other_rules_goes_back(desk: Desk) -> None:
    """Also if nobody asks any more: a lease of yesterday's large limit would starve others."""
    limiter = desk.worker()
    await desk.spend(limiter, WHO, 10)
    desk.usage = rules({"for": "principal:*", "tokens_per_min": 500})
    limiter.leases.plan(WHO, desk.usage.limits)

    await limiter.keeper.flush()

    assert 10 == out(desk, Metric.TOKENS_PER_MIN)


async def test_the_store_is_gone_and_back(desk: Desk, valkey: Valkey) -> None:
    """The keeper goes on by itself, and counters come from the ledger."""
    desk.usage = rules({"for": "principal:*", "spend_per_day": 1})
    limiter = desk.worker(lease_s=0.6)
    limiter.start()
    await desk.spend(limiter, WHO, 10)
    desk.stores[0].lose_before.update(take=ALWAYS, beat=ALWAYS)
    await asyncio.sleep(0.3)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    await desk.spend(limiter, WHO, 10)
    desk.stores[0].lose_before.clear()

    await until(desk, Metric.SPEND_PER_DAY, 20)


async def test_the_end_gives_everything_back(desk: Desk, valkey: Valkey) -> None:
    """And nobody misses a worker that left in order."""
    limiter = desk.worker()
    limiter.start()
    await desk.spend(limiter, WHO, 10)
    await desk.settled(limiter)

    await limiter.close()

    assert (1, 10) == (out(desk, Metric.REQUESTS_PER_MIN), out(desk, Metric.TOKENS_PER_MIN))
    with redis.Redis.from_url(valkey.url) as client:
        assert [] == client.zrange(f"{TAG}:workers", 0, -1)


async def test_an_end_with_exchanges_under_way_is_missed(desk: Desk, valkey: Valkey) -> None:
    """Nobody will settle them, so the others make the counters again after a while."""
    limiter = desk.worker()
    await desk.settled(limiter)
    await limiter.reserve(WHO, Estimate(1, 1))

    await limiter.close()

    with redis.Redis.from_url(valkey.url) as client:
        assert 1 == client.zcard(f"{TAG}:workers")


async def test_the_end_does_not_wait_for_a_dead_store(desk: Desk, valkey: Valkey) -> None:
    """A worker stops in time."""
    limiter = desk.worker()
    limiter.start()
    await desk.spend(limiter, WHO, 10)
    valkey.pause()
    try:
        async with asyncio.timeout(SOON_S):
            await limiter.close()
    finally:
        valkey.unpause()


async def test_counters_leave_memory(desk: Desk) -> None:
    """Those that had to make room are given back and dropped."""
    desk.usage = rules({"for": "principal:*", "tokens_per_min": 10_000})
    limiter = desk.worker()
    limiter.leases._counters_max = 8
    for number in range(30):
        await desk.spend(limiter, spender(f"staff-{number}"), 10)
        await limiter.keeper.flush()

    assert len(limiter.leases.counters) <= 8
    assert not limiter.leases.leaving
    assert 10 == out_of(desk.url, "principal", "staff-0", Metric.TOKENS_PER_MIN)
    await desk.spend(limiter, spender("staff-0"), 10)
    await limiter.close()
    assert 20 == out_of(desk.url, "principal", "staff-0", Metric.TOKENS_PER_MIN)


async def test_a_tick_says_when_it_fails(desk: Desk) -> None:
    """To whoever asks for one."""
    limiter = desk.worker()
    desk.worker()
    desk.stores[0].lose_before["beat"] = ATTEMPTS_MAX

    with pytest.raises(LimitsUnavailable):
        await limiter.keeper.once()

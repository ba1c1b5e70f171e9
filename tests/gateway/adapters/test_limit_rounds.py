from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from sekisho.adapters.limit_leases import Counter
from sekisho.adapters.redis_leases import ATTEMPTS_MAX, COUNTERS_A_CALL, RunChanged
from sekisho.adapters.redis_limits import RedisLimiter
from sekisho.errors import LimitsUnavailable
from sekisho.model.limits import Estimate, Metric
from support.limit_world import Desk, out_of, rules, spender
from support.valkey import Valkey

WHO = spender("staff-7", "sales")


@pytest.fixture
async def desk(valkey: Valkey) -> AsyncIterator[Desk]:
    one = Desk(valkey.url)
    one.usage = rules(
        {"for": "principal:*", "requests_per_min": 1000, "spend_per_day": 1, "concurrent": 9}
    )
    yield one
    await one.close()


async def begun(desk: Desk) -> RedisLimiter:
    limiter = desk.worker()
    await desk.settled(limiter)
    return limiter


def counters(limiter: RedisLimiter, desk: Desk, name: str = "staff-7") -> tuple[Counter, ...]:
    return limiter.leases.plan(spender(name, "sales"), desk.usage.limits).counters


async def test_one_call_for_all_counters(desk: Desk) -> None:
    """And one more, with the sums of the ledger, for those the store does not have."""
    limiter = await begun(desk)
    desk.stores[0].calls.clear()
    await limiter._rounds.tell(dict.fromkeys(counters(limiter, desk), (1, 1)))
    assert ["take", "take"] == desk.stores[0].calls
    assert 1 == desk.ledger.asked

    await limiter._rounds.tell(dict.fromkeys(counters(limiter, desk), (1, 1)))
    assert 3 == len(desk.stores[0].calls)
    assert all(counter.lease.free for counter in counters(limiter, desk))


async def test_many_counters_are_asked_in_parts(desk: Desk) -> None:
    """So that no script keeps the store from others."""
    limiter = await begun(desk)
    many = [one for number in range(100) for one in counters(limiter, desk, f"staff-{number}")]
    desk.stores[0].calls.clear()

    await limiter._rounds.tell(dict.fromkeys(many, (1, 1)))

    parts = -(-len(many) // COUNTERS_A_CALL)
    assert parts <= len(desk.stores[0].calls) <= 2 * parts
    assert all(counter.lease.joined for counter in many)


async def test_without_the_ledger_nothing_begins(desk: Desk) -> None:
    """A counter that begins at zero would forget what was used."""
    limiter = await begun(desk)
    desk.ledger.down = True

    with pytest.raises(LimitsUnavailable):
        await limiter._rounds.tell(dict.fromkeys(counters(limiter, desk), (1, 1)))

    desk.ledger.down = False
    spend = next(one for one in counters(limiter, desk) if one.limit.metric is Metric.SPEND_PER_DAY)
    assert not spend.lease.joined
    assert spend in limiter.leases.dirty


async def test_what_failed_is_told_again(desk: Desk) -> None:
    """A debt is not lost with the call that told it."""
    limiter = await begun(desk)
    await desk.spend(limiter, WHO)
    desk.stores[0].lose_before["take"] = ATTEMPTS_MAX
    with pytest.raises(LimitsUnavailable):
        await limiter._rounds.tell(dict.fromkeys(counters(limiter, desk), (0, 0)))

    assert set(counters(limiter, desk)) <= set(limiter.leases.dirty)


async def test_a_lost_run_loses_the_leases(desk: Desk, valkey: Valkey) -> None:
    """Whoever finds out, by a call or by the heartbeat."""
    limiter = await begun(desk)
    for tell in (
        lambda: limiter._rounds.tell(dict.fromkeys(counters(limiter, desk), (1, 1))),
        lambda: limiter._rounds.beat(60_000_000),
    ):
        await desk.spend(limiter, WHO)
        with redis.Redis.from_url(valkey.url) as client:
            client.flushall()
        with pytest.raises(RunChanged):
            await tell()
        joined = [one for one in counters(limiter, desk) if one.lease.joined]
        assert all(one.is_places for one in joined)


async def test_counters_in_use_are_not_let_go(desk: Desk) -> None:
    """What an exchange has set aside stays claimed."""
    limiter = await begun(desk)
    charge = await limiter.reserve(WHO, Estimate(1, 1))
    requests = counters(limiter, desk)[0]

    await limiter._rounds.tell({requests: (0, 0)}, fold=True)
    assert requests.lease.joined

    charge.settle(None, None)
    await limiter._rounds.tell({requests: (0, 0)}, fold=True)
    assert not requests.lease.joined
    assert 0 == out_of(desk.url, "principal", "staff-7", Metric.REQUESTS_PER_MIN)


async def test_calls_do_not_overlap(desk: Desk) -> None:
    """Each tells the whole of what is held, so the order must be that of the calls."""
    limiter = await begun(desk)
    names = [f"staff-{number}" for number in range(20)]
    await asyncio.gather(
        *(desk.spend(limiter, spender(name, "sales")) for name in names),
        *(limiter._rounds.tell(dict.fromkeys(counters(limiter, desk, n), (1, 1))) for n in names),
        limiter._rounds.beat(60_000_000),
    )
    await limiter.close()

    assert {1} == {out_of(desk.url, "principal", n, Metric.REQUESTS_PER_MIN) for n in names}

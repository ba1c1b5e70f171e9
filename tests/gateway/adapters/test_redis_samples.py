"""The content of samples in a real Valkey: sealed, bounded, gone with its days or its keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from redis import Redis

from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_samples import CONTENT, TAG, RedisSampleStore
from sekisho.errors import Unavailable
from sekisho.model.samples import Content, Sample
from sekisho.ports import ExchangeKeys
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

WORDS = b"canary-7731: the merger is called Blue Heron"
SAID = Content(WORDS, b"an answer", cut=False)
ONE = Sample(
    *("s-1", "x-1", "staff-7", "m", "b", (), 0, 200, 1, 2, "whole", 2),
    barred=frozenset({"staff-7"}),
)
TWO = replace(ONE, id="s-2", exchange="x-2")


@pytest.fixture
async def store(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[RedisSampleStore]:
    made = RedisSampleStore(
        connect(valkey.url), ledger.exchange_keys, keep_days=7, total_bytes_max=200
    )
    yield made
    await made.close()


@pytest.fixture
def raw(valkey: Valkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        yield client


async def put(store: RedisSampleStore, sample: Sample = ONE, said: Content = SAID) -> bool:
    return await store.keep(sample.id, sample.principal, sample.exchange, said)


async def test_what_was_kept_is_read_again(store: RedisSampleStore, valkey: Valkey) -> None:
    """Both parts and whether they are cut; no word of it is in the store's files."""
    assert await put(store)
    assert await put(store, TWO, replace(SAID, request=b"", cut=True))

    assert await store.get(ONE) == SAID
    assert await store.get(TWO) == Content(b"", b"an answer", cut=True)
    assert b"Blue Heron" not in valkey.files()
    assert await store.get(replace(ONE, id="s-9")) is None


async def test_only_so_much_is_kept(store: RedisSampleStore, raw: Redis) -> None:
    """What is there stays, also if it is kept again; what was judged makes room."""
    large = replace(SAID, answer=b"x" * 60)
    assert await put(store, ONE, large)
    assert await put(store, ONE, large)
    assert not await put(store, TWO, large)
    await store.drop(ONE.id)
    await store.drop(ONE.id)
    assert await put(store, TWO, large)
    assert await store.get(ONE) is None
    used = int(raw.hget(f"{TAG}:sizes", "") or 0)  # type: ignore[arg-type]
    assert used == raw.strlen(CONTENT + TWO.id)


async def test_what_is_over_makes_room(store: RedisSampleStore, raw: Redis) -> None:
    """It ends by itself after its days; what it took is given back when somebody needs it."""
    large = replace(SAID, answer=b"x" * 60)
    await put(store, ONE, large)
    assert 0 < int(raw.pttl(CONTENT + ONE.id)) <= 7 * 86_400_000  # type: ignore[arg-type]
    raw.zadd(f"{TAG}:ends", {ONE.id: 1})

    assert await put(store, TWO, large)
    assert await store.get(ONE) is None


async def test_what_was_moved_altered_or_erased_is_not_there(
    valkey: Valkey, store: RedisSampleStore, raw: Redis, ledger: MemoryLedger
) -> None:
    """An operator with the database shows reviewers nothing of their making, and nobody reads
    what somebody said who was erased.
    """
    await put(store)
    sealed = raw.get(CONTENT + ONE.id)
    assert isinstance(sealed, bytes)
    raw.set(CONTENT + TWO.id, sealed)
    assert await store.get(TWO) is None
    raw.set(CONTENT + ONE.id, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert await store.get(ONE) is None
    raw.set(CONTENT + ONE.id, b"short")
    assert await store.get(ONE) is None
    raw.set(CONTENT + ONE.id, sealed)

    async def other_keys(principal: str, exchange: str) -> ExchangeKeys:
        return await ledger.exchange_keys(f"{principal}-again", exchange)

    again = RedisSampleStore(connect(valkey.url), other_keys, keep_days=7, total_bytes_max=200)
    assert await again.get(ONE) is None
    await again.close()


async def test_a_store_that_is_away_says_so(store: RedisSampleStore, valkey: Valkey) -> None:
    """Within two seconds, whatever is asked."""
    valkey.pause()
    try:
        for asked in (put(store), store.get(ONE), store.drop(ONE.id)):
            with pytest.raises(Unavailable) as caught:
                await asked
            assert caught.value.code == "sample_store_unavailable"
    finally:
        valkey.unpause()

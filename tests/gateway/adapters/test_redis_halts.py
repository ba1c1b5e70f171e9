"""The hash of switches: written by compare-and-set, and stopping wherever it cannot be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from sekisho.adapters.redis_halts import KEY, HaltStore, decode, encode, encode_lifted
from sekisho.adapters.redis_holds import connect
from sekisho.errors import HaltUnknown
from sekisho.model.halts import Halt, Lift
from support.switch import halt
from support.valkey import Valkey

PROPOSED = replace(halt("team", "sales"), last=7, proposed=Lift("l", "operator-2", 5))


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[HaltStore]:
    one = HaltStore(connect(valkey.url))
    yield one
    await one.close()


@pytest.mark.parametrize("one", [halt(), PROPOSED], ids=["set", "proposed"])
def test_a_switch_comes_back_as_it_was(one: Halt) -> None:
    """Always in the same bytes: they are compared."""
    assert decode(one.id, encode(one)) == one
    assert encode(replace(one)) == encode(one)


def test_one_that_was_lifted_says_when() -> None:
    """So that it can be forgotten some day."""
    assert decode("h", encode_lifted("o", 9, 123)) == 123


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"{",
        b"7",
        b"[]",
        b"{}",
        b'{"lifted": true}',
        b'{"lifted": "yes"}',
        encode(halt()).replace(b'"all"', b'"none"'),
        encode(halt()).replace(b'"set_us":1', b'"set_us":[]'),
        encode(halt()).replace(b'"last":1', b'"last":"1"'),
        encode(PROPOSED).replace(b'"at_us":5', b'"at_us":{}'),
        encode(replace(halt(), id="another")),
    ],
)
def test_what_cannot_be_read_stops_everything(row: bytes) -> None:
    """Whoever can write there can stop the gateway, and must not be able to let it go."""
    found = decode("halt-all-", row)

    assert isinstance(found, Halt)
    assert (found.scope, found.origin) == ("all", "")


async def test_what_is_later_stays(store: HaltStore) -> None:
    """A late or repeated writing of `set` never stops again what was lifted."""
    one = replace(halt(), last=3)
    lifted = encode_lifted("o", 9, 1)
    assert await store.put(one.id, encode(one), 3)
    assert not await store.put(one.id, encode(one), 3)
    assert await store.put(one.id, lifted, 9)

    assert not await store.put(one.id, encode(one), 3)

    assert await store.read() == {one.id: lifted}
    assert await store.put(one.id, encode(one), 3, force=True)
    await store.forget(one.id)
    assert await store.read() == {}


async def test_what_nobody_can_read_is_replaced(store: HaltStore, valkey: Valkey) -> None:
    """By what the ledger says, whatever stood there."""
    client = connect(valkey.url)
    for row in (b"{", b"7", b'{"last": "many"}', orjson.dumps([1])):
        await client.hset(KEY, "h", row)

        assert await store.put("h", encode(halt()), 3)
    await client.aclose()


async def test_a_dead_server_is_said_so(store: HaltStore, valkey: Valkey) -> None:
    """Each way, in time."""
    valkey.kill()
    try:
        for step in (store.read(), store.put("h", b"", 1), store.forget("h")):
            with pytest.raises(HaltUnknown):
                await step
    finally:
        valkey.start()

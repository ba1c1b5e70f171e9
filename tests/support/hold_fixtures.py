"""Fixtures around a real Valkey, for the folders whose tests need one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from support.holds import Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    valkey = Valkey()
    valkey.start()
    yield valkey
    valkey.close()


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    """Empty: without data and without scripts, as after a first start."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.script_flush()
    return server


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Desk]:
    one = open_desk(valkey.url, ledger)
    yield one
    await one.close()

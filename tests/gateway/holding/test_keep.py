"""An answer that was paid for is kept although the store was away when it came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.errors import HoldStoreUnavailable
from sekisho.holding.keep import keep
from sekisho.model.hold import StoredAnswer
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import LIMITS, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

ANSWER = StoredAnswer(200, "application/json", b"{}")


@pytest.mark.parametrize("form", ["before", "after"])
async def test_the_answer_is_kept_once_the_store_is_back(
    valkey: Valkey, ledger: MemoryLedger, form: str
) -> None:
    """Lost calls and lost replies are repeated until the answer is in."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, replace(LIMITS, lease_s=30), client)
    view = await desk.approve(await desk.file())
    await desk.store.claim(view.hold.id, "w-1")
    getattr(client, f"lose_{form}")["finish"] = 3
    assert await keep(desk.store, view.hold.id, "w-1", ANSWER, 30)
    assert await desk.store.answer(view.hold.id) == ANSWER
    await desk.close()


async def test_trying_ends_with_the_time_given(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A store that stays away is reported, not waited for without end."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.approve(await desk.file())
    await desk.store.claim(view.hold.id, "w-1")
    client.lose_before["finish"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await keep(desk.store, view.hold.id, "w-1", ANSWER, 0.3)
    assert client.calls.count("finish") >= 2
    await desk.close()


async def test_a_claim_of_another_is_not_finished(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Whoever does not hold the claim keeps nothing."""
    desk = open_desk(valkey.url, ledger)
    view = await desk.approve(await desk.file())
    await desk.store.claim(view.hold.id, "w-1")
    assert not await keep(desk.store, view.hold.id, "w-2", ANSWER, 1)
    await desk.close()

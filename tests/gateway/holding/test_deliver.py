"""The answer reaches its requester, and the first time is on record."""

from __future__ import annotations

import pytest

from sekisho.errors import HoldStoreUnavailable, LedgerUnavailable, NotFound
from sekisho.holding.deliver import deliver
from sekisho.model.hold import HoldState, HoldView, StoredAnswer
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

ANSWER = StoredAnswer(200, "application/json", b"{}")


async def ready(desk: Desk) -> HoldView:
    """A hold with an answer."""
    view = await desk.approve(await desk.file())
    await desk.store.claim(view.hold.id, "w-1")
    await desk.store.finish(view.hold.id, "w-1", ANSWER)
    found = await desk.store.get(view.hold.id)
    assert found is not None
    return found


async def test_the_first_delivery_is_recorded(desk: Desk, ledger: MemoryLedger) -> None:
    """Later reads get the same answer and add nothing to the record."""
    view = await ready(desk)
    for _ in range(2):
        assert await deliver(desk.store, ledger, view) == ANSWER
    again = await desk.store.get(view.hold.id)
    assert again is not None
    assert again.state is HoldState.DELIVERED
    assert await deliver(desk.store, ledger, again) == ANSWER
    assert ledger.types(view.hold.id).count("hold.delivered") == 1


async def test_no_answer_leaves_without_its_record(desk: Desk, ledger: MemoryLedger) -> None:
    """Ledger away: an error and no answer; when it is back the answer is still there."""
    view = await ready(desk)
    ledger.lose_before = 1
    with pytest.raises(LedgerUnavailable):
        await deliver(desk.store, ledger, view)
    assert await desk.store.state(view.hold.id) == HoldState.READY
    assert await deliver(desk.store, ledger, view) == ANSWER


@pytest.mark.parametrize("form", ["before", "after"])
async def test_a_lost_mark_is_made_again(valkey: Valkey, ledger: MemoryLedger, form: str) -> None:
    """Recorded but not marked: the next read repeats both, the record stays single."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await ready(desk)
    getattr(client, f"lose_{form}")["deliver"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await deliver(desk.store, ledger, view)
    client.lose_before.clear()
    client.lose_after.clear()
    assert await deliver(desk.store, ledger, view) == ANSWER
    assert ledger.types(view.hold.id).count("hold.delivered") == 1
    await desk.close()


async def test_without_an_answer_there_is_nothing_to_deliver(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """A hold that was never answered yields a 404, and no record of a delivery."""
    view = await desk.file()
    with pytest.raises(NotFound):
        await deliver(desk.store, ledger, view)
    assert "hold.delivered" not in ledger.types()

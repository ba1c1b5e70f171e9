"""Nothing that is stopped is approved or claimed; what ends a hold goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sekisho.adapters.redis_holds import RedisHoldStore, connect
from sekisho.adapters.switched_holds import SwitchedHoldStore
from sekisho.errors import Halted, HaltUnknown
from sekisho.holding import rebuild
from sekisho.holding.review import withdraw
from sekisho.model.hold import HoldState, StoredAnswer
from support.holds import LIMITS, REVIEWER, STAFF, Desk
from support.memory_ledger import MemoryLedger
from support.switch import Switch, halt
from support.valkey import Valkey


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture
async def switched(
    desk: Desk, valkey: Valkey, ledger: MemoryLedger, switch: Switch
) -> AsyncIterator[Desk]:
    """The desk, with its store behind the switch."""

    async def reapply(store: RedisHoldStore) -> None:
        await rebuild.reapply(store, ledger)

    client = connect(valkey.url)
    store = SwitchedHoldStore(client, ledger.exchange_keys, LIMITS, reapply, switch)
    yield Desk(store, ledger, desk.filing, LIMITS)
    await store.close()


@pytest.mark.parametrize(
    ("scope", "name"), [("all", ""), ("team", "sales"), ("model", "gpt-x"), ("backend", "demo")]
)
async def test_what_is_stopped_is_neither_approved_nor_claimed(
    switched: Desk, switch: Switch, scope: str, name: str
) -> None:
    """It stays where it is, and goes on when the switch is lifted."""
    waiting, approved = await switched.file("one"), await switched.file("two")
    await switched.approve(approved)
    switch.set(halt(scope, name))

    with pytest.raises(Halted):
        await switched.approve(waiting)
    assert await switched.store.claim(approved.hold.id, "w-1") is None
    assert await switched.store.state(waiting.hold.id) == HoldState.PENDING
    assert await switched.store.state(approved.hold.id) == HoldState.APPROVED

    switch.set()
    await switched.approve(waiting)
    assert await switched.store.claim(approved.hold.id, "w-1") is not None


async def test_a_kept_answer_is_not_given_out(switched: Desk, switch: Switch) -> None:
    """By whatever page or API it is asked for; it is there when the switch is lifted."""
    view = await switched.file("one")
    await switched.approve(view)
    assert await switched.store.claim(view.hold.id, "w-1") is not None
    await switched.store.finish(view.hold.id, "w-1", StoredAnswer(200, "application/json", b"{}"))
    switch.set(halt("model", "gpt-x"))

    with pytest.raises(Halted):
        await switched.store.answer(view.hold.id)

    switch.set()
    assert await switched.store.answer(view.hold.id) is not None


async def test_what_ends_a_hold_goes_on(switched: Desk, switch: Switch) -> None:
    """A denial and a withdrawal let nothing through."""
    denied, taken_back = await switched.file("one"), await switched.file("two")
    switch.set(halt())

    after = await switched.review(denied, REVIEWER, "deny")
    await withdraw(switched.store, switched.ledger, STAFF, taken_back.hold.id)

    assert after.state is HoldState.DENIED
    assert await switched.store.state(taken_back.hold.id) == HoldState.WITHDRAWN


async def test_nothing_is_claimed_by_who_does_not_hear_the_switch(
    switched: Desk, switch: Switch
) -> None:
    """Nor approved: it may have been set."""
    approved, waiting = await switched.file("one"), await switched.file("two")
    await switched.approve(approved)
    switch.unheard = True

    with pytest.raises(HaltUnknown):
        await switched.store.claim(approved.hold.id, "w-1")
    with pytest.raises(HaltUnknown):
        await switched.approve(waiting)
    assert await switched.store.state(approved.hold.id) == HoldState.APPROVED

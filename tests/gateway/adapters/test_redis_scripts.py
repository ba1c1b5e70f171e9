"""The gate: a store that began anew decides, claims and shows nothing until the ledger is in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis
from redis.asyncio import Redis

from sekisho.adapters.redis_holds import RedisHoldStore, connect
from sekisho.adapters.redis_scripts import CALL_DEADLINE_S, GatedScripts
from sekisho.errors import HoldStoreUnavailable, LedgerUnavailable, Unavailable
from sekisho.holding import rebuild
from sekisho.model.hold import HoldState, StoredAnswer
from support.holds import LIMITS, REVIEWER_2, Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

STALL_S = CALL_DEADLINE_S + 1.0
GATED = [digest for name, digest in GatedScripts.digests().items() if name != "restore"]


def test_every_script_is_gated_but_restore() -> None:
    """Whatever script is added, it stands behind the gate."""
    assert {"propose", "settle", "claim", "finish"} <= set(GatedScripts.sources)
    for name, source in GatedScripts.sources.items():
        assert (b"EXISTS', KEYS[1]" in source) is (name != "restore")
        assert b"Promises" in source


@pytest.mark.parametrize("lose_data", [False, True])
async def test_holds_survive_a_killed_store(ledger: MemoryLedger, *, lose_data: bool) -> None:
    """Kill -9 at each state, with its files or without: no decision is lost or made twice."""
    valkey = Valkey()
    valkey.start()
    desk = open_desk(valkey.url, ledger, replace(LIMITS, lease_s=60))
    try:
        views = [await desk.file(f"request {number}") for number in range(4)]
        pending, approved, denied, claimed = (view.hold.id for view in views)
        await desk.approve(views[1])
        await desk.review(views[2], REVIEWER_2, "deny")
        await desk.approve(views[3])
        assert await desk.store.claim(claimed, "w-1") is not None
        valkey.restart(lose_data=lose_data)
        assert await desk.store.state(pending) == HoldState.PENDING
        assert await desk.store.state(approved) == HoldState.APPROVED
        assert await desk.store.state(denied) == HoldState.DENIED
        view = await desk.store.get(approved)
        assert view is not None
        assert [one.decision for one in view.reviews] == ["approve"]
        assert view.hold == views[1].hold
        assert view.settled_index is not None
        assert (await desk.approve(views[0])).state is HoldState.APPROVED
    finally:
        await desk.close()
        valkey.close()


async def test_a_live_claim_survives_a_restart_with_its_files(ledger: MemoryLedger) -> None:
    """The worker that was sending while the store restarted still delivers its answer."""
    valkey = Valkey()
    valkey.start()
    desk = open_desk(valkey.url, ledger, replace(LIMITS, lease_s=60))
    try:
        view = await desk.file()
        await desk.approve(view)
        await desk.store.claim(view.hold.id, "w-1")
        valkey.restart()
        assert await desk.store.claim(view.hold.id, "w-2") is None
        assert await desk.store.renew(view.hold.id, "w-1")
        assert await desk.store.finish(view.hold.id, "w-1", StoredAnswer(200, "", b"x"))
    finally:
        await desk.close()
        valkey.close()


async def test_nothing_runs_while_the_ledger_is_away(
    desk: Desk, ledger: MemoryLedger, valkey: Valkey
) -> None:
    """After a restart without a ledger every call is a 503, reads included; then it recovers."""
    view = await desk.file()
    await desk.approve(view)
    with redis.Redis.from_url(valkey.url) as raw:
        raw.script_flush()
    ledger.down = True
    for call in (
        desk.store.state(view.hold.id),
        desk.store.renew(view.hold.id, "w-1"),
        desk.store.list_open(10),
        desk.store.hop(view.hold.id),
        desk.store.due(10, 0),
    ):
        with pytest.raises(HoldStoreUnavailable) as caught:
            await call
        assert caught.value.code == "hold_store_restarting"
    with redis.Redis.from_url(valkey.url) as raw:
        assert not any(raw.script_exists(*GATED))
    ledger.down = False
    assert await desk.store.claim(view.hold.id, "w-1") is not None


async def test_a_wiped_store_is_noticed_without_a_restart(desk: Desk, valkey: Valkey) -> None:
    """FLUSHALL leaves the scripts but takes the holds: the ledger is applied again."""
    view = await desk.file()
    with redis.Redis.from_url(valkey.url) as raw:
        raw.flushall()
    assert await desk.store.state(view.hold.id) == HoldState.PENDING


async def test_one_worker_applies_the_ledger_for_all(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Four workers meet an empty store at once: the ledger is applied once, all go on."""
    applied = 0

    async def reapply(store: RedisHoldStore) -> None:
        nonlocal applied
        applied += 1
        await asyncio.sleep(0.1)
        await rebuild.reapply(store, ledger)

    stores = [
        RedisHoldStore(connect(valkey.url), ledger.exchange_keys, LIMITS, reapply) for _ in range(4)
    ]
    states = await asyncio.gather(*(store.state("hold_x") for store in stores for _ in range(3)))
    for store in stores:
        await store.close()
    assert states == [None] * 12
    assert applied == 1


async def test_a_restart_while_the_ledger_is_applied_leaves_the_gate_shut(
    ledger: MemoryLedger,
) -> None:
    """Scripts never appear on another server than the one the ledger was applied to."""
    valkey = Valkey()
    valkey.start()
    seen: list[bool] = []

    async def reapply(store: RedisHoldStore) -> None:
        await rebuild.reapply(store, ledger)
        if not seen:
            await asyncio.to_thread(valkey.restart, lose_data=True)
        async with Redis.from_url(valkey.url) as raw:
            seen.append(any(await raw.script_exists(*GATED)))

    desk = open_desk(valkey.url, ledger)
    store = RedisHoldStore(connect(valkey.url), ledger.exchange_keys, LIMITS, reapply)
    try:
        view = await desk.file()
        valkey.restart(lose_data=True)
        with pytest.raises(HoldStoreUnavailable):
            await store.state(view.hold.id)
        assert await store.state(view.hold.id) == HoldState.PENDING
    finally:
        await store.close()
        await desk.close()
        valkey.close()
    assert seen == [False, False]


async def test_a_worker_that_dies_at_the_gate_does_not_keep_it(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """If applying fails, the next worker is not kept waiting for the lock."""

    async def fail(_: RedisHoldStore) -> None:
        raise LedgerUnavailable("away")

    broken = RedisHoldStore(connect(valkey.url), ledger.exchange_keys, LIMITS, fail)
    with pytest.raises(Unavailable):
        await broken.state("hold_x")
    desk = open_desk(valkey.url, ledger)
    assert await desk.store.state("hold_x") is None
    await desk.close()
    await broken.close()


@pytest.mark.parametrize("how", ["killed", "silent"])
async def test_a_dead_store_is_said_within_its_deadline(ledger: MemoryLedger, how: str) -> None:
    """Refused connections and silence both end as HoldStoreUnavailable, and heal by themselves."""
    valkey = Valkey()
    valkey.start()
    desk = open_desk(valkey.url, ledger)
    try:
        view = await desk.file()
        if how == "killed":
            valkey.kill()
        else:
            valkey.pause()
        async with asyncio.timeout(STALL_S):
            with pytest.raises(HoldStoreUnavailable):
                await desk.store.state(view.hold.id)
        async with asyncio.timeout(STALL_S):
            with pytest.raises(HoldStoreUnavailable):
                await desk.store.hop(view.hold.id)
        if how == "killed":
            valkey.start()
        else:
            valkey.unpause()
        assert await desk.store.state(view.hold.id) == HoldState.PENDING
    finally:
        await desk.close()
        valkey.close()

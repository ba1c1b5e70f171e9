"""The loop that finishes what nobody asks for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis

from sekisho.adapters.redis_holds import HOLDS
from sekisho.errors import HoldStoreUnavailable, LedgerUnavailable
from sekisho.holding.sweep import Sweep
from sekisho.model.hold import HoldState, StoredAnswer
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import LIMITS, REVIEWER, Desk, open_desk, until
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey


async def nothing(_: str) -> None:
    """A resume that leaves approved holds alone."""


async def swept(sweep: Sweep, desk: Desk, hold_id: str, state: HoldState) -> None:
    """Sweep until the hold is in `state`."""

    async def reached() -> bool:
        await sweep.once()
        return await desk.store.state(hold_id) == state

    await until(reached)


async def test_a_hold_over_time_expires_and_is_recorded(desk: Desk, ledger: MemoryLedger) -> None:
    """Silence never approves: the outcome is expired, in store and ledger, once."""
    view = await desk.file(ttl_s=0.05)
    sweeps = [Sweep(desk.store, ledger, nothing) for _ in range(3)]
    await asyncio.sleep(0.06)
    await asyncio.gather(*(sweep.once() for sweep in sweeps))
    assert await desk.store.state(view.hold.id) == HoldState.EXPIRED
    assert ledger.types(view.hold.id) == ["hold.filed", "hold.settled"]
    assert ledger.events[-1].data["state"] == "expired"


@pytest.mark.parametrize("arrow", ["propose", "append", "settle"])
@pytest.mark.parametrize("form", ["before", "after"])
async def test_an_expiry_survives_a_lost_reply(
    valkey: Valkey, ledger: MemoryLedger, arrow: str, form: str
) -> None:
    """Whatever is lost on the way, the hold is expired once in the end."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file(ttl_s=0.01)
    await asyncio.sleep(0.02)
    if arrow == "append":
        setattr(ledger, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[arrow] = 2
    await swept(Sweep(desk.store, ledger, nothing), desk, view.hold.id, HoldState.EXPIRED)
    await desk.close()
    assert ledger.types(view.hold.id) == ["hold.filed", "hold.settled"]


async def test_what_nobody_waits_for_leaves_room_for_what_people_approved(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """However much was asked for in the background, an approved request is sent beside it."""
    asked = [await desk.file(f"text {n}", thresholds=(), background=True) for n in range(20)]
    view = await desk.file()
    await desk.approve(view)
    resumed: list[str] = []
    go = asyncio.Event()

    async def resume(hold_id: str) -> None:
        resumed.append(hold_id)
        await go.wait()

    sweep = Sweep(desk.store, ledger, resume)
    for _ in range(2):
        await sweep.once()
        await asyncio.sleep(0)

    assert view.hold.id in resumed
    assert len(resumed) - 1 == len({one.hold.id for one in asked} & set(resumed)) == 8
    go.set()
    await sweep.stop()


async def test_an_approved_hold_goes_out_though_no_client_waits(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """The approval is handed to `resume`, once at a time."""
    view = await desk.file()
    await desk.approve(view)
    resumed: list[str] = []
    go = asyncio.Event()

    async def resume(hold_id: str) -> None:
        resumed.append(hold_id)
        await go.wait()
        await desk.store.claim(hold_id, "w-1")
        await desk.store.finish(hold_id, "w-1", StoredAnswer(200, "", b""))

    sweep = Sweep(desk.store, ledger, resume)
    for _ in range(3):
        await sweep.once()
        await asyncio.sleep(0)
    go.set()
    await sweep.stop()
    await sweep.once()
    assert resumed == [view.hold.id]
    assert await desk.store.state(view.hold.id) == HoldState.READY


async def test_a_claim_that_died_is_unknown(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A lease that ran out is noticed by any worker; it is not sent again."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, lease_s=0.05))
    view = await desk.file()
    await desk.approve(view)
    await desk.store.claim(view.hold.id, "w-dead")
    resumed: list[str] = []

    async def resume(hold_id: str) -> None:
        resumed.append(hold_id)

    sweep = Sweep(desk.store, ledger, resume)
    await swept(sweep, desk, view.hold.id, HoldState.UNKNOWN)
    await sweep.once()
    await desk.close()
    assert resumed == []


async def test_what_was_kept_long_enough_is_removed(valkey: Valkey, ledger: MemoryLedger) -> None:
    """An ended hold disappears after its time of keeping; one still kept does not."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, keep_answer_s=0))
    kept = open_desk(valkey.url, ledger)
    gone, stays = await desk.file("a"), await kept.file("b")
    await desk.review(gone, REVIEWER, "deny")
    await kept.review(stays, REVIEWER, "deny")
    await Sweep(desk.store, ledger, nothing).once()
    assert await desk.store.state(gone.hold.id) is None
    assert await desk.store.state(stays.hold.id) == HoldState.DENIED
    await desk.close()
    await kept.close()


async def test_a_decision_of_another_ledger_is_left_to_it(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """Only workers at the ledger that took a decision may finish it; until then it stays closed."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file()
    client.lose_before["settle"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await desk.approve(view)
    elsewhere = MemoryLedger()
    elsewhere.origin = "ledger.example/other"
    sweep = Sweep(open_desk(valkey.url, elsewhere).store, elsewhere, nothing)
    await asyncio.sleep(0.25)
    await sweep.once()
    assert await desk.store.state(view.hold.id) == HoldState.DECIDING
    assert elsewhere.events == []
    await sweep._store.close()  # type: ignore[attr-defined]
    await desk.close()


async def test_one_broken_hold_does_not_stop_the_others(
    desk: Desk, ledger: MemoryLedger, valkey: Valkey
) -> None:
    """A record that cannot be opened is left alone while the next hold is tended."""
    broken = await desk.file("a", ttl_s=0.01)
    fine = await desk.file("b", ttl_s=0.02)
    with redis.Redis.from_url(valkey.url) as raw:
        raw.hset(HOLDS + broken.hold.id, "record", b"nonsense")
    await asyncio.sleep(0.03)
    await Sweep(desk.store, ledger, nothing).once()
    assert await desk.store.state(fine.hold.id) == HoldState.EXPIRED
    assert await desk.store.state(broken.hold.id) == HoldState.PENDING


async def test_a_resume_that_fails_is_tried_again(desk: Desk, ledger: MemoryLedger) -> None:
    """As long as nobody has claimed the approval, the next sweep hands it over again."""
    view = await desk.file()
    await desk.approve(view)
    tries = 0

    async def resume(_: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            message = "away"
            raise LedgerUnavailable(message)
        message = "a fault of ours"
        raise RuntimeError(message)

    sweep = Sweep(desk.store, ledger, resume)
    for _ in range(3):
        await sweep.once()
        await sweep.stop()
    assert tries == 3
    assert await desk.store.state(view.hold.id) == HoldState.APPROVED


async def test_the_loop_outlives_a_dead_store(ledger: MemoryLedger) -> None:
    """While Valkey is away the loop goes on; when it is back holds are tended again."""
    valkey = Valkey()
    valkey.start()
    desk = open_desk(valkey.url, ledger)
    sweep = Sweep(desk.store, ledger, nothing)
    view = await desk.file(ttl_s=0.01)
    valkey.kill()
    running = asyncio.create_task(sweep.run())
    await asyncio.sleep(0.05)
    valkey.start()

    async def expired() -> bool:
        return await desk.store.state(view.hold.id) == HoldState.EXPIRED

    await until(expired, 10)
    await sweep.stop()
    await running
    await desk.close()
    valkey.close()

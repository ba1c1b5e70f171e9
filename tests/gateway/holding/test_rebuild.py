"""The live state can be lost: the ledger has what was decided, and nothing is sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis

from sekisho.errors import HoldStoreUnavailable
from sekisho.holding import rebuild
from sekisho.holding.settle import decide, withdrawal
from sekisho.model.hold import Hold, HoldState, StoredAnswer
from sekisho.model.ids import uuid7
from sekisho_audit.events import Event, Payload
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import LIMITS, REVIEWER, REVIEWER_2, TWO_REVIEWS, Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey


def wipe(valkey: Valkey) -> None:
    """Everything the store knew is gone, scripts as well."""
    with redis.Redis.from_url(valkey.url) as raw:
        raw.flushall()
        raw.script_flush()


async def send(ledger: MemoryLedger, hold: Hold) -> str:
    """Record an intent for an approved hold, as the line does before anything leaves."""
    data = {
        "session": "s-1",
        "attempt": 1,
        "backend": hold.backend,
        "model": hold.model,
        "path": hold.path,
        "bytes": len(hold.outgoing),
        "revision": hold.revision,
        "hold": hold.id,
        "version": hold.version,
        "binding": hold.binding,
    }
    body = (Payload("outgoing", hold.outgoing),)
    intent = Event(uuid7(), "backend.intent", hold.exchange, hold.principal, data, payloads=body)
    await ledger.append([intent])
    return intent.id


async def test_every_outcome_comes_back(desk: Desk, ledger: MemoryLedger, valkey: Valkey) -> None:
    """Pending, partly reviewed, approved, denied, withdrawn: each as the ledger has it."""
    pending = await desk.file("a")
    partly = await desk.file("b", thresholds=TWO_REVIEWS)
    approved, denied, withdrawn = [await desk.file(text) for text in "cde"]
    await desk.approve(partly)
    await desk.approve(approved)
    await desk.review(denied, REVIEWER, "deny", "not like this")
    away = withdrawal(withdrawn.hold, ledger.origin)
    await decide(desk.store, ledger, withdrawn.hold, away)
    wipe(valkey)
    wanted = {
        pending: HoldState.PENDING,
        partly: HoldState.PENDING,
        approved: HoldState.APPROVED,
        denied: HoldState.DENIED,
        withdrawn: HoldState.WITHDRAWN,
    }
    for view, state in wanted.items():
        found = await desk.store.get(view.hold.id)
        assert found is not None
        assert (found.state, found.hold) == (state, view.hold)
    again = await desk.store.get(denied.hold.id)
    assert again is not None
    assert again.outcome_reason == "not like this"
    with pytest.raises(Exception, match="reviewed this hold already"):
        await desk.review(partly, REVIEWER, "deny")
    assert (await desk.approve(partly, REVIEWER_2)).state is HoldState.APPROVED
    assert (await desk.approve(approved)).state is HoldState.APPROVED
    assert await desk.store.claim(approved.hold.id, "w-1") is not None


@pytest.mark.parametrize(
    ("outcome", "state", "cause"),
    [
        (None, HoldState.UNKNOWN, "session_lost"),
        ("unknown", HoldState.UNKNOWN, "session_lost"),
        ("released", HoldState.FAILED, "answer_lost"),
        ("failed", HoldState.FAILED, "answer_lost"),
    ],
)
async def test_what_has_an_intent_is_never_sent_again(
    desk: Desk,
    ledger: MemoryLedger,
    valkey: Valkey,
    *,
    outcome: str | None,
    state: HoldState,
    cause: str,
) -> None:
    """After the loss of the store an approval that was used cannot be claimed."""
    view = await desk.file()
    await desk.approve(view)
    await desk.store.claim(view.hold.id, "w-1")
    intent = await send(ledger, view.hold)
    if outcome is not None:
        data = {"intent": intent, "status": outcome}
        end = Event(uuid7(), "backend.outcome", view.hold.exchange, view.hold.principal, data)
        await ledger.append([end])
    wipe(valkey)
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert (found.state, found.outcome_reason) == (state, cause)
    assert await desk.store.claim(view.hold.id, "w-2") is None
    assert not await desk.store.finish(view.hold.id, "w-1", StoredAnswer(200, "", b""))


async def test_applying_the_ledger_disturbs_nothing_that_runs(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """Applied to a store that lost nothing, no hold changes, at whatever state."""
    views = [await desk.file(str(n)) for n in range(5)]
    for view in views[1:]:
        await desk.approve(view)
    for view in views[2:]:
        await desk.store.claim(view.hold.id, "w-1")
    for view in views[3:]:
        await desk.store.finish(view.hold.id, "w-1", StoredAnswer(200, "", b"x"))
    await desk.store.deliver(views[4].hold.id)
    before = [await desk.store.get(view.hold.id) for view in views]
    for _ in range(2):
        assert await rebuild.reapply(desk.store, ledger) == 5
    assert [await desk.store.get(view.hold.id) for view in views] == before
    assert await desk.store.answer(views[4].hold.id) is not None
    assert await desk.store.renew(views[2].hold.id, "w-1")


async def test_an_approval_the_ledger_does_not_have_is_pending_again(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """A store that is ahead of the ledger (restored from a backup) is not believed."""
    view = await desk.file()
    await desk.approve(view)
    ledger.holds[view.hold.id].settled = None
    ledger.holds[view.hold.id].reviews = []
    await rebuild.reapply(desk.store, ledger)
    assert await desk.store.state(view.hold.id) == HoldState.PENDING
    assert await desk.store.claim(view.hold.id, "w-1") is None


async def test_an_approval_newer_than_the_look_at_the_ledger_stays(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """What was settled while the ledger was being read is not undone by the older look."""
    view = await desk.file()
    old_look = await ledger.open_holds()

    async def stale():  # type: ignore[no-untyped-def]
        await desk.approve(view)
        return old_look

    ledger.open_holds = stale  # type: ignore[method-assign]
    await rebuild.reapply(desk.store, ledger)
    assert await desk.store.state(view.hold.id) == HoldState.APPROVED


async def test_a_decision_under_way_stays_under_way(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A proposal the ledger does not have yet is kept for its finisher, not thrown away."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file()
    ledger.lose_before = 1
    with pytest.raises(Exception, match="away"):
        await desk.approve(view)
    await rebuild.reapply(desk.store, ledger)
    assert await desk.store.state(view.hold.id) == HoldState.DECIDING
    assert (await desk.approve(view)).state is HoldState.APPROVED
    await desk.close()


async def test_a_decision_under_way_that_the_ledger_has_is_applied(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """The outcome is taken from the ledger with its review, and the finisher finds it done."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file()
    client.lose_before["settle"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await desk.approve(view)
    await rebuild.reapply(desk.store, ledger)
    client.lose_before.clear()
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert (found.state, len(found.reviews), found.proposal) == (HoldState.APPROVED, 1, None)
    assert (await desk.approve(view)).state is HoldState.APPROVED
    assert len(ledger.types(view.hold.id)) == 3
    await desk.close()


async def test_an_old_approval_is_not_renewed_by_a_restart(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """The time an approval is good for counts from its last review, not from the rebuilding."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, execution_expiry_s=1))
    view = await desk.file()
    ledger.now_us = lambda: view.hold.created_us - 2_000_000
    await desk.approve(view)
    wipe(valkey)
    assert await desk.store.state(view.hold.id) == HoldState.APPROVED
    assert await desk.store.claim(view.hold.id, "w-1") is None
    await desk.close()


async def test_one_unreadable_record_does_not_keep_the_store_closed(
    desk: Desk, ledger: MemoryLedger, valkey: Valkey
) -> None:
    """It is reported and left out; all other holds come back."""
    bad, good = await desk.file("a"), await desk.file("b")
    shown = await ledger.open_holds()
    broken = [replace(one, record=b"x") if one.hold == bad.hold.id else one for one in shown]

    async def open_holds():  # type: ignore[no-untyped-def]
        return broken

    ledger.open_holds = open_holds  # type: ignore[method-assign]
    wipe(valkey)
    assert await desk.store.state(good.hold.id) == HoldState.PENDING
    assert await desk.store.state(bad.hold.id) is None


async def test_a_record_of_another_hold_is_refused(desk: Desk, ledger: MemoryLedger) -> None:
    """A ledger entry whose record names another hold is not restored under either name."""
    one, two = await desk.file("a"), await desk.file("b")
    ledger.holds["hold_" + "0" * 32] = ledger.holds.pop(one.hold.id)
    with pytest.raises(ValueError, match="another hold"):
        await rebuild.restore_one(desk.store, ledger, "hold_" + "0" * 32)
    assert await rebuild.restore_one(desk.store, ledger, two.hold.id)
    assert not await rebuild.restore_one(desk.store, ledger, one.hold.id)


async def test_the_bytes_of_rebuilt_holds_count(
    desk: Desk, ledger: MemoryLedger, valkey: Valkey
) -> None:
    """The limit holds after a rebuild as well, and applying twice counts once."""
    view = await desk.file()
    with redis.Redis.from_url(valkey.url) as raw:
        before = raw.get("{sekisho-holds}:bytes")
        wipe(valkey)
        await asyncio.gather(*(desk.store.state(view.hold.id) for _ in range(4)))
        await rebuild.reapply(desk.store, ledger)
        assert raw.get("{sekisho-holds}:bytes") == before

"""Filing keeps one hold for equal requests, and loses none that the ledger has."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sekisho.errors import (
    DeniedByPolicy,
    HoldStoreUnavailable,
    LimitReached,
    Mismatch,
    Unavailable,
)
from sekisho.holding import binding, rebuild
from sekisho.holding.review import withdraw
from sekisho.holding.sweep import Sweep
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState, StoredAnswer
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import (
    CANARY,
    LIMITS,
    ROBOT,
    STAFF,
    STRANGER,
    Desk,
    open_desk,
    until,
)
from support.holds import (
    REVIEWER_2 as STRANGER_REVIEWER,
)
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey


async def nothing(_: str) -> None:
    """A resume that leaves approved holds alone."""


async def answered(desk: Desk, text: str, *, key: str | None = None) -> str:
    """A hold that was filed, approved, sent and delivered; returns its id."""
    view = await desk.file(text, key=key)
    await desk.approve(view)
    await desk.store.claim(view.hold.id, "w-1")
    await desk.store.finish(view.hold.id, "w-1", StoredAnswer(200, "application/json", b"{}"))
    await desk.store.deliver(view.hold.id)
    return view.hold.id


async def test_a_filed_hold_is_in_ledger_and_store(desk: Desk, ledger: MemoryLedger) -> None:
    """Received, decision and hold are one batch; the store shows the same hold, pending."""
    view = await desk.file()
    assert ledger.types() == ["request.received", "policy.decision", "hold.filed"]
    assert view.state is HoldState.PENDING
    keys = await ledger.exchange_keys(STAFF.id, view.hold.exchange)
    assert binding.is_bound(view.hold, keys.commit)
    payloads = {one.name: one.exact for one in ledger.events[2].payloads}
    assert payloads["outgoing"] == view.hold.outgoing


async def test_five_equal_requests_make_one_hold(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Sent at the same time through two workers, all five stand for the same hold."""
    desks = [open_desk(valkey.url, ledger) for _ in range(2)]
    views = await asyncio.gather(*(desks[n % 2].file("the same") for n in range(5)))
    for desk in desks:
        await desk.close()
    assert len({view.hold.id for view in views}) == 1
    assert ledger.types().count("hold.filed") == 1


async def test_other_principals_and_bodies_do_not_join(desk: Desk) -> None:
    """The same words of someone else, or other words of the same person, are another hold."""
    one = await desk.file("a")
    two = await desk.file("b")
    three = await desk.file("a", principal=STRANGER)
    assert len({view.hold.id for view in (one, two, three)}) == 3


@pytest.mark.parametrize("stage", ["pending", "approved", "dispatching", "ready"])
async def test_a_repeated_request_joins_until_its_answer_was_delivered(
    desk: Desk, stage: str
) -> None:
    """Up to the delivery of the answer the same request is the same hold."""
    view = await desk.file()
    if stage != "pending":
        await desk.approve(view)
    if stage in {"dispatching", "ready"}:
        await desk.store.claim(view.hold.id, "w-1")
    if stage == "ready":
        await desk.store.finish(view.hold.id, "w-1", StoredAnswer(200, "text/plain", b""))
    again = await desk.file()
    assert (again.hold.id, again.state) == (view.hold.id, stage)


async def test_after_delivery_only_a_retry_joins(desk: Desk) -> None:
    """A client that says it retries gets the delivered hold; a new request is a new hold."""
    first = await answered(desk, "again")
    assert (await desk.file("again", retry=1)).hold.id == first
    assert (await desk.file("again")).hold.id != first


async def test_a_retry_joins_for_a_limited_time(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Long after the delivery a retry, too, is a new hold."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, retry_join_s=0.05))
    first = await answered(desk, "again")
    await asyncio.sleep(0.1)
    second = await desk.file("again", retry=1)
    await desk.close()
    assert second.hold.id != first


async def test_an_idempotency_key_names_one_request(desk: Desk) -> None:
    """The key joins its hold, also after delivery; with another body it is refused."""
    first = await answered(desk, "one", key="k-1")
    assert (await desk.file("one", key="k-1")).hold.id == first
    with pytest.raises(Mismatch) as caught:
        await desk.file("another", key="k-1")
    assert (caught.value.status, caught.value.code) == (422, "idempotency_mismatch")
    assert (await desk.file("another", key="k-1", principal=STRANGER)).hold.id != first


async def test_a_body_cannot_pretend_to_be_a_key(desk: Desk) -> None:
    """Join pointers by key and by body never meet, whatever a client sends as its key."""
    plain = await desk.file("x")
    keyed = await desk.file("x", key="x")
    assert plain.hold.id != keyed.hold.id


async def test_terms_that_nobody_could_meet_are_refused(desk: Desk, ledger: MemoryLedger) -> None:
    """A hold without reviewers or time would never end well, so it is not filed."""
    for thresholds, ttl_s in (((), 600), ((Threshold("reviewer", 1, 1),), 0)):
        with pytest.raises(DeniedByPolicy):
            await desk.file(thresholds=thresholds, ttl_s=ttl_s)
    assert ledger.events == []


async def test_the_time_of_a_hold_is_bounded(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A policy that asks for a year gets the installation's limit."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, ttl_s_max=60))
    view = await desk.file(ttl_s=31_536_000)
    await desk.close()
    assert view.hold.expires_us - view.hold.created_us == 60_000_000


async def test_a_full_store_refuses_before_the_ledger_is_asked(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """Above the byte limit filing is refused with its own code, and room comes back in time."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, total_bytes_max=3000, keep_answer_s=0))
    view = await desk.file("x" * 2000)
    with pytest.raises(HoldStoreUnavailable) as caught:
        await desk.file("y" * 2000)
    assert caught.value.code == "hold_store_full"
    assert ledger.types().count("hold.filed") == 1
    await desk.review(view, STRANGER_REVIEWER, "deny")
    await desk.store.forget(view.hold.id)
    assert (await desk.file("y" * 2000)).state is HoldState.PENDING
    await desk.close()


async def test_nobody_has_more_than_their_share(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Of requests that have not ended; others are let in, and so are equal requests, which join."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, share_max=2))
    views = [await desk.file(text) for text in ("one", "two")]
    with pytest.raises(LimitReached) as caught:
        await desk.file("three")
    assert (caught.value.code, caught.value.retry_after_s) == ("hold_share_full", None)
    assert ledger.types().count("hold.filed") == 2
    assert (await desk.file("one")).hold.id == views[0].hold.id
    assert (await desk.file("three", principal=ROBOT)).state is HoldState.PENDING

    await desk.review(views[0], STRANGER_REVIEWER, "deny")
    assert (await desk.file("three")).state is HoldState.PENDING
    await desk.close()


async def test_a_share_counts_bytes_too(valkey: Valkey, ledger: MemoryLedger) -> None:
    """One that is alone is let in whatever its size."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, share_bytes_max=1000))
    view = await desk.file("x" * 2000)
    with pytest.raises(LimitReached) as caught:
        await desk.file("y")
    assert caught.value.code == "hold_share_full"
    await withdraw(desk.store, ledger, STAFF, view.hold.id)
    assert (await desk.file("y")).state is HoldState.PENDING
    await desk.close()


async def test_what_could_not_be_filed_takes_no_share(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A reservation that is given up gives its share back."""
    desk = open_desk(valkey.url, ledger, replace(LIMITS, share_max=1))
    ledger.down = True
    with pytest.raises(Unavailable):
        await desk.file("one")
    ledger.down = False
    assert (await desk.file("two")).state is HoldState.PENDING
    await desk.close()


async def test_a_service_account_names_its_owner(desk: Desk, ledger: MemoryLedger) -> None:
    """The person behind a service account is in the hold and in the ledger."""
    view = await desk.file(principal=ROBOT)
    assert (view.hold.principal, view.hold.person) == ("robot-1", "reviewer-1")
    assert ledger.events[-1].data["person"] == "reviewer-1"


async def test_nothing_is_filed_when_the_ledger_is_away(desk: Desk, ledger: MemoryLedger) -> None:
    """Without evidence there is no hold, and the refused request leaves no reservation behind."""
    ledger.down = True
    with pytest.raises(Unavailable) as caught:
        await desk.file()
    assert caught.value.code == "audit_unavailable"
    ledger.down = False
    assert (await desk.file()).state is HoldState.PENDING


@pytest.mark.parametrize(
    ("arrow", "form", "kept"),
    [
        ("reserve", "before", False),
        ("reserve", "after", False),
        ("append", "before", False),
        ("append", "after", True),
        ("file", "before", True),
        ("file", "after", True),
    ],
)
async def test_a_worker_that_dies_while_filing(
    valkey: Valkey, ledger: MemoryLedger, arrow: str, form: str, *, kept: bool
) -> None:
    """A hold the ledger has appears in the store; a reservation without one is given up.

    The same request sent again is then one hold with it, or a new one.
    """
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    if arrow == "append":
        setattr(ledger, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[arrow] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.file()
    filed = list(ledger.holds)
    assert bool(filed) is kept
    other = open_desk(valkey.url, ledger)
    sweep = Sweep(other.store, ledger, nothing, orphan_s=0)
    await sweep.once()
    for hold_id in filed:
        assert await other.store.state(hold_id) == HoldState.PENDING
    view = await other.file()
    due = await other.store.due(10, 0)
    await desk.close()
    await other.close()
    assert view.state is HoldState.PENDING
    assert not due.orphans
    assert ledger.types().count("hold.filed") == 1
    assert not kept or view.hold.id == filed[0]


async def test_an_equal_request_waits_for_the_filing_of_another_worker(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """While one worker is between reserving and filing, an equal request waits and joins."""
    client = FaultyRedis.to(valkey.url)
    slow = open_desk(valkey.url, ledger, client=client)
    other = open_desk(valkey.url, ledger)
    client.lose_before["file"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await slow.file()
    joining = asyncio.create_task(other.file())

    async def waits() -> bool:
        return "reserve" in client.calls and not joining.done()

    await until(waits)
    (hold_id,) = ledger.holds
    await rebuild.restore_one(other.store, ledger, hold_id)
    view = await joining
    await slow.close()
    await other.close()
    assert view.hold.id == hold_id


async def test_a_client_that_leaves_does_not_stop_its_filing(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """Once reserved the hold is filed even if nobody waits for it any more."""
    desk = open_desk(valkey.url, ledger)
    await desk.store.due(1, 0)
    reached, release = asyncio.Event(), asyncio.Event()
    append = ledger.append

    async def slow_append(events):  # type: ignore[no-untyped-def]
        reached.set()
        await release.wait()
        return await append(events)

    ledger.append = slow_append  # type: ignore[method-assign]
    asking = asyncio.create_task(desk.file())
    await reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    release.set()
    await desk.filing.drain()
    (hold_id,) = ledger.holds
    assert await desk.store.state(hold_id) == HoldState.PENDING
    await desk.close()


async def test_content_is_never_in_clear_in_the_store(desk: Desk, valkey: Valkey) -> None:
    """Prompt, review reason, answer and proposal are not in any file of the store."""
    view = await desk.file(f"{CANARY} prompt", thresholds=(Threshold("reviewer", 1, 1),))
    await desk.review(view, STRANGER_REVIEWER, "approve", f"{CANARY} reason")
    await desk.store.claim(view.hold.id, "w-1")
    answer = StoredAnswer(200, "application/json", f"{CANARY} answer".encode())
    await desk.store.finish(view.hold.id, "w-1", answer)
    assert await desk.store.answer(view.hold.id) == answer
    stored = valkey.files()
    assert view.hold.id.encode() in stored
    assert CANARY.encode() not in stored
    assert b"canary" not in stored

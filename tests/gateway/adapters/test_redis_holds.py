"""Claims, leases, answers, hops and bytes: what the scripts promise, against a real Valkey."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis

from sekisho.adapters.redis_holds import HOLDS, TAG
from sekisho.errors import Conflict, Forbidden, HoldStoreUnavailable, NotFound, Unavailable
from sekisho.holding import rebuild, settle
from sekisho.model.hold import (
    HoldLimits,
    HoldState,
    HoldView,
    Proposal,
    ProposalKind,
    Review,
    StoredAnswer,
)
from sekisho.model.principal import Principal
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import LIMITS, REVIEWER, STAFF, STRANGER, Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

ANSWER = StoredAnswer(200, "application/json; charset=utf-8", b'{"choices":[]}\x00\xff')


async def approved(desk: Desk, text: str = "x") -> HoldView:
    """An approved hold."""
    return await desk.approve(await desk.file(text))


def desk_with(valkey: Valkey, ledger: MemoryLedger, **limits: float) -> Desk:
    """A worker with other limits."""
    return open_desk(valkey.url, ledger, replace(LIMITS, **limits))  # type: ignore[arg-type]


async def test_of_many_claims_one_succeeds(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Sixteen claims at once through two workers: one gets the hold, with its exact bytes."""
    desks = [open_desk(valkey.url, ledger) for _ in range(2)]
    view = await approved(desks[0])
    claims = [desks[n % 2].store.claim(view.hold.id, f"w-{n}") for n in range(16)]
    taken = [hold for hold in await asyncio.gather(*claims) if hold is not None]
    assert [hold.outgoing for hold in taken] == [view.hold.outgoing]
    for desk in desks:
        await desk.close()


@pytest.mark.parametrize("form", ["before", "after"])
async def test_a_claim_whose_reply_was_lost_is_asked_for_again(
    valkey: Valkey, ledger: MemoryLedger, form: str
) -> None:
    """One lost reply costs nothing: the same claimant asks again and holds the claim."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await approved(desk)
    getattr(client, f"lose_{form}")["claim"] = 1
    assert await desk.store.claim(view.hold.id, "w-1") is not None
    assert client.calls.count("claim") == 2
    assert await desk.store.claim(view.hold.id, "w-2") is None
    await desk.close()


async def test_a_claim_that_nobody_knows_of_ends_unknown(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """If every reply is lost the lease runs out, and the hold is never given to another."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, replace(LIMITS, lease_s=0.1), client)
    view = await approved(desk)
    client.lose_after["claim"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await desk.store.claim(view.hold.id, "w-1")
    client.lose_after.clear()
    assert not await desk.store.lose("hold_" + "0" * 32)
    await asyncio.sleep(0.15)
    assert await desk.store.lose(view.hold.id)
    assert await desk.store.claim(view.hold.id, "w-2") is None
    assert await desk.store.state(view.hold.id) == HoldState.UNKNOWN
    await desk.close()


@pytest.mark.parametrize("state", ["pending", "denied", "withdrawn"])
async def test_only_an_approved_hold_can_be_claimed(desk: Desk, state: str) -> None:
    """Whoever asks early, or after a denial, gets nothing."""
    view = await desk.file()
    if state == "denied":
        await desk.review(view, REVIEWER, "deny")
    if state == "withdrawn":
        away = settle.withdrawal(view.hold, desk.ledger.origin)
        await settle.decide(desk.store, desk.ledger, view.hold, away)
    assert await desk.store.claim(view.hold.id, "w-1") is None
    assert await desk.store.state(view.hold.id) == state


async def test_an_approval_lapses(valkey: Valkey, ledger: MemoryLedger) -> None:
    """An approval that was not used in its time ends as expired and is never sent."""
    desk = desk_with(valkey, ledger, execution_expiry_s=0)
    view = await approved(desk)
    assert await desk.store.claim(view.hold.id, "w-1") is None
    ended = await desk.store.get(view.hold.id)
    assert ended is not None
    assert (ended.state, ended.outcome_reason) == (HoldState.EXPIRED, "approval_lapsed")
    await desk.close()


async def test_a_lost_ledger_does_not_cost_the_approval(desk: Desk, ledger: MemoryLedger) -> None:
    """If the key to the content cannot be had, nothing is claimed and the hold stays approved."""
    view = await approved(desk)
    ledger.down = True
    with pytest.raises(Unavailable):
        await desk.store.claim(view.hold.id, "w-1")
    ledger.down = False
    assert await desk.store.state(view.hold.id) == HoldState.APPROVED


async def test_the_answer_comes_back_as_it_was(desk: Desk) -> None:
    """Status, content type and body of the backend, before and after delivery."""
    view = await approved(desk)
    hold_id = view.hold.id
    await desk.store.claim(hold_id, "w-1")
    assert await desk.store.answer(hold_id) is None
    assert await desk.store.finish(hold_id, "w-1", ANSWER)
    assert await desk.store.finish(hold_id, "w-1", ANSWER)
    assert await desk.store.answer(hold_id) == ANSWER
    assert await desk.store.deliver(hold_id)
    assert not await desk.store.deliver(hold_id)
    assert await desk.store.answer(hold_id) == ANSWER
    assert await desk.store.state(hold_id) == HoldState.DELIVERED


async def test_only_the_claimant_reports(desk: Desk) -> None:
    """Another worker can neither renew nor finish nor fail a claim."""
    view = await approved(desk)
    hold_id = view.hold.id
    await desk.store.claim(hold_id, "w-1")
    assert not await desk.store.renew(hold_id, "w-2")
    assert not await desk.store.finish(hold_id, "w-2", ANSWER)
    assert not await desk.store.fail(hold_id, "w-2", "backend_failed")
    assert await desk.store.state(hold_id) == HoldState.DISPATCHING
    assert await desk.store.fail(hold_id, "w-1", "backend_failed")
    assert not await desk.store.finish(hold_id, "w-1", ANSWER)
    ended = await desk.store.get(hold_id)
    assert ended is not None
    assert (ended.state, ended.outcome_reason) == (HoldState.FAILED, "backend_failed")


async def test_a_lease_that_is_over_is_not_revived(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Renewing in time keeps the claim; after the lease the late answer is not kept."""
    desk = desk_with(valkey, ledger, lease_s=0.2)
    view = await approved(desk)
    hold_id = view.hold.id
    await desk.store.claim(hold_id, "w-1")
    await asyncio.sleep(0.12)
    assert await desk.store.renew(hold_id, "w-1")
    await asyncio.sleep(0.12)
    assert not await desk.store.lose(hold_id)
    await asyncio.sleep(0.12)
    assert not await desk.store.renew(hold_id, "w-1")
    assert await desk.store.lose(hold_id)
    assert not await desk.store.finish(hold_id, "w-1", ANSWER)
    assert await desk.store.state(hold_id) == HoldState.UNKNOWN
    assert not await desk.store.deliver(hold_id)
    await desk.close()


async def test_hops_are_counted_in_the_hold(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A client is sent on so many times and no more, whatever its URL says."""
    desk = desk_with(valkey, ledger, hops_max=2)
    view = await desk.file()
    assert [await desk.store.hop(view.hold.id) for _ in range(3)] == [True, True, False]
    late = desk_with(valkey, ledger, wait_total_s=0)
    assert not await late.store.hop((await late.file("other")).hold.id)
    assert not await desk.store.hop("hold_" + "0" * 32)
    await desk.close()
    await late.close()


async def test_a_lost_hop_is_not_counted_twice(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Counting is not idempotent, so a lost reply is reported, not repeated."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file()
    client.lose_after["hop"] = 1
    with pytest.raises(HoldStoreUnavailable):
        await desk.store.hop(view.hold.id)
    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert after.hops == 1
    await desk.close()


async def test_a_hold_cannot_expire_early(desk: Desk) -> None:
    """The store's clock decides: a worker whose clock is ahead cannot end a hold."""
    view = await desk.file()
    early = settle.expiry(view.hold, desk.ledger.origin)
    with pytest.raises(Conflict) as caught:
        await settle.decide(desk.store, desk.ledger, view.hold, early)
    assert caught.value.code == "not_due"


async def test_a_late_review_is_refused(valkey: Valkey, ledger: MemoryLedger) -> None:
    """After its expiry nobody can approve a hold, even if no sweep came by."""
    desk = open_desk(valkey.url, ledger)
    view = await desk.file(ttl_s=0.05)
    await asyncio.sleep(0.1)
    with pytest.raises(Conflict) as caught:
        await desk.approve(view)
    assert caught.value.code == "hold_expired"
    assert ledger.types(view.hold.id) == ["hold.filed", "hold.refused"]
    await desk.close()


async def test_a_stranger_cannot_withdraw(desk: Desk) -> None:
    """The store checks the requester's person itself."""
    view = await desk.file()
    forged = replace(settle.withdrawal(view.hold, desk.ledger.origin), actor=STRANGER.id)
    with pytest.raises(NotFound):
        await desk.store.propose(forged, view.hold)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"binding": "0" * 64}, "binding_mismatch"),
        ({"version": 2}, "binding_mismatch"),
    ],
)
async def test_the_store_itself_checks_what_a_proposal_is_about(
    desk: Desk, change: dict[str, object], code: str
) -> None:
    """A stale binding or version is refused by the script, not only by the callers."""
    view = await desk.file()
    proposal = replace(settle.withdrawal(view.hold, desk.ledger.origin), **change)  # type: ignore[arg-type]
    with pytest.raises(Conflict) as caught:
        await desk.store.propose(proposal, view.hold)
    assert caught.value.code == code


async def test_bytes_are_given_back(valkey: Valkey, ledger: MemoryLedger) -> None:
    """What is set aside for an answer and what a hold kept returns to the account."""
    desk = desk_with(valkey, ledger, keep_answer_s=0, lease_s=0.05)
    with redis.Redis.from_url(valkey.url) as raw:
        sent, lost, failed = [await approved(desk, text) for text in "abc"]
        kept = int(raw.get(f"{TAG}:bytes") or 0)
        size = len(sent.hold.outgoing) + len(sent.hold.facts)
        assert kept == 3 * size
        share = f"{TAG}:share:{STAFF.id}"
        assert {int(n) for n in raw.hvals(share)} == {size, kept}
        raw.delete(share)
        await rebuild.reapply(desk.store, ledger)
        assert {int(n) for n in raw.hvals(share)} == {size, kept}
        for view in (sent, lost, failed):
            await desk.store.claim(view.hold.id, "w-1")
        assert int(raw.get(f"{TAG}:bytes") or 0) == kept + 3 * LIMITS.answer_bytes_max
        await desk.store.finish(sent.hold.id, "w-1", ANSWER)
        await desk.store.fail(failed.hold.id, "w-1", "x")
        await asyncio.sleep(0.1)
        await desk.store.lose(lost.hold.id)
        assert kept < int(raw.get(f"{TAG}:bytes") or 0) < kept + 200
        await desk.store.deliver(sent.hold.id)
        for view in (sent, lost, failed):
            assert await desk.store.forget(view.hold.id)
            assert await desk.store.get(view.hold.id) is None
        assert int(raw.get(f"{TAG}:bytes") or 0) == 0
        assert not raw.exists(share)
        assert not raw.exists(HOLDS + sent.hold.id)
    await desk.close()


async def test_no_claim_without_room_for_the_answer(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A full store says so before anything is sent, and the approval stays."""
    desk = desk_with(valkey, ledger, total_bytes_max=LIMITS.answer_bytes_max)
    view = await approved(desk)
    with pytest.raises(HoldStoreUnavailable) as caught:
        await desk.store.claim(view.hold.id, "w-1")
    assert caught.value.code == "hold_store_full"
    assert await desk.store.state(view.hold.id) == HoldState.APPROVED
    await desk.close()


@pytest.mark.parametrize("stage", ["pending", "approved", "dispatching"])
async def test_an_unfinished_hold_is_never_forgotten(
    valkey: Valkey, ledger: MemoryLedger, stage: str
) -> None:
    """Whoever asks, a hold that still has to be decided or sent stays."""
    desk = desk_with(valkey, ledger, keep_answer_s=0, lease_s=0)
    view = await desk.file()
    if stage != "pending":
        await desk.approve(view)
    if stage == "dispatching":
        await desk.store.claim(view.hold.id, "w-1")
    assert not await desk.store.forget(view.hold.id)
    assert await desk.store.state(view.hold.id) == stage
    await desk.close()


async def test_content_moved_to_another_hold_does_not_open(desk: Desk, valkey: Valkey) -> None:
    """Someone with write access to the store cannot swap what a reviewer is shown."""
    one, two = await desk.file("one"), await desk.file("two")
    with redis.Redis.from_url(valkey.url) as raw:
        raw.hset(HOLDS + one.hold.id, "record", raw.hget(HOLDS + two.hold.id, "record") or b"")
    with pytest.raises(HoldStoreUnavailable) as caught:
        await desk.store.get(one.hold.id)
    assert caught.value.code == "hold_unreadable"


async def test_lists_are_bounded_and_in_order(desk: Desk) -> None:
    """The holds that end first come first, at most as many as asked for."""
    ids = [(await desk.file(str(n), ttl_s=60 + n)).hold.id for n in range(5)]
    other = await desk.file("other", principal=STRANGER)
    assert [card.id for card in await desk.store.list_open(3)] == ids[:3]
    assert [card.id for card in await desk.store.list_open(9, STRANGER.id)] == [other.hold.id]
    assert len(await desk.store.list_open(9, STAFF.id)) == 5


def test_the_defaults_fit_together() -> None:
    """A worker renews before its lease ends, and waiting fits into what clients bear."""
    limits = HoldLimits()
    assert limits.hop_wait_s * limits.hops_max >= limits.wait_total_s
    assert limits.wait_total_s <= 540
    assert limits.answer_bytes_max * 16 <= limits.total_bytes_max


def answer_of(view: HoldView, who: Principal, origin: str) -> Proposal:
    """An approving review by `who`, as a caller without any checks would propose it."""
    hold = view.hold
    said = Review("r-1", hold.id, 1, who.id, who.person, "approve", "", hold.binding, 0)
    kind = ProposalKind.REVIEW
    return Proposal(f"p-{who.id}", hold.id, 1, kind, hold.binding, who.id, origin, said)


async def test_the_store_itself_refuses_the_requester(desk: Desk) -> None:
    """Even a caller that forgot its checks cannot let a person review their own request."""
    view = await desk.file()
    with pytest.raises(Forbidden) as caught:
        await desk.store.propose(answer_of(view, STAFF, desk.ledger.origin), view.hold)
    assert caught.value.code == "self_approval"
    assert await desk.store.state(view.hold.id) == HoldState.PENDING


async def test_one_proposal_at_a_time(desk: Desk) -> None:
    """While one decision is on its way any other is told to try again; the same one is repeated."""
    view = await desk.file()
    first = answer_of(view, REVIEWER, desk.ledger.origin)
    for _ in range(2):
        taken = await desk.store.propose(first, view.hold)
        assert (taken.done, taken.proposal.id) == (False, first.id)
    with pytest.raises(Conflict) as caught:
        await desk.store.propose(answer_of(view, STRANGER, desk.ledger.origin), view.hold)
    assert caught.value.code == "busy"


async def test_only_the_proposal_under_way_settles(desk: Desk) -> None:
    """Nothing is published that was not proposed, and nothing after another was settled."""
    view = await desk.file()
    forged = answer_of(view, STRANGER, desk.ledger.origin)
    settled = (view.hold, HoldState.APPROVED, desk.ledger.origin, 9)
    with pytest.raises(Conflict):
        await desk.store.settle(forged, *settled)
    await desk.store.propose(answer_of(view, REVIEWER, desk.ledger.origin), view.hold)
    with pytest.raises(Conflict):
        await desk.store.settle(forged, *settled)
    assert await desk.store.state(view.hold.id) == HoldState.DECIDING


async def test_filing_again_changes_nothing(desk: Desk) -> None:
    """A late, repeated filing does not make a decided hold pending again."""
    view = await desk.file()
    await desk.review(view, REVIEWER, "deny")
    await desk.store.file(view.hold, "some join")
    assert await desk.store.state(view.hold.id) == HoldState.DENIED


async def test_a_hold_that_does_not_fit_its_binding_is_not_claimed(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """Bytes sealed with the right key, but not those that were approved, never leave."""
    original = (await desk.file()).hold
    forged = replace(original, id="hold_" + "1" * 32, outgoing=b'{"other":"bytes"}')
    await desk.store.file(forged, "some join")
    view = await desk.store.get(forged.id)
    assert view is not None
    proposal = answer_of(view, REVIEWER, ledger.origin)
    await desk.store.propose(proposal, forged)
    await desk.store.settle(proposal, forged, HoldState.APPROVED, ledger.origin, 9)
    with pytest.raises(HoldStoreUnavailable) as caught:
        await desk.store.claim(forged.id, "w-1")
    assert caught.value.code == "hold_unreadable"
    assert await desk.store.state(forged.id) == HoldState.APPROVED

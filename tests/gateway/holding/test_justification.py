"""Whoever asked says why: once, themselves, before anything leaves; and it is no review."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound, SekishoError, Unavailable
from sekisho.holding import names, rebuild
from sekisho.holding.review import withdraw
from sekisho.holding.sweep import Sweep
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState, HoldView, ProposalKind
from sekisho.model.principal import Principal, Role
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import (
    CANARY,
    ONE_REVIEW,
    REVIEWER,
    REVIEWER_2,
    ROBOT,
    STAFF,
    STRANGER,
    TWO_REVIEWS,
    WHY,
    Desk,
    open_desk,
    person,
    until,
)
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

NOBODY: tuple[Threshold, ...] = ()
ARROWS = [
    (arrow, form) for arrow in ("propose", "append", "settle") for form in ("before", "after")
]


async def nothing(_: str) -> None:
    """A resume that leaves approved holds alone."""


async def waiting(desk: Desk, thresholds: tuple[Threshold, ...] = NOBODY, **more: Any) -> HoldView:
    """A hold that waits for a reason, and for nobody else unless told."""
    return await desk.file(justify=True, thresholds=thresholds, **more)


async def state_of(desk: Desk, view: HoldView) -> str | None:
    return await desk.store.state(view.hold.id)


async def test_the_reason_lets_it_go(desk: Desk, ledger: MemoryLedger) -> None:
    """Recorded with its words before the outcome; the words stand nowhere else."""
    view = await waiting(desk)
    assert view.unjustified
    done = await desk.justify(view, reason=f"  {WHY}\n")
    assert (done.state, done.unjustified) == (HoldState.APPROVED, False)
    assert done.justification is not None
    assert (done.justification.person, done.justification.reason) == (STAFF.id, WHY)
    assert ledger.types(view.hold.id) == ["hold.filed", "hold.justified", "hold.settled"]
    filed, said, settled = ledger.events[-3:]
    assert (said.actor, said.principal) == (STAFF.id, STAFF.id)
    assert said.data == {"hold": view.hold.id, "version": 1, "binding": view.hold.binding}
    assert said.payloads[0].exact == WHY.encode()
    assert ("thresholds" in filed.data, filed.data["justify"]) == (False, True)
    assert (settled.data["state"], settled.data["reviews"]) == ("approved", [])


async def test_nothing_is_claimed_before_it(desk: Desk) -> None:
    view = await waiting(desk)
    assert await desk.store.claim(view.hold.id, "w-1") is None
    await desk.justify(view)
    assert await desk.store.claim(view.hold.id, "w-1") == view.hold


async def test_said_twice_it_is_one_and_another_is_refused(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """Also when it is over; what stands first stays."""
    view = await waiting(desk, TWO_REVIEWS)
    for _ in range(2):
        assert (await desk.justify(view)).state is HoldState.PENDING
    with pytest.raises(Conflict) as caught:
        await desk.justify(view, reason="Another reason.")
    assert caught.value.code == "already_justified"
    await desk.approve(view)
    await desk.approve(view, REVIEWER_2)
    assert (await desk.justify(view)).state is HoldState.APPROVED
    with pytest.raises(Conflict) as caught:
        await desk.justify(view, reason="Another reason.")
    assert caught.value.code == "already_justified"
    assert ledger.types(view.hold.id).count("hold.justified") == 1


@pytest.mark.parametrize("who", [STRANGER, REVIEWER, person("staff-9", Role.REVIEWER)])
@pytest.mark.parametrize("thresholds", [NOBODY, ONE_REVIEW], ids=["alone", "with reviewers"])
async def test_nobody_says_it_for_another(
    desk: Desk, who: Principal, thresholds: tuple[Threshold, ...]
) -> None:
    """Strangers and reviewers are told that there is nothing to justify."""
    view = await waiting(desk, thresholds)
    with pytest.raises(NotFound):
        await desk.justify(view, who)
    assert await state_of(desk, view) == HoldState.PENDING


async def test_the_store_itself_refuses_another_person(desk: Desk) -> None:
    """Whatever a worker is made to propose."""
    view = await waiting(desk)
    other = await waiting(desk, principal=STRANGER, text="another")
    kept: list[Any] = []
    propose = desk.store.propose

    async def keeping(proposal: Any, hold: Any) -> Any:
        kept.append(proposal)
        return await propose(proposal, hold)

    desk.store.propose = keeping  # type: ignore[method-assign]
    await desk.justify(other, STRANGER)
    forged = replace(
        kept[0],
        id=names.decision_id(view.hold.id, 1, ProposalKind.JUSTIFY, "", ""),
        hold=view.hold.id,
        binding=view.hold.binding,
    )
    with pytest.raises(NotFound):
        await propose(forged, view.hold)


async def test_an_owner_says_it_for_a_service_account(desk: Desk, ledger: MemoryLedger) -> None:
    """The account itself answers for nothing; its owner does, and reviews it no more than ever."""
    view = await waiting(desk, principal=ROBOT)
    with pytest.raises(Forbidden) as caught:
        await desk.justify(view, ROBOT)
    assert caught.value.code == "person_required"
    assert (await desk.justify(view, REVIEWER)).state is HoldState.APPROVED
    assert ledger.events[-2].actor == REVIEWER.id


async def test_it_is_no_review(desk: Desk, ledger: MemoryLedger) -> None:
    """Where reviewers are asked, too, the reason alone approves nothing."""
    view = await waiting(desk, ONE_REVIEW)
    after = await desk.justify(view)
    assert (after.state, after.reviews) == (HoldState.PENDING, ())
    assert await desk.store.claim(view.hold.id, "w-1") is None
    done = await desk.approve(view)
    assert (done.state, len(done.reviews)) == (HoldState.APPROVED, 1)
    kinds = ["hold.filed", "hold.justified", "hold.review", "hold.settled"]
    assert ledger.types(view.hold.id) == kinds


async def test_nobody_approves_their_own_request_through_it(desk: Desk) -> None:
    """A reviewer who asks gives the reason, and still needs another reviewer."""
    asking = person("staff-7", Role.REVIEWER)
    view = await waiting(desk, ONE_REVIEW, principal=asking)
    await desk.justify(view, asking)
    with pytest.raises(Forbidden) as caught:
        await desk.approve(view, asking)
    assert caught.value.code == "self_approval"
    assert await state_of(desk, view) == HoldState.PENDING


async def test_reviewers_approve_only_what_is_justified(desk: Desk) -> None:
    """They may deny it before."""
    view = await waiting(desk, ONE_REVIEW)
    with pytest.raises(Conflict) as caught:
        await desk.approve(view)
    assert caught.value.code == "justification_outstanding"
    denied = await desk.review(view, REVIEWER, "deny")
    assert denied.state is HoldState.DENIED
    with pytest.raises(Conflict) as caught:
        await desk.justify(view)
    assert caught.value.code == "already_decided"


async def test_nobody_reviews_what_nobody_was_asked_to(desk: Desk) -> None:
    """A hold for the reason alone does not exist for reviewers."""
    view = await waiting(desk)
    for decision in ("approve", "deny"):
        with pytest.raises(NotFound):
            await desk.review(view, REVIEWER, decision)


@pytest.mark.parametrize("bound", [{"binding": "0" * 64}, {"version": 2}])
async def test_a_stale_binding_or_version_is_refused(desk: Desk, bound: dict[str, Any]) -> None:
    view = await waiting(desk)
    with pytest.raises(Conflict) as caught:
        await desk.justify(view, **bound)
    assert caught.value.code == "binding_mismatch"
    good = {"binding": view.hold.binding, "version": 1}
    assert (await desk.justify(view, **good)).state is HoldState.APPROVED


@pytest.mark.parametrize("reason", ["", "ok", "\u200b" * 9, "for \u202eyltcaxe", "x" * 2001])
async def test_what_is_no_reason_leaves_it_waiting(
    desk: Desk, ledger: MemoryLedger, reason: str
) -> None:
    view = await waiting(desk)
    with pytest.raises(BadRequest):
        await desk.justify(view, reason=reason)
    assert await state_of(desk, view) == HoldState.PENDING
    assert ledger.types(view.hold.id) == ["hold.filed"]


async def test_a_hold_that_asks_for_no_reason_takes_none(desk: Desk) -> None:
    """It would let nothing go anyway."""
    view = await desk.file()
    with pytest.raises(Conflict) as caught:
        await desk.justify(view)
    assert caught.value.code == "justification_unasked"
    assert not view.unjustified


async def test_after_its_time_no_reason_helps(desk: Desk, ledger: MemoryLedger) -> None:
    """Neither before the sweep has found it expired, nor after, nor from the ledger."""
    view = await waiting(desk, ttl_s=0.05)
    await asyncio.sleep(0.1)
    with pytest.raises(Conflict) as caught:
        await desk.justify(view)
    assert caught.value.code == "hold_expired"
    sweep = Sweep(desk.store, ledger, nothing)

    async def expired() -> bool:
        await sweep.once()
        return await state_of(desk, view) == HoldState.EXPIRED

    await until(expired)
    with pytest.raises(Conflict) as caught:
        await desk.justify(view)
    assert caught.value.code == "already_decided"
    kinds = ["hold.filed", "hold.refused", "hold.settled", "hold.refused"]
    assert ledger.types(view.hold.id) == kinds


async def test_what_was_withdrawn_stays_so(desk: Desk, ledger: MemoryLedger) -> None:
    view = await waiting(desk)
    await withdraw(desk.store, ledger, STAFF, view.hold.id)
    with pytest.raises(Conflict):
        await desk.justify(view)


async def test_two_workers_at_once_take_one_reason(valkey: Valkey, ledger: MemoryLedger) -> None:
    """Of eight different reasons given at once one stands; the others are told so."""
    desks = [open_desk(valkey.url, ledger) for _ in range(2)]
    for number in range(5):
        view = await waiting(desks[0], text=f"request {number}")
        tried = [f"reason number {n}" for n in range(8)]
        results = await asyncio.gather(
            *(desks[n % 2].justify(view, reason=said) for n, said in enumerate(tried)),
            return_exceptions=True,
        )
        won = [n for n, one in enumerate(results) if isinstance(one, HoldView)]
        lost = [one for one in results if not isinstance(one, HoldView)]
        assert (len(won), {type(one) for one in lost}) == (1, {Conflict})
        found = await desks[1].store.get(view.hold.id)
        assert found is not None
        assert found.justification is not None
        assert found.justification.reason == tried[won[0]]
        events = Counter(ledger.types(view.hold.id))
        assert events["hold.justified"] == events["hold.settled"] == 1
    for desk in desks:
        await desk.close()


def break_arrow(desk: Desk, client: FaultyRedis, arrow: str, form: str) -> None:
    ledger = desk.ledger
    assert isinstance(ledger, MemoryLedger)
    if arrow == "append":
        setattr(ledger, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[arrow] = ALWAYS


@pytest.mark.parametrize(("arrow", "form"), ARROWS)
async def test_a_worker_that_dies_at_any_arrow_is_finished_by_another(
    valkey: Valkey, ledger: MemoryLedger, arrow: str, form: str
) -> None:
    """What the store has taken is brought through; what it never took waits on."""
    client = FaultyRedis.to(valkey.url)
    desk, other = open_desk(valkey.url, ledger, client=client), open_desk(valkey.url, ledger)
    view = await waiting(desk)
    break_arrow(desk, client, arrow, form)
    with pytest.raises(Unavailable):
        await desk.justify(view)
    sweep = Sweep(other.store, ledger, nothing)
    taken = (arrow, form) != ("propose", "before")
    wanted = HoldState.APPROVED if taken else HoldState.PENDING

    async def stands() -> bool:
        await sweep.once()
        return await state_of(other, view) == wanted

    await until(stands)
    assert (await other.justify(view)).state is HoldState.APPROVED
    events = Counter(ledger.types(view.hold.id))
    assert events["hold.justified"] == events["hold.settled"] == 1
    await desk.close()
    await other.close()


@pytest.mark.parametrize("thresholds", [NOBODY, ONE_REVIEW], ids=["alone", "with reviewers"])
@pytest.mark.parametrize("said", [True, False])
async def test_a_store_that_lost_everything_has_it_from_the_ledger(
    valkey: Valkey, ledger: MemoryLedger, thresholds: tuple[Threshold, ...], said: bool
) -> None:
    """The reason, who gave it, and what it led to; without one it waits on."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await waiting(desk, thresholds)
    before = await desk.justify(view) if said else view
    await client.flushall()
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert (found.hold, found.state) == (view.hold, before.state)
    assert (found.justification is not None) is said
    if said:
        again = await desk.justify(view)
        assert again.justification is not None
        assert (again.state, again.justification.reason) == (before.state, WHY)
        with pytest.raises(Conflict):
            await desk.justify(view, reason="Another reason.")
    await desk.close()


async def test_the_ledger_overrules_a_store_that_forgot(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """A reason that reached the ledger cannot be replaced by another."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await waiting(desk)
    client.lose_before["settle"] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.justify(view)
    known = ledger.holds[view.hold.id]
    kept = known.settled, known.justified
    known.settled = known.justified = None  # the ledger was asked before the append was in it
    await client.flushall()
    assert await state_of(desk, view) == HoldState.PENDING
    known.settled, known.justified = kept
    client.lose_before.clear()
    with pytest.raises(Conflict):
        await desk.justify(view, reason="Another reason.")
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert found.justification is not None
    assert (found.state, found.justification.reason) == (HoldState.APPROVED, WHY)
    await desk.close()


async def test_a_ledger_that_refuses_it_leaves_the_hold_waiting(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """Nothing of it counts then."""
    view = await waiting(desk)
    ledger.holds[view.hold.id].event.data["justify"] = False  # type: ignore[index]
    with pytest.raises(SekishoError) as caught:
        await desk.justify(view)
    assert caught.value.code == "unasked_justification"
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert (found.state, found.justification) == (HoldState.PENDING, None)


async def test_equal_requests_wait_for_one_reason(desk: Desk) -> None:
    """Sent again it joins, before and after."""
    view = await waiting(desk)
    assert (await waiting(desk)).hold.id == view.hold.id
    await desk.justify(view)
    assert (await waiting(desk)).hold.id == view.hold.id


async def test_the_live_store_never_has_the_words(desk: Desk, valkey: Valkey) -> None:
    """Neither reason nor request; the queue tells only whether a reason was given."""
    view = await waiting(desk)
    assert [card.justified for card in await desk.store.list_open(9)] == [False]
    await desk.justify(view, reason=f"because of {CANARY}")
    dump = await desk.store._client.hgetall(f"{{sekisho-holds}}:hold:{view.hold.id}")
    assert b"justification" in dump
    assert not any(CANARY.encode() in value for value in dump.values())


async def test_the_queue_tells_that_the_reason_came(desk: Desk) -> None:
    view = await waiting(desk, ONE_REVIEW)
    for justified in (False, True):
        (card,) = await desk.store.list_open(9)
        assert (card.justify, card.justified) == (True, justified)
        await desk.justify(view)


async def test_reapplying_the_ledger_changes_nothing(desk: Desk, ledger: MemoryLedger) -> None:
    view = await waiting(desk, ONE_REVIEW)
    before = await desk.justify(view)
    await rebuild.reapply(desk.store, ledger)
    assert await desk.store.get(view.hold.id) == before

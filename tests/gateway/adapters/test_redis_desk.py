"""What reviewers are doing, in a real Valkey: haste is refused, also where many try at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sekisho.adapters.redis_desk import RedisReviewDesk
from sekisho.adapters.redis_holds import connect
from sekisho.errors import HoldStoreUnavailable, TooHasty
from sekisho.holding.review import review
from sekisho.model.care import Care
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.principal import Principal, Role
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import LIMITS, REVIEWER, REVIEWER_2, Desk, open_desk, person
from support.installation import free_port
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

SLOW = Care(dwell_s=60)
DELEGATE = replace(
    person("deputy-1", Role.REVIEWER),
    stands_in_for=frozenset({REVIEWER.id}),
    lent=frozenset({(Role.REVIEWER, REVIEWER.id)}),
)


async def opened(valkey: Valkey, ledger: MemoryLedger, care: Care) -> AsyncIterator[Desk]:
    one = open_desk(valkey.url, ledger, replace(LIMITS, care=care))
    yield one
    await one.close()


@pytest.fixture
async def slow(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Desk]:
    """A desk at which reading takes a minute."""
    async for one in opened(valkey, ledger, SLOW):
        yield one


@pytest.fixture
async def quick(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Desk]:
    """A desk at which reading takes a twentieth of a second."""
    async for one in opened(valkey, ledger, Care(dwell_s=0.05)):
        yield one


@pytest.fixture
async def busy(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Desk]:
    """A desk at which three decisions an hour are the most, and pauses are short."""
    care = Care(dwell_s=0, decisions_warn=2, decisions_max=3, pause_s=0.3)
    async for one in opened(valkey, ledger, care):
        yield one


async def refused(trying: Any) -> str:
    with pytest.raises(TooHasty) as raised:
        await trying
    return raised.value.code


async def test_what_was_not_shown_is_not_approved(slow: Desk) -> None:
    """With the right binding, from wherever it is known; a denial is taken at once."""
    view = await slow.file(risk=40)

    assert await refused(slow.approve(view)) == "not_shown"
    assert await slow.store.state(view.hold.id) == "pending"
    assert (await slow.review(view, REVIEWER, "deny")).state is HoldState.DENIED


async def test_an_approval_comes_no_sooner_than_anyone_reads(slow: Desk) -> None:
    """Looking again does not begin anew, and does not help either."""
    view = await slow.file(risk=40)
    first = await slow.store.desk.shown(view.hold, REVIEWER.id)

    assert await slow.store.desk.shown(view.hold, REVIEWER.id) == first
    assert await refused(slow.approve(view)) == "too_soon"


async def test_after_the_time_it_is_approved(quick: Desk) -> None:
    """The server's clock says so, not the reviewer's."""
    view = await quick.file(risk=90)
    await quick.store.desk.shown(view.hold, REVIEWER.id)
    assert await refused(quick.approve(view)) == "too_soon"
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await quick.approve(view)).state is HoldState.APPROVED
            except TooHasty:
                await asyncio.sleep(0.05)
            else:
                return


async def test_low_risk_takes_no_time(slow: Desk) -> None:
    """Below 40 nothing is asked for."""
    assert (await slow.approve(await slow.file(risk=39))).state is HoldState.APPROVED


@pytest.mark.parametrize("who", [DELEGATE, REVIEWER_2])
async def test_what_one_person_was_shown_counts_for_no_other(quick: Desk, who: Principal) -> None:
    """Nor for their delegate; each has to have it before their own eyes."""
    view = await quick.file(risk=40)
    await quick.store.desk.shown(view.hold, REVIEWER.id)
    await asyncio.sleep(0.1)

    assert await refused(quick.approve(view, who)) == "not_shown"


async def test_a_delegate_in_a_hurry_is_stopped_too(slow: Desk) -> None:
    """The rule holds for whoever answers, in whose name ever."""
    view = await slow.file(risk=40)
    await slow.store.desk.shown(view.hold, DELEGATE.id)

    assert await refused(slow.approve(view, DELEGATE)) == "too_soon"


async def test_a_new_version_has_to_be_read_anew(quick: Desk) -> None:
    """What was shown is a version, not a hold."""
    view = await quick.file(risk=40)
    await quick.store.desk.shown(replace(view.hold, version=2), REVIEWER.id)
    await asyncio.sleep(0.1)

    assert await refused(quick.approve(view)) == "not_shown"


async def test_a_store_that_forgot_makes_it_slower_and_not_easier(
    valkey: Valkey, quick: Desk
) -> None:
    """Who was shown what is gone, so it has to be shown again."""
    view = await quick.file(risk=40)
    await quick.store.desk.shown(view.hold, REVIEWER.id)
    client = connect(valkey.url)
    await client.delete(*await client.keys("*desk:shown*"))
    await client.aclose()
    await asyncio.sleep(0.1)

    assert await refused(quick.approve(view)) == "not_shown"


async def test_who_decides_too_fast_pauses(busy: Desk) -> None:
    """Approvals only; denials go on, and colleagues too. Afterwards the count begins anew."""
    views = [await busy.file(f"text {n}") for n in range(6)]
    for view in views[:3]:
        await busy.approve(view)

    assert await refused(busy.approve(views[3])) == "approvals_paused"
    rate = await busy.store.desk.rate(REVIEWER.id)
    assert (rate.decisions, rate.paused_until_us > 0) == (3, True)
    assert (await busy.review(views[4], REVIEWER, "deny")).state is HoldState.DENIED
    assert (await busy.approve(views[5], REVIEWER_2)).state is HoldState.APPROVED
    async with asyncio.timeout(10):
        while (await busy.store.desk.rate(REVIEWER.id)).paused_until_us:
            await asyncio.sleep(0.05)
    assert (await busy.approve(views[3])).state is HoldState.APPROVED


async def test_many_at_once_are_not_more_than_one_by_one(busy: Desk) -> None:
    """Counted and judged in one step."""
    views = [await busy.file(f"text {n}") for n in range(8)]

    said = await asyncio.gather(*map(busy.approve, views), return_exceptions=True)

    assert sum(isinstance(one, HoldView) for one in said) == 3
    assert {one.code for one in said if isinstance(one, TooHasty)} == {"approvals_paused"}


async def test_two_keys_are_one_person(busy: Desk) -> None:
    """The pace is of a human being, whatever they show."""
    views = [await busy.file(f"text {n}") for n in range(4)]
    for n, view in enumerate(views[:3]):
        await busy.approve(view, replace(REVIEWER, credential=f"k-{n}"))

    assert await refused(busy.approve(views[3])) == "approvals_paused"


async def test_the_same_answer_again_counts_once(busy: Desk) -> None:
    """A reply that was lost is asked for again; also by who is paused meanwhile."""
    views = [await busy.file(f"text {n}") for n in range(4)]
    for _ in range(5):
        await busy.approve(views[0])
    assert (await busy.store.desk.rate(REVIEWER.id)).decisions == 1
    for view in views[1:3]:
        await busy.approve(view)
    assert await refused(busy.approve(views[3])) == "approvals_paused"

    assert (await busy.approve(views[0])).state is HoldState.APPROVED


async def test_denials_count_for_the_pace(busy: Desk) -> None:
    """They were decided just as fast."""
    views = [await busy.file(f"text {n}") for n in range(4)]
    for view in views[:3]:
        await busy.review(view, REVIEWER, "deny")

    assert await refused(busy.approve(views[3])) == "approvals_paused"


async def test_an_answer_that_cannot_be_given_is_not_let_through(
    slow: Desk, ledger: MemoryLedger
) -> None:
    """A hasty approval leaves nothing in the ledger, and no review in the hold."""
    view = await slow.file(risk=50)
    before = ledger.types()
    with pytest.raises(TooHasty):
        await review(
            slow.store,
            ledger,
            DELEGATE,
            view.hold.id,
            decision="approve",
            binding=view.hold.binding,
            reason="looked at",
        )

    assert ledger.types() == before


async def test_a_claim_is_seen_by_others_and_ends(valkey: Valkey) -> None:
    """One at a time; asked again it lasts longer; only who has it gives it back."""
    client = connect(valkey.url)
    desk = RedisReviewDesk(client, "{t}:", "wake", Care(claim_s=0.2))
    mine = await desk.claim("hold_1", "reviewer-1")

    assert (await desk.claim("hold_1", "reviewer-1")).until_us >= mine.until_us
    assert (await desk.claim("hold_1", "reviewer 2 x")).reviewer == "reviewer-1"
    await desk.leave("hold_1", "reviewer 2 x")
    assert set(await desk.claims(["hold_1", "hold_2"])) == {"hold_1"}
    await desk.leave("hold_1", "reviewer-1")
    assert await desk.claims(["hold_1"]) == {}
    assert (await desk.claim("hold_1", "reviewer 2 x")).reviewer == "reviewer 2 x"
    async with asyncio.timeout(10):
        while await desk.claims(["hold_1"]):
            await asyncio.sleep(0.05)
    await client.aclose()


async def test_without_the_store_nothing_is_approved() -> None:
    """An error within its time; a claim, which is advice, is only not there."""
    client = connect(f"redis://127.0.0.1:{free_port()}")
    desk = RedisReviewDesk(client, "{t}:", "wake", Care())

    with pytest.raises(HoldStoreUnavailable):
        await desk.rate("reviewer-1")
    with pytest.raises(HoldStoreUnavailable):
        await desk.claim("hold_1", "reviewer-1")
    assert await desk.claims(["hold_1"]) == {}
    await client.aclose()


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_a_decision_counts_once_whatever_is_lost(
    valkey: Valkey, ledger: MemoryLedger, fault: str
) -> None:
    """Lost before it was counted, or counted and the reply lost: an error, and then one decision.

    Nothing was decided meanwhile.
    """
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, replace(LIMITS, care=Care(dwell_s=0)), client)
    view = await desk.file()
    getattr(client, fault)["desk.admit"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await desk.approve(view)
    assert await desk.store.state(view.hold.id) == "pending"

    getattr(client, fault).clear()
    assert (await desk.approve(view)).state is HoldState.APPROVED
    assert (await desk.store.desk.rate(REVIEWER.id)).decisions == 1
    await desk.close()


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_to_be_shown_a_hold_is_noted_or_an_error(
    valkey: Valkey, ledger: MemoryLedger, fault: str
) -> None:
    """And noted once: the first time counts."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, replace(LIMITS, care=SLOW), client)
    view = await desk.file(risk=40)
    getattr(client, fault)["desk.shown"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await desk.store.desk.shown(view.hold, REVIEWER.id)

    getattr(client, fault).clear()
    first = await desk.store.desk.shown(view.hold, REVIEWER.id)
    assert await desk.store.desk.shown(view.hold, REVIEWER.id) == first
    await desk.close()

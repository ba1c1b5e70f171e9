"""A decision is taken once, recorded once and published once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from sekisho.errors import Conflict, SekishoError, Unavailable
from sekisho.holding.sweep import Sweep
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState
from sekisho.model.principal import Principal, Role
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import (
    REVIEWER,
    REVIEWER_2,
    TWO_REVIEWS,
    Desk,
    open_desk,
    person,
    until,
)
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

ARROWS = [
    (arrow, form) for arrow in ("propose", "append", "settle") for form in ("before", "after")
]


DELEGATE = replace(
    person("delegate-1", Role.REVIEWER), lent=frozenset({(Role.REVIEWER, REVIEWER.id)})
)


async def nothing(_: str) -> None:
    """A resume that leaves approved holds alone."""


def break_arrow(desk: Desk, client: FaultyRedis, arrow: str, form: str) -> None:
    """Lose every call of a script, or one append, in one of the two forms."""
    ledger = desk.ledger
    assert isinstance(ledger, MemoryLedger)
    if arrow == "append":
        setattr(ledger, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[arrow] = ALWAYS


def mend(client: FaultyRedis) -> None:
    client.lose_before.clear()
    client.lose_after.clear()


@pytest.mark.parametrize(("arrow", "form"), ARROWS)
@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_a_lost_reply_at_any_arrow_is_mended_by_asking_again(
    valkey: Valkey, ledger: MemoryLedger, arrow: str, form: str, decision: str
) -> None:
    """The reviewer gets a 503, gives the same answer again, and one decision results."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file()
    break_arrow(desk, client, arrow, form)
    with pytest.raises(Unavailable):
        await desk.review(view, REVIEWER, decision)
    mend(client)
    done = await desk.review(view, REVIEWER, decision)
    again = await desk.review(view, REVIEWER, decision)
    await desk.close()
    wanted = HoldState.APPROVED if decision == "approve" else HoldState.DENIED
    assert (done.state, again.state) == (wanted, wanted)
    assert [one.decision for one in again.reviews] == [decision]
    assert ledger.types(view.hold.id) == ["hold.filed", "hold.review", "hold.settled"]


@pytest.mark.parametrize(("arrow", "form"), ARROWS)
async def test_a_reviewer_who_never_comes_back_is_finished_by_the_sweep(
    valkey: Valkey, ledger: MemoryLedger, arrow: str, form: str
) -> None:
    """What the store has taken is finished by any worker; what it never took is pending."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    other = open_desk(valkey.url, ledger)
    view = await desk.file()
    break_arrow(desk, client, arrow, form)
    with pytest.raises(Unavailable):
        await desk.approve(view)
    sweep = Sweep(other.store, ledger, nothing)
    taken = (arrow, form) != ("propose", "before")
    wanted = HoldState.APPROVED if taken else HoldState.PENDING

    async def settled() -> bool:
        await sweep.once()
        return await other.store.state(view.hold.id) == wanted

    await until(settled)
    await desk.close()
    await other.close()
    events = Counter(ledger.types(view.hold.id))
    assert events["hold.review"] == events["hold.settled"] == int(taken)


async def test_eight_racing_reviewers_make_one_decision(
    valkey: Valkey, ledger: MemoryLedger
) -> None:
    """Of eight answers given at once one decides; the others are told that they lost."""
    desks = [open_desk(valkey.url, ledger) for _ in range(2)]
    for number in range(10):
        view = await desks[0].file(f"request {number}")
        reviewers = [person(f"reviewer-{n}", Role.REVIEWER) for n in range(8)]
        results = await asyncio.gather(
            *(
                desks[n % 2].review(view, who, "approve" if n % 3 else "deny")
                for n, who in enumerate(reviewers)
            ),
            return_exceptions=True,
        )
        lost = [one for one in results if isinstance(one, BaseException)]
        assert all(isinstance(one, Conflict) for one in lost)
        assert len(lost) == 7
        events = Counter(ledger.types(view.hold.id))
        assert events["hold.review"] == events["hold.settled"] == 1
    for desk in desks:
        await desk.close()


async def test_the_last_of_several_reviews_decides(desk: Desk, ledger: MemoryLedger) -> None:
    """With a threshold of two the first approval leaves the hold pending, the second approves."""
    view = await desk.file(thresholds=TWO_REVIEWS)
    first = await desk.approve(view)
    assert (first.state, len(first.reviews)) == (HoldState.PENDING, 1)
    second = await desk.approve(view, REVIEWER_2)
    assert (second.state, len(second.reviews)) == (HoldState.APPROVED, 2)
    assert ledger.types(view.hold.id).count("hold.settled") == 1


async def test_one_person_reviews_once(desk: Desk) -> None:
    """A second, different answer of the same person is refused while others are awaited."""
    view = await desk.file(thresholds=TWO_REVIEWS)
    await desk.approve(view)
    with pytest.raises(Conflict) as caught:
        await desk.review(view, REVIEWER, "deny")
    assert caught.value.code == "already_reviewed"
    assert (await desk.approve(view)).state is HoldState.PENDING


@pytest.mark.parametrize("contradicting", [REVIEWER, REVIEWER_2])
async def test_the_ledger_overrules_a_store_that_forgot(
    valkey: Valkey, ledger: MemoryLedger, contradicting: Principal
) -> None:
    """An outcome that reached the ledger while the store lost everything stands.

    It cannot be contradicted by another person, whose review the ledger refuses, nor by the same
    person, whose review has an id the ledger already knows.
    """
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file()
    client.lose_before["settle"] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.approve(view)
    known = ledger.holds[view.hold.id]
    known.settled, kept = None, known.settled  # the ledger was asked before the append was in it
    reviews, known.reviews = known.reviews, []
    await client.flushall()
    assert await desk.store.state(view.hold.id) == HoldState.PENDING
    known.settled, known.reviews = kept, reviews
    mend(client)
    with pytest.raises(Conflict) as caught:
        await desk.review(view, contradicting, "deny")
    assert caught.value.code == "already_decided"
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert found.state is HoldState.APPROVED
    assert [(one.person, one.decision) for one in found.reviews] == [(REVIEWER.id, "approve")]
    await desk.close()
    kinds = ["hold.filed", "hold.review", "hold.settled", "hold.refused"]
    assert ledger.types(view.hold.id) == kinds


@pytest.mark.parametrize("contradicting", [REVIEWER, DELEGATE])
async def test_a_review_the_ledger_has_otherwise_does_not_block_the_hold(
    valkey: Valkey, ledger: MemoryLedger, contradicting: Principal
) -> None:
    """The store forgot a review of several, and its person, or who stands in for them, says
    something else: the first counts, and the others can still answer.
    """
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, client=client)
    view = await desk.file(thresholds=(Threshold("reviewer", approve=2, deny=2),))
    client.lose_before["settle"] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.approve(view)
    known = ledger.holds[view.hold.id]
    reviews, known.reviews = known.reviews, []  # the ledger was asked before they were in it
    await client.flushall()
    assert await desk.store.state(view.hold.id) == HoldState.PENDING
    known.reviews = reviews
    mend(client)

    with pytest.raises(Conflict) as caught:
        await desk.review(view, contradicting, "deny")
    assert caught.value.code == "already_decided"
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert found.state is HoldState.PENDING
    assert [(one.person, one.decision) for one in found.reviews] == [(REVIEWER.id, "approve")]
    assert (await desk.approve(view, REVIEWER_2)).state is HoldState.APPROVED
    await desk.close()


async def test_a_review_the_ledger_refuses_does_not_block_the_hold(
    desk: Desk, ledger: MemoryLedger
) -> None:
    """If the ledger will never take a proposal, the hold is pending again for other reviewers."""
    view = await desk.file()
    ledger.holds[view.hold.id].event.data["person"] = REVIEWER.id  # type: ignore[index]
    with pytest.raises(SekishoError) as caught:
        await desk.approve(view)
    assert caught.value.code == "self_review"
    assert await desk.store.state(view.hold.id) == HoldState.PENDING
    assert (await desk.approve(view, REVIEWER_2)).state is HoldState.APPROVED

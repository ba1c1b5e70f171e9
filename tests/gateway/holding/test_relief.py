"""Those who relieve the reviewers of a hold: not before it is time, and as strictly as these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
import redis

from sekisho.errors import SekishoError, Unavailable
from sekisho.holding import anew
from sekisho.holding.file import Filing
from sekisho.holding.queue import Wanted, page
from sekisho.holding.review import may_review, may_see, withdraw
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason, Threshold
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.office import Office
from sekisho.model.principal import Principal, Role, Scope
from support.holds import (
    JOIN_KEY,
    LIMITS,
    REVIEWER,
    STAFF,
    Desk,
    SystemClock,
    open_desk,
    person,
    until,
)
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

RELIEVED = (Threshold("reviewer", 1, 1, relief=("head",)),)
HEAD = replace(person("head-1", groups=("head",)), scopes=frozenset(Scope))
HEAD_2 = person("head-2", groups=("head",))
TTL_S = 60.0
AT_ONCE = Office(escalation_percent=0)


@pytest.fixture
async def soon(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Desk]:
    """A desk in a house where it is time at once."""
    made = open_desk(valkey.url, ledger)
    made.filing = Filing(
        made.store, ledger, SystemClock(), LIMITS, office=AT_ONCE, join_key=JOIN_KEY
    )
    yield made
    await made.close()


async def refused(desk: Desk, view: HoldView, who: Principal, said: str = "approve") -> str:
    """The code that they get."""
    with pytest.raises(SekishoError) as caught:
        await desk.review(view, who, said)
    return caught.value.code


async def queue_of(desk: Desk, who: Principal) -> list[str]:
    """The holds that wait for somebody."""
    return [card.id for card in (await page(desk.store, who, Wanted(), limit=10)).cards]


async def test_before_it_is_time_there_is_nothing_for_them(desk: Desk) -> None:
    """No hold, in no list, and no answer to it, for three quarters of the time."""
    view = await desk.file(thresholds=RELIEVED, ttl_s=TTL_S)
    hold = view.hold
    assert hold.relief_us - hold.created_us == (hold.expires_us - hold.created_us) * 3 // 4
    assert (may_see(HEAD, view), may_review(HEAD, view)) == (False, False)
    assert await queue_of(desk, HEAD) == []
    for said in ("approve", "deny"):
        assert await refused(desk, view, HEAD, said) == "not_found"
    assert (await desk.approve(view, REVIEWER)).state is HoldState.APPROVED


async def test_when_it_is_time_they_are_asked_too(desk: Desk, ledger: MemoryLedger) -> None:
    """The same hold, without any change of it, by the clock of the store."""
    view = await desk.file(thresholds=RELIEVED, ttl_s=2)

    async def relieved() -> bool:
        found = await desk.store.get(view.hold.id)
        return found is not None and may_review(HEAD, found)

    assert not await relieved()
    await until(relieved)
    assert await queue_of(desk, HEAD) == [view.hold.id]
    view = await desk.approve(view, HEAD)
    assert view.state is HoldState.APPROVED
    [review] = view.reviews
    assert (review.reviewer, review.relief, review.counts_for) == ("head-1", "head", ("reviewer",))
    [told] = [one.data for one in ledger.events if one.type == "hold.review"]
    assert (told["relief"], told["counts_for"]) == ("head", ["reviewer"])
    [filed] = [one.data for one in ledger.events if one.type == "hold.filed"]
    assert filed["relief_us"] == view.hold.relief_us


async def test_who_is_asked_stays_asked(soon: Desk) -> None:
    """They answer in their own right, also if they could relieve themselves."""
    both = person("both-1", Role.REVIEWER, groups=("head",))
    two = (Threshold("reviewer", 2, 1, relief=("head",)),)
    view = await soon.file(thresholds=two, ttl_s=TTL_S)
    view = await soon.approve(view, both)
    assert (view.state, [one.relief for one in view.reviews]) == (HoldState.PENDING, [""])
    assert await refused(soon, view, both, "deny") == "already_reviewed"
    view = await soon.approve(view, HEAD)
    assert (view.state, [one.relief for one in view.reviews]) == (HoldState.APPROVED, ["", "head"])


async def test_a_denial_in_their_place_ends_it(soon: Desk) -> None:
    """Whoever may approve may deny."""
    view = await soon.file(thresholds=RELIEVED, ttl_s=TTL_S)
    assert (await soon.review(view, HEAD, "deny")).state is HoldState.DENIED


@pytest.mark.parametrize(
    "who",
    [
        HEAD,
        replace(HEAD, credential="another-key"),
        replace(person("robot-2", groups=("head",)), owner="head-1"),
        replace(person("delegate-1"), lent=frozenset({(Role.REVIEWER, "head-1")})),
    ],
    ids=["who asked", "another key", "their service account", "their delegate"],
)
async def test_who_asked_relieves_nobody(soon: Desk, who: Principal) -> None:
    """Neither approving nor denying, by no route."""
    view = await soon.file(thresholds=RELIEVED, ttl_s=TTL_S, principal=HEAD)
    for said in ("approve", "deny"):
        code = await refused(soon, view, who, said)
        assert code in {"self_approval", "not_found", "not_eligible", "person_required"}
    assert (await soon.approve(view, HEAD_2)).state is HoldState.APPROVED


async def test_it_is_by_step(soon: Desk) -> None:
    """Who relieves those of the second step waits for the first, and counts there only."""
    steps = (Threshold("team-lead", 1, 1), Threshold("legal", 1, 1, 2, relief=("head",)))
    view = await soon.file(thresholds=steps, ttl_s=TTL_S)
    assert await refused(soon, view, HEAD) == "not_your_turn"
    await soon.approve(view, person("lead-1", groups=("team-lead",)))
    view = await soon.approve(view, HEAD)
    assert [(one.step, one.counts_for) for one in view.reviews][1:] == [(2, ("legal",))]
    assert view.state is HoldState.APPROVED


async def test_one_person_relieves_two_groups_once(soon: Desk) -> None:
    """Two groups asked are two people, whoever answers in whose place."""
    asked = (
        Threshold("reviewer", 1, 1, relief=("head",)),
        Threshold("legal", 1, 1, relief=("head",)),
    )
    view = await soon.file(thresholds=asked, ttl_s=TTL_S)
    view = await soon.approve(view, HEAD)
    assert (view.state, view.reviews[0].counts_for) == (HoldState.PENDING, ("reviewer", "legal"))
    assert (await soon.approve(view, HEAD_2)).state is HoldState.APPROVED


async def test_a_moment_written_by_hand_lets_nobody_in(desk: Desk, valkey: Valkey) -> None:
    """What lists show may be changed in Valkey; who answers is judged by what is sealed."""
    view = await desk.file(thresholds=RELIEVED, ttl_s=TTL_S)
    key = "{sekisho-holds}:hold:" + view.hold.id
    with redis.Redis.from_url(valkey.url) as raw:
        card = orjson.loads(raw.hget(key, "card") or b"")
        raw.hset(key, "card", orjson.dumps({**card, "relief_us": 1}))
    assert await queue_of(desk, HEAD) == [view.hold.id]
    assert await refused(desk, view, HEAD) == "not_found"


async def test_the_ledger_brings_it_back(soon: Desk, valkey: Valkey) -> None:
    """After Valkey lost everything: the moment, and who answered in whose place."""
    two = (Threshold("reviewer", 2, 1, relief=("head",)),)
    view = await soon.file(thresholds=two, ttl_s=TTL_S)
    await soon.approve(view, HEAD)
    with redis.Redis.from_url(valkey.url) as raw:
        raw.flushall()
        raw.script_flush()
    found = await soon.store.get(view.hold.id)
    assert found is not None
    assert found.hold.relief_us == view.hold.relief_us
    assert [one.relief for one in found.reviews] == ["head"]
    assert (await soon.approve(view, HEAD_2)).state is HoldState.APPROVED


def decided(*thresholds: Threshold) -> Decision:
    """What the rules want by the time it would be sent."""
    why = (Reason("held", "Somebody looks.", "r"),)
    terms = HoldTerms("request", thresholds, 600, 10)
    return Decision(Effect.HOLD, why, "sha256:01", Obligations(hold=terms))


async def test_rules_that_let_nobody_relieve_any_more_ask_anew(soon: Desk) -> None:
    """What was approved in the place of others is not enough then, and they are not asked again."""
    view = await soon.file(thresholds=RELIEVED, ttl_s=TTL_S)
    view = await soon.approve(view, HEAD)
    assert anew.more_asked([decided(*RELIEVED)], view.hold, 1) is None
    alone = decided(Threshold("reviewer", 1, 1))
    terms = anew.more_asked([alone], view.hold, 1)
    assert terms is not None
    assert terms.thresholds == (Threshold("reviewer", 1, 1),)
    version = anew.next_version(view.hold, terms, [alone], view.hold.created_us + 1, AT_ONCE)
    assert version.relief_us == 0


async def test_a_hold_that_nobody_relieves_is_what_it_was(desk: Desk) -> None:
    """No moment in it, neither bound, nor recorded, nor in a list."""
    view = await desk.file()
    assert (view.hold.relief_us, view.relieved) == (0, False)
    [card] = await desk.store.list_open(10)
    assert (card.relief_us, card.relieved) == (0, False)
    assert card.read_us > 0


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_an_answer_whose_record_is_in_doubt_counts_once(
    soon: Desk, ledger: MemoryLedger, fault: str
) -> None:
    """Not recorded, or recorded and the reply lost: given again it is one review."""
    view = await soon.file(thresholds=RELIEVED, ttl_s=TTL_S)
    setattr(ledger, fault, 1)
    with pytest.raises(Unavailable):
        await soon.approve(view, HEAD)
    assert ledger.types().count("hold.review") == (fault == "lose_after")
    view = await soon.approve(view, HEAD)
    assert (view.state, [one.relief for one in view.reviews]) == (HoldState.APPROVED, ["head"])
    assert ledger.types().count("hold.review") == 1


async def test_at_two_workers_one_person_relieves_once(
    soon: Desk, valkey: Valkey, ledger: MemoryLedger
) -> None:
    """Both take the same answer at the same time; two reviews stay two people."""
    view = await soon.file(thresholds=(Threshold("reviewer", 2, 1, relief=("head",)),), ttl_s=TTL_S)
    other = open_desk(valkey.url, ledger)
    try:
        await asyncio.gather(
            soon.approve(view, HEAD), other.approve(view, HEAD), return_exceptions=True
        )
        found = await other.store.get(view.hold.id)
        assert found is not None
        assert (found.state, len(found.reviews)) == (HoldState.PENDING, 1)
        assert (await other.approve(view, HEAD_2)).state is HoldState.APPROVED
    finally:
        await other.close()
    assert ledger.types().count("hold.review") == 2


async def test_what_was_taken_back_is_answered_by_nobody(soon: Desk, ledger: MemoryLedger) -> None:
    """Who relieves may no more approve a hold that was withdrawn than who was asked."""
    view = await soon.file(thresholds=RELIEVED, ttl_s=TTL_S)
    await withdraw(soon.store, ledger, STAFF, view.hold.id)
    assert await refused(soon, view, HEAD) == await refused(soon, view, REVIEWER)
    assert await soon.store.state(view.hold.id) == HoldState.WITHDRAWN
    assert "hold.review" not in ledger.types()


async def test_relief_ends_with_the_hold(soon: Desk, ledger: MemoryLedger) -> None:
    """Who relieves has no more time than who was asked: later answers are refused."""
    view = await soon.file(thresholds=RELIEVED, ttl_s=0.05)

    async def over() -> bool:
        return await soon.store.now_us() >= view.hold.expires_us

    await until(over)
    assert await refused(soon, view, HEAD) == await refused(soon, view, REVIEWER)
    assert "hold.review" not in ledger.types()

"""Holds whose reviewers are asked one after the other, with a real Valkey.

Here are the ways around the order: to answer first though asked second, to answer twice, to be at
the boundary at once with another worker, to change the step in Valkey by hand.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis

from sekisho.errors import Conflict, Forbidden, SekishoError
from sekisho.holding import anew, binding, record
from sekisho.holding.desk import claim, leave
from sekisho.holding.review import may_review, may_review_ever, may_see
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason, Threshold
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.office import Office
from sekisho.model.principal import Principal, Role
from sekisho.model.steps import open_step_of, steps_of
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import LIMITS, STRANGER, Desk, open_desk, person
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

IN_ORDER = (Threshold("team-lead", 1, 1), Threshold("compliance", 1, 1, 2))
TWICE = (Threshold("reviewer", 1, 1), Threshold("reviewer", 1, 1, 2))


def of(name: str, *groups: str) -> Principal:
    """Somebody of these groups."""
    return person(name, groups=groups)


LEAD, LEAD_2 = of("lead-1", "team-lead"), of("lead-2", "team-lead")
COMPLIANCE, COMPLIANCE_2 = of("compliance-1", "compliance"), of("compliance-2", "compliance")
BOTH = of("both-1", "team-lead", "compliance")


def delegate_of(name: str, role: Role, *lenders: str) -> Principal:
    """Somebody to whom these lent the role."""
    lent = frozenset((role, lender) for lender in lenders)
    return replace(person(name), roles=frozenset({Role.EMPLOYEE, role}), lent=lent)


async def refused(desk: Desk, view: HoldView, who: Principal, said: str = "approve") -> str:
    """The code that they get."""
    with pytest.raises(SekishoError) as caught:
        await desk.review(view, who, said)
    return caught.value.code


async def card_step(desk: Desk, view: HoldView) -> int:
    """Whose turn the queue says it is."""
    return next(one.open_step for one in await desk.store.list_open(10) if one.id == view.hold.id)


def by_hand(valkey: Valkey, view: HoldView, **fields: str) -> None:
    """What an administrator of the database writes into a hold."""
    with redis.Redis.from_url(valkey.url) as raw:
        for name, value in fields.items():
            raw.hset("{sekisho-holds}:hold:" + view.hold.id, name, value)


async def test_one_step_after_the_other(desk: Desk) -> None:
    """The first approves, then the second is asked, then it is approved."""
    view = await desk.file(thresholds=IN_ORDER)
    assert await card_step(desk, view) == 1
    view = await desk.approve(view, LEAD)
    assert (view.state, open_step_of(view)) == (HoldState.PENDING, 2)
    assert await card_step(desk, view) == 2
    view = await desk.approve(view, COMPLIANCE)
    assert view.state is HoldState.APPROVED
    assert [[one.reviewer for one in step.reviews] for step in steps_of(view)] == [
        ["lead-1"],
        ["compliance-1"],
    ]


@pytest.mark.parametrize("said", ["approve", "deny"])
async def test_nobody_answers_before_their_turn(
    desk: Desk, ledger: MemoryLedger, said: str
) -> None:
    """They see the hold and may not answer, and that they tried is on record."""
    view = await desk.file(thresholds=IN_ORDER)
    assert await refused(desk, view, COMPLIANCE, said) == "not_your_turn"
    assert may_see(COMPLIANCE, view)
    assert (may_review(COMPLIANCE, view), may_review_ever(COMPLIANCE, view)) == (False, True)
    assert [e.data["code"] for e in ledger.events if e.type == "hold.refused"] == ["not_your_turn"]
    assert await refused(desk, view, STRANGER, said) == "not_found"


async def test_who_is_asked_is_told_to_those_who_wait(desk: Desk) -> None:
    """The refusal says which step is open and who answers there."""
    view = await desk.file(thresholds=IN_ORDER)
    with pytest.raises(Conflict, match="step 1 is open, and team-lead answer"):
        await desk.approve(view, COMPLIANCE)
    await desk.approve(view, LEAD)
    with pytest.raises(Conflict, match="step 2 is open, and compliance answer"):
        await desk.approve(view, LEAD_2)


async def test_a_denial_at_any_step_ends_it(desk: Desk) -> None:
    """At the first, and at the second after the first approved."""
    first, second = (
        await desk.file("a", thresholds=IN_ORDER),
        await desk.file("b", thresholds=IN_ORDER),
    )
    assert (await desk.review(first, LEAD, "deny")).state is HoldState.DENIED
    await desk.approve(second, LEAD)
    assert (await desk.review(second, COMPLIANCE, "deny")).state is HoldState.DENIED
    assert await refused(desk, second, LEAD_2) == "already_decided"


async def test_two_steps_are_two_people(desk: Desk) -> None:
    """Whoever is of both groups, or of one that is asked twice, answers once."""
    for thresholds, first, other in (
        (IN_ORDER, BOTH, COMPLIANCE),
        (TWICE, person("reviewer-1", Role.REVIEWER), person("reviewer-2", Role.REVIEWER)),
    ):
        view = await desk.file(first.id, thresholds=thresholds)
        await desk.approve(view, first)
        assert (await desk.approve(view, first)).state is HoldState.PENDING  # the same answer
        assert await refused(desk, view, first, "deny") == "already_reviewed"
        assert (await desk.approve(view, other)).state is HoldState.APPROVED


async def test_what_one_said_at_the_first_step_says_nothing_at_the_second(desk: Desk) -> None:
    """Somebody of both groups fills the seat of the open step and no other."""
    view = await desk.file(thresholds=IN_ORDER)
    view = await desk.approve(view, BOTH)
    assert [(one.step, one.counts_for) for one in view.reviews] == [(1, ("team-lead",))]
    view = await desk.file("other", thresholds=IN_ORDER)
    await desk.approve(view, LEAD)
    view = await desk.approve(view, BOTH)
    assert [(one.step, one.counts_for) for one in view.reviews][1:] == [(2, ("compliance",))]
    assert view.state is HoldState.APPROVED


async def test_a_delegate_answers_at_one_step(desk: Desk) -> None:
    """Not for a second lender at the next step; and the lender not beside their delegate."""
    delegate = delegate_of("deputy-1", Role.REVIEWER, "reviewer-1", "reviewer-2")
    other = delegate_of("deputy-2", Role.REVIEWER, "reviewer-1", "reviewer-2")
    view = await desk.file(thresholds=TWICE)
    view = await desk.approve(view, delegate)
    assert [(one.reviewer, one.person) for one in view.reviews] == [("deputy-1", "reviewer-1")]
    assert await refused(desk, view, delegate, "deny") == "already_reviewed"
    assert await refused(desk, view, person("reviewer-1", Role.REVIEWER)) == "already_reviewed"
    view = await desk.approve(view, other)
    assert [one.person for one in view.reviews] == ["reviewer-1", "reviewer-2"]
    assert view.state is HoldState.APPROVED


async def test_a_delegate_takes_one_seat_of_a_step(desk: Desk) -> None:
    """Where a step asks for two, two lenders are not both in one person."""
    view = await desk.file(thresholds=(Threshold("reviewer", 2, 1), Threshold("sales", 1, 1, 2)))
    delegate = delegate_of("deputy-1", Role.REVIEWER, "reviewer-1", "reviewer-2")
    await desk.approve(view, delegate)
    view = await desk.approve(view, delegate)
    assert (view.state, open_step_of(view), len(view.reviews)) == (HoldState.PENDING, 1, 1)


async def test_a_delegate_of_a_later_step_waits(desk: Desk) -> None:
    """As whoever lent the role would."""
    asked = (Threshold("team-lead", 1, 1), Threshold("reviewer", 1, 1, 2))
    view = await desk.file(thresholds=asked)
    delegate = delegate_of("deputy-1", Role.REVIEWER, "reviewer-1")
    assert await refused(desk, view, delegate) == "not_your_turn"
    await desk.approve(view, LEAD)
    assert (await desk.approve(view, delegate)).state is HoldState.APPROVED


async def test_the_same_answer_given_again_is_one_also_when_all_is_over(desk: Desk) -> None:
    """In the seat that was taken, whatever other seat there was at another step."""
    asked = (Threshold("policy_activator", 1, 1), Threshold("reviewer", 1, 1, 2))
    lent = frozenset({(Role.POLICY_ACTIVATOR, "z-1"), (Role.REVIEWER, "a-1")})
    both = replace(delegate_of("deputy-1", Role.REVIEWER), lent=lent)
    view = await desk.file(thresholds=asked)
    await desk.approve(view, both)
    view = await desk.approve(view, person("reviewer-2", Role.REVIEWER))
    assert view.state is HoldState.APPROVED
    assert (await desk.approve(view, both)).state is HoldState.APPROVED
    assert await refused(desk, view, person("reviewer-3", Role.REVIEWER)) == "already_decided"


async def test_two_workers_at_the_boundary(
    desk: Desk, ledger: MemoryLedger, valkey: Valkey
) -> None:
    """Of two who answer the first step at once one is taken; the other's answer is at no step."""
    second = open_desk(valkey.url, ledger)
    try:
        for number in range(10):
            view = await desk.file(str(number), thresholds=TWICE)
            said = await asyncio.gather(
                desk.approve(view, person("reviewer-1", Role.REVIEWER)),
                second.approve(view, person("reviewer-2", Role.REVIEWER)),
                return_exceptions=True,
            )
            now = await desk.store.get(view.hold.id)
            assert now is not None
            taken = [one for one in said if isinstance(one, HoldView)]
            lost = [one for one in said if isinstance(one, Conflict)]
            assert len(taken) + len(lost) == 2
            assert {one.code for one in lost} <= {"busy", "not_your_turn", "already_decided"}
            assert [one.step for one in now.reviews] == list(range(1, len(taken) + 1))
            done = len(taken) == 2
            assert now.state is (HoldState.APPROVED if done else HoldState.PENDING)
    finally:
        await second.close()


async def test_what_was_read_before_a_step_opened_answers_nothing_at_it(desk: Desk) -> None:
    """Somebody who is asked at both steps and read at the first has to read again."""
    view = await desk.file(thresholds=TWICE)
    mine = person("reviewer-1", Role.REVIEWER)
    old = desk.store.get

    async def as_it_was(hold_id: str) -> HoldView | None:
        return replace(view) if hold_id == view.hold.id else await old(hold_id)

    await desk.approve(view, person("reviewer-2", Role.REVIEWER))
    desk.store.get = as_it_was  # type: ignore[method-assign]
    assert await refused(desk, view, mine) == "not_your_turn"
    desk.store.get = old  # type: ignore[method-assign]
    assert (await desk.approve(view, mine)).state is HoldState.APPROVED


@pytest.mark.parametrize("step", ["2", "7"])
async def test_a_step_written_into_valkey_by_hand_lets_nobody_answer(
    desk: Desk, valkey: Valkey, step: str
) -> None:
    """Who may answer follows from the sealed reviews; the number beside only keeps others out."""
    view = await desk.file(thresholds=IN_ORDER)
    by_hand(valkey, view, open_step=step)
    assert await card_step(desk, view) == int(step or 1)
    assert await refused(desk, view, COMPLIANCE) == "not_your_turn"
    assert await refused(desk, view, LEAD) == "not_your_turn"


async def test_a_step_that_is_no_number_hides_no_queue(desk: Desk, valkey: Valkey) -> None:
    """What somebody wrote there reads as the first; the queue of all others goes on."""
    view = await desk.file(thresholds=IN_ORDER)
    for odd in ("", "x", "-1", "1e9", "2.5"):
        by_hand(valkey, view, open_step=odd)
        assert await card_step(desk, view) == 1


async def test_reviews_taken_out_of_valkey_by_hand_do_not_repeat_a_step(
    desk: Desk, ledger: MemoryLedger, valkey: Valkey
) -> None:
    """A colleague of whoever answered first cannot answer first again: the ledger knows."""
    view = await desk.file(thresholds=IN_ORDER)
    await desk.approve(view, LEAD)
    by_hand(valkey, view, reviews="0", open_step="1")
    assert await refused(desk, view, LEAD_2) == "already_decided"
    said = [e.data.get("step", 1) for e in ledger.events if e.type == "hold.review"]
    assert said == [1]


async def test_the_ledger_brings_back_which_step_is_open(desk: Desk, valkey: Valkey) -> None:
    """After Valkey lost everything, with its scripts: the reviews, and whose turn it is."""
    first = await desk.file("a", thresholds=IN_ORDER)
    second = await desk.file("b", thresholds=IN_ORDER)
    await desk.approve(second, LEAD)
    with redis.Redis.from_url(valkey.url) as raw:
        raw.flushall()
        raw.script_flush()
    assert (await card_step(desk, first), await card_step(desk, second)) == (1, 2)
    assert await refused(desk, first, COMPLIANCE) == "not_your_turn"
    assert await refused(desk, second, LEAD_2) == "not_your_turn"
    assert (await desk.approve(second, COMPLIANCE)).state is HoldState.APPROVED
    assert (await desk.approve(first, LEAD)).state is HoldState.PENDING


@pytest.mark.parametrize("form", ["before", "after"])
@pytest.mark.parametrize("arrow", ["propose", "settle"])
async def test_a_lost_reply_at_the_boundary(
    ledger: MemoryLedger, valkey: Valkey, arrow: str, form: str
) -> None:
    """The same answer given again is one, also when its step is full by then."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, ledger, LIMITS, client)
    lose = client.lose_before if form == "before" else client.lose_after
    try:
        view = await desk.file(thresholds=IN_ORDER)
        lose[arrow] = ALWAYS
        with pytest.raises(SekishoError):
            await desk.approve(view, LEAD)
        lose.clear()
        view = await desk.approve(view, LEAD)
        assert (view.state, open_step_of(view)) == (HoldState.PENDING, 2)
        assert await card_step(desk, view) == 2
        assert len(view.reviews) == 1
    finally:
        await desk.close()


async def test_only_who_is_asked_now_says_that_they_look(desk: Desk) -> None:
    """Whoever said so at a step before takes it back all the same."""
    view = await desk.file(thresholds=IN_ORDER)
    with pytest.raises(Conflict) as caught:
        await claim(desk.store, COMPLIANCE, view.hold.id)
    assert caught.value.code == "not_your_turn"
    await claim(desk.store, LEAD, view.hold.id)
    await desk.approve(view, LEAD_2)
    await leave(desk.store, LEAD, view.hold.id)
    assert (await claim(desk.store, COMPLIANCE, view.hold.id)).reviewer == "compliance-1"
    with pytest.raises(Forbidden):
        await leave(desk.store, person("staff-7", groups=("team-lead",)), view.hold.id)


async def test_more_reviews_at_release_can_add_a_step(desk: Desk, ledger: MemoryLedger) -> None:
    """The next version has it, and begins with the first step again."""
    view = await desk.file(thresholds=IN_ORDER[:1])
    await desk.approve(view, LEAD)
    assert await desk.store.claim(view.hold.id, "w-1") is not None
    decision = Decision(
        Effect.HOLD,
        (Reason("held", "Compliance looks at it, too.", "r"),),
        "sha256:01",
        Obligations(hold=HoldTerms("request", IN_ORDER, 600, 10)),
    )
    terms = anew.more_asked([decision], view.hold, 1)
    assert terms is not None
    assert terms.thresholds == IN_ORDER
    version = anew.next_version(view.hold, terms, [decision], view.hold.created_us + 1, Office())
    view = await anew.ask(desk.store, ledger, view.hold, "w-1", version)
    assert (view.hold.version, open_step_of(view), view.state) == (2, 1, HoldState.PENDING)
    assert await card_step(desk, view) == 1
    assert await refused(desk, view, COMPLIANCE) == "not_your_turn"
    await desk.approve(view, LEAD_2)
    assert (await desk.approve(view, COMPLIANCE)).state is HoldState.APPROVED
    # The same order is met; the other way round it is not.
    assert anew.more_asked([decision], view.hold, 2) is None
    turned = (replace(IN_ORDER[0], step=2), replace(IN_ORDER[1], step=1))
    other = replace(decision, obligations=Obligations(hold=HoldTerms("request", turned, 60, 10)))
    assert anew.more_asked([other], view.hold, 2) is not None


async def test_a_step_is_kept_where_there_is_one(desk: Desk) -> None:
    """In the record, the card and the binding of a hold; without one they are as they were."""
    plain = (await desk.file()).hold
    hold = replace(plain, thresholds=IN_ORDER)
    assert record.decode(record.encode(hold)) == hold
    assert record.decode_card(record.encode_card(hold), "pending").thresholds == IN_ORDER
    assert b"step" not in record.encode(plain) + record.encode_card(plain)
    turned = replace(hold, thresholds=(IN_ORDER[0], replace(IN_ORDER[1], step=3)))
    key = b"k" * 32
    bound = {binding.bind(one, key).binding for one in (plain, hold, turned)}
    assert len(bound) == 3

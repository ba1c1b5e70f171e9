"""What people approved: given to who asked once the ledger has it, if the rules still let it be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest
import redis

from sekisho.adapters.redis_holds import HOLDS
from sekisho.errors import Conflict, PolicyUnavailable
from sekisho.holding import names, rebuild
from sekisho.holding.sweep import Sweep
from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho.model.hold import ANSWER_HELD, HoldState, HoldView
from sekisho_audit.events import Event
from support.holds import ONE_REVIEW, REVIEWER_2, STAFF, TWO_REVIEWS, Desk
from support.line import ANSWER, CHAT_BODY, HOLD, Line, chat, decision
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

TERMS = HoldTerms("response", ONE_REVIEW, 600, 10)
LATER = decision(Effect.ALLOW, hold_later=(TERMS,))


@pytest.fixture
def line(desk: Desk, ledger: MemoryLedger) -> Line:
    """A line whose holds live in the real store."""
    return Line(holds=desk.store, ledger=ledger)


async def held(line: Line, says: Decision = LATER) -> HoldView:
    """A hold of an answer, or of a request."""
    line.rules.says = says
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    return view


async def now(desk: Desk, hold_id: str) -> HoldView:
    """The hold as it is."""
    view = await desk.store.get(hold_id)
    assert view is not None
    return view


async def test_an_approved_answer_is_released_once_and_kept(line: Line, desk: Desk) -> None:
    """The very bytes that were bound; recorded before anybody can get them."""
    view = await held(line)
    await desk.approve(view)

    await asyncio.gather(*(line.pipeline.resume(view.hold.id) for _ in range(3)))

    answer = await desk.store.answer(view.hold.id)
    assert answer is not None
    assert (view.hold.outgoing, 200) == (answer.body, answer.status)
    assert ["hold.filed", "hold.review", "hold.settled", "hold.released"] == line.ledger.types(
        view.hold.id
    )
    assert [CHAT_BODY] == line.backend.sent
    assert "approved" == line.rules.asked[-1]["approval"]["state"]


async def test_nothing_is_released_before_people_approved(line: Line, desk: Desk) -> None:
    """I3: pending, one review of two, denied."""
    two = decision(Effect.ALLOW, hold_later=(HoldTerms("response", TWO_REVIEWS, 600, 10),))
    view = await held(line, two)
    await line.pipeline.resume(view.hold.id)
    await desk.approve(view)
    await line.pipeline.resume(view.hold.id)
    assert await desk.store.answer(view.hold.id) is None

    await desk.review(view, REVIEWER_2, "deny")
    await line.pipeline.resume(view.hold.id)

    assert await desk.store.answer(view.hold.id) is None
    assert not line.data("hold.released")


async def test_a_newer_deny_wins(line: Line, desk: Desk) -> None:
    """It ends the hold; the answer is given to nobody."""
    view = await held(line)
    await desk.approve(view)
    line.rules.later["response"] = decision(Effect.DENY)

    await line.pipeline.resume(view.hold.id)

    after = await now(desk, view.hold.id)
    assert (HoldState.FAILED, "policy_denied") == (after.state, after.outcome_reason)
    assert not line.data("hold.released")
    assert ["policy_denied"] == [one["code"] for one in line.data("exchange.refused")]


async def test_more_reviews_make_a_new_version(line: Line, desk: Desk) -> None:
    """The answer is given to nobody until it has them, and reviews of before count for nothing."""
    view = await held(line)
    await desk.approve(view)
    more = HoldTerms("response", TWO_REVIEWS, 600, 10)
    line.rules.later["response"] = decision(Effect.HOLD, hold=more)

    await line.pipeline.resume(view.hold.id)

    after = await now(desk, view.hold.id)
    assert (HoldState.PENDING, 2, ()) == (after.state, after.hold.version, after.reviews)
    assert (TWO_REVIEWS, True) == (after.hold.thresholds, after.hold.asked_anew)
    assert view.hold.outgoing == after.hold.outgoing
    assert [view.hold.id] == [card.id for card in await desk.store.list_open(10)]
    assert not line.data("hold.released")
    await line.pipeline.resume(view.hold.id)
    with pytest.raises(Conflict):
        await desk.approve(view)  # bound to the version before
    await desk.approve(after)
    await line.pipeline.resume(view.hold.id)
    assert await desk.store.answer(view.hold.id) is None

    await desk.approve(after, REVIEWER_2)
    await line.pipeline.resume(view.hold.id)

    assert HoldState.READY is (await now(desk, view.hold.id)).state
    assert 1 == len(line.data("hold.released"))


@pytest.mark.parametrize("lost", ["lose_before", "lose_after"])
async def test_a_version_whose_writing_was_lost_is_finished(
    line: Line, desk: Desk, lost: str
) -> None:
    """Before it took effect or after: the sweep brings it through, and nothing was sent."""
    view = await held(line, HOLD)
    await desk.approve(view)
    line.rules.says = decision(Effect.HOLD, hold=HoldTerms("request", TWO_REVIEWS, 600, 10))
    append = line.ledger.append

    async def failing(events: Sequence[Event]) -> object:
        if any(event.type == "hold.filed" for event in events):
            setattr(line.ledger, lost, 1)
        return await append(events)

    line.ledger.append = failing  # type: ignore[method-assign,assignment]
    await line.pipeline.resume(view.hold.id)
    assert HoldState.DECIDING is (await now(desk, view.hold.id)).state
    del line.ledger.append
    line.ledger.lose_before = line.ledger.lose_after = 0
    assert await rebuild.restore_one(desk.store, line.ledger, view.hold.id)

    async def taken(_: str) -> None:
        raise AssertionError("nothing may be sent")

    sweep = Sweep(desk.store, line.ledger, taken)
    async with asyncio.timeout(10):
        while (await now(desk, view.hold.id)).state is HoldState.DECIDING:
            await sweep.once()
            await asyncio.sleep(0.05)

    after = await now(desk, view.hold.id)
    assert (HoldState.PENDING, 2) == (after.state, after.hold.version)
    assert not line.backend.sent
    assert [1, 2] == [one["version"] for one in line.data("hold.filed")]


async def test_a_store_that_lost_it_has_the_version_that_is_asked_about(
    line: Line, desk: Desk, valkey: Valkey
) -> None:
    """Also where an older copy of the store came back, in which the first was approved."""
    view = await held(line, HOLD)
    await desk.approve(view)
    with redis.Redis.from_url(valkey.url) as client:
        older = client.hgetall(HOLDS + view.hold.id)
        line.rules.says = decision(Effect.HOLD, hold=HoldTerms("request", TWO_REVIEWS, 600, 10))
        await line.pipeline.resume(view.hold.id)
        client.delete(HOLDS + view.hold.id)
        client.hset(HOLDS + view.hold.id, mapping=older)  # type: ignore[arg-type]
    assert HoldState.APPROVED is (await now(desk, view.hold.id)).state

    assert await rebuild.restore_one(desk.store, line.ledger, view.hold.id)

    after = await now(desk, view.hold.id)
    assert (HoldState.PENDING, 2, ()) == (after.state, after.hold.version, after.reviews)
    await line.pipeline.resume(view.hold.id)
    assert not line.backend.sent


async def test_rules_that_now_want_the_whole_answer_seen_have_it_seen(
    line: Line, desk: Desk
) -> None:
    """What was approved were the calls."""
    call = {"id": "t", "function": {"name": "crm.write", "arguments": "{}"}}
    said = {"choices": [{"message": {"tool_calls": [call]}}]}
    line.backend.parts = (orjson.dumps(said),)
    calls = replace(TERMS, stage="tool_call")
    line.rules.later["tool_call"] = decision(Effect.HOLD, hold=calls)
    view = await held(line, decision(Effect.ALLOW))
    await desk.approve(view)
    line.rules.later["tool_call"] = decision(Effect.ALLOW, hold_later=(TERMS,))

    await line.pipeline.resume(view.hold.id)

    after = await now(desk, view.hold.id)
    assert (HoldState.PENDING, "response") == (after.state, after.hold.stage)
    assert not line.data("hold.released")


async def test_an_answer_to_somebody_who_has_left_is_given_to_nobody(
    line: Line, desk: Desk
) -> None:
    """Approved or not."""
    view = await held(line)
    await desk.approve(view)
    line.people.gone.add(STAFF.id)

    await line.pipeline.resume(view.hold.id)

    assert "policy_principal_gone" == (await now(desk, view.hold.id)).outcome_reason


async def test_what_fails_for_a_moment_is_tried_again(line: Line, desk: Desk) -> None:
    """The answer is still there: when the lease is over it is approved as before."""
    view = await held(line)
    await desk.approve(view)
    line.rules.later["response"] = PolicyUnavailable("late", cause="late")
    await line.pipeline.resume(view.hold.id)
    assert HoldState.DISPATCHING is (await now(desk, view.hold.id)).state
    line.rules.later.clear()

    async with asyncio.timeout(30):
        while not await desk.store.lose(view.hold.id):
            await asyncio.sleep(0.1)
    assert HoldState.APPROVED is (await now(desk, view.hold.id)).state
    await line.pipeline.resume(view.hold.id)

    assert HoldState.READY is (await now(desk, view.hold.id)).state


@pytest.mark.parametrize("lost", ["lose_before", "lose_after"])
async def test_a_lost_release_is_released_once(line: Line, desk: Desk, lost: str) -> None:
    """Before it took effect or after: another try records the same release."""
    view = await held(line)
    await desk.approve(view)
    line.rules.later["response"] = LATER_ALLOWED
    setattr(line.ledger, lost, 2)  # the refusal that would be recorded for it fails as well
    await line.pipeline.resume(view.hold.id)
    line.ledger.lose_before = line.ledger.lose_after = 0

    async with asyncio.timeout(30):
        while not await desk.store.lose(view.hold.id):
            await asyncio.sleep(0.1)
    await line.pipeline.resume(view.hold.id)

    assert HoldState.READY is (await now(desk, view.hold.id)).state
    assert 1 == len(line.data("hold.released"))


LATER_ALLOWED = decision(Effect.ALLOW)


async def test_the_answer_to_a_held_request_is_held_in_turn(line: Line, desk: Desk) -> None:
    """Each stage has its own hold and its own reviews; the first leads to the second."""
    both = decision(Effect.HOLD, hold=HOLD.obligations.hold, hold_later=(TERMS,))
    first = await held(line, both)
    await desk.approve(first)

    await line.pipeline.resume(first.hold.id)

    kept = await desk.store.answer(first.hold.id)
    assert kept is not None
    assert ANSWER_HELD == kept.content_type
    second = await now(desk, names.answer_hold(first.hold.id))
    assert (HoldState.PENDING, "response", ()) == (second.state, second.hold.stage, second.reviews)
    assert second.hold.exchange == first.hold.exchange
    assert second.hold.wait_until_us == first.hold.wait_until_us
    assert orjson.loads(ANSWER) == orjson.loads(second.hold.outgoing)
    assert "none" == line.rules.asked[-1]["approval"]["state"]

    await desk.approve(second)
    await line.pipeline.resume(second.hold.id)
    assert HoldState.READY is (await now(desk, second.hold.id)).state
    assert [CHAT_BODY] == line.backend.sent


async def test_a_store_that_lost_everything_gets_answers_back(
    line: Line, desk: Desk, valkey: Valkey
) -> None:
    """From the ledger: approved and not given out is approved, and is given out."""
    view = await held(line)
    await desk.approve(view)
    with redis.Redis.from_url(valkey.url) as client:
        client.delete(HOLDS + view.hold.id)
    assert await desk.store.get(view.hold.id) is None

    assert await rebuild.restore_one(desk.store, line.ledger, view.hold.id)

    await line.pipeline.resume(view.hold.id)
    assert HoldState.READY is (await now(desk, view.hold.id)).state

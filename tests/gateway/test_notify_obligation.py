"""A rule that names channels has them told, or nothing is let through; real store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from sekisho.adapters.redis_outbox import RedisOutbox
from sekisho.errors import DeniedByPolicy, HoldStoreUnavailable, LimitReached, Unavailable
from sekisho.holding.moments import Schedule, outstanding
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldView
from sekisho.model.notification import Channel, Notification
from sekisho.releasing.replies import Whole
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import ONE_REVIEW, STAFF, Desk, open_desk
from support.line import Line, chat, decision
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

TOLD = decision(Effect.ALLOW, notify=("desk",))
REFUSED = decision(Effect.DENY, notify=("desk",))
HELD = decision(Effect.HOLD, notify=("desk",), hold=HoldTerms("request", ONE_REVIEW, 600, 10))
FUNCTION = {"name": "crm.write", "arguments": '{"id":7}'}
CALL = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": f"t{n}", "type": "function", "function": FUNCTION} for n in range(3)
                ],
            },
        }
    ]
}


class Told:
    """A line with a channel, over a store that can lose calls, and a look at what waits."""

    def __init__(self, url: str, ledger: MemoryLedger, waiting_max: int = 10) -> None:
        self.client = FaultyRedis.to(url)
        self.desk = open_desk(url, ledger, client=self.client)
        self.outbox = RedisOutbox(self.desk.store, waiting_max)
        self.line = Line(
            holds=self.desk.store,
            ledger=ledger,
            outbox=self.outbox,
            channels=frozenset({"desk", "other"}),
        )

    async def ask(self) -> Whole | HoldView:
        answer = await self.line.pipeline.handle(STAFF, chat())
        assert isinstance(answer, Whole | HoldView)
        return answer

    async def waits(self) -> list[Notification]:
        return [one.notification for one in (await self.outbox.due("desk", 99)).waiting]


@pytest.fixture
async def told(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Told]:
    made = Told(valkey.url, ledger)
    yield made
    await made.desk.close()


async def test_a_rule_that_lets_something_go_can_have_people_told(told: Told) -> None:
    """The message is kept before anything leaves; it says which rule, how, of which exchange."""
    told.line.rules.says = TOLD
    kept: list[bool] = []
    told.line.backend.on_send = lambda: kept.append("tell_post" in told.client.calls)
    await told.ask()
    [one] = await told.waits()
    assert (one.moment, one.state, one.stage, one.rules) == (
        *("decided", "allow", "request", ("rule.a",)),
    )
    assert one.exchange
    assert one.hold == ""
    assert kept == [True]


async def test_a_deny_is_told_and_stands_whether_it_could_be_told_or_not(told: Told) -> None:
    """Whoever is refused is refused; that nobody could be told lets nothing through."""
    told.line.rules.says = REFUSED
    with pytest.raises(DeniedByPolicy):
        await told.ask()
    assert [one.state for one in await told.waits()] == ["deny"]
    told.client.lose_before["tell_post"] = ALWAYS
    with pytest.raises(DeniedByPolicy):
        await told.ask()


@pytest.mark.parametrize("form", ["before", "after"])
async def test_what_cannot_be_told_is_not_let_through(told: Told, form: str) -> None:
    """Both forms: the store did not take it, or took it and the reply was lost. Recorded."""
    told.line.rules.says = TOLD
    (told.client.lose_before if form == "before" else told.client.lose_after)["tell_post"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await told.ask()
    assert told.line.backend.sent == []
    assert told.line.data("exchange.refused")[0]["code"] == "hold_store_unavailable"
    assert told.line.data("backend.intent") == []
    assert told.line.limiter.charges[-1].settled == [(None, None)]


async def test_no_room_to_tell_is_no_way_through(valkey: Valkey, ledger: MemoryLedger) -> None:
    """A channel that is dead for long ends what rules let go only with it."""
    told = Told(valkey.url, ledger, waiting_max=1)
    told.line.rules.says = TOLD
    await told.ask()
    with pytest.raises(Unavailable) as refused:
        await told.ask()
    assert refused.value.code == "not_told"
    assert len(told.line.backend.sent) == 1
    await told.desk.close()


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.HOLD])
async def test_a_channel_that_is_not_there_is_a_deny(told: Told, effect: Effect) -> None:
    """One of several is enough, and the others are not told of it either."""
    terms = HELD.obligations.hold if effect is Effect.HOLD else None
    told.line.rules.says = decision(effect, notify=("desk", "gone"), hold=terms)
    with pytest.raises(DeniedByPolicy):
        await told.ask()
    reasons = told.line.data("policy.decision")[0]["reasons"]
    assert reasons[0]["code"] == "obligation_unsupported"
    assert "notify" in reasons[0]["msg"]
    assert told.line.backend.sent == []


async def test_a_hold_tells_of_itself(told: Told) -> None:
    """With its link, over the channels that the rule named beside those of its reviewers."""
    told.line.rules.says = HELD
    view = await told.ask()
    assert isinstance(view, HoldView)
    assert view.hold.notify == ("desk",)
    assert await told.waits() == []
    seen = await told.outbox.look(9)
    [changed] = seen.changed
    due = outstanding(changed, [Channel("desk"), Channel("other")], Schedule(), seen.now_us)
    assert [(one.channel, one.hold) for one in due.notifications] == [("desk", view.hold.id)]


async def test_a_limit_bounds_what_people_are_told(told: Told) -> None:
    """Who asks beyond it is refused, and nobody is bothered."""
    told.line.rules.says = TOLD
    told.line.limiter.refuses = LimitReached("too much", retry_after_s=1)
    with pytest.raises(LimitReached):
        await told.ask()
    assert await told.waits() == []


async def test_nothing_is_told_by_asking_what_would_happen(told: Told) -> None:
    """`/v1/check` sends nothing to anybody."""
    told.line.rules.says = TOLD
    await told.line.pipeline.check(STAFF, chat())
    assert await told.waits() == []


async def test_a_tool_call_is_told_once_however_many_there_are(told: Told) -> None:
    """And not at all where the request was told for already."""
    told.line.backend.parts = (orjson.dumps(CALL),)
    told.line.rules.later["tool_call"] = TOLD
    await told.ask()
    assert [(one.stage, one.state) for one in await told.waits()] == [("tool_call", "allow")]
    told.line.rules.says = TOLD
    await told.ask()
    assert [one.stage for one in await told.waits()] == ["tool_call", "request"]


async def test_a_call_that_cannot_be_told_is_not_given_on(told: Told) -> None:
    """The answer is withheld, and the outcome says that it failed."""
    told.line.backend.parts = (orjson.dumps(CALL),)
    told.line.rules.later["tool_call"] = TOLD
    told.client.lose_before["tell_post"] = ALWAYS
    with pytest.raises(HoldStoreUnavailable):
        await told.ask()
    [outcome] = told.line.data("backend.outcome")
    assert outcome["status"] != "released"


async def test_a_call_over_a_channel_that_is_not_there_is_denied(told: Told) -> None:
    """As for any obligation that cannot be carried out, at any stage."""
    told.line.backend.parts = (orjson.dumps(CALL),)
    told.line.rules.later["tool_call"] = decision(Effect.ALLOW, notify=("gone",))
    answer = await told.ask()
    assert isinstance(answer, Whole)
    assert b"tool_calls" not in answer.body
    assert b"not allowed" in answer.body


async def test_a_held_answer_tells_of_itself(told: Told) -> None:
    """The channels of the rule that held it stand in its hold."""
    told.line.backend.parts = (orjson.dumps(CALL),)
    terms = HoldTerms("tool_call", ONE_REVIEW, 600, 10)
    told.line.rules.later["tool_call"] = decision(Effect.HOLD, notify=("other",), hold=terms)
    view = await told.ask()
    assert isinstance(view, HoldView)
    assert view.hold.notify == ("other",)


async def test_without_a_channel_named_the_store_is_not_asked(told: Told, desk: Desk) -> None:
    """What is not asked for costs nothing."""
    await told.ask()
    assert "tell_post" not in told.client.calls

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from sekisho.errors import (
    BackendFailed,
    BadRequest,
    BudgetExhausted,
    DeniedByPolicy,
    Forbidden,
    InternalFault,
    LedgerRefused,
    LedgerUnavailable,
    LimitReached,
    NotAuthenticated,
    PolicyUnavailable,
)
from sekisho.model.assistant import Assistant, Assistants
from sekisho.model.catalog import Backend, Catalog
from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.principal import Shown
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho_audit.events import Appended, Event
from support.holds import STAFF, Desk
from support.line import ANSWER, CATALOG, CHAT_BODY, DENY, HOLD, Line, chat, decision
from support.memory_ledger import MemoryLedger

MALFORMED = b'{"model":"gpt-x","model":"gpt-y","messages":[]}'
MAIL = b'{"model":"gpt-x","messages":[{"role":"user","content":"write to li.wei@corp.example"}]}'


async def test_the_intent_is_in_the_ledger_before_the_backend_is_called() -> None:
    """I1: at the moment of sending, the intent for exactly these bytes stands there."""
    line = Line()
    seen: list[str] = []
    line.backend.on_send = lambda: seen.extend(line.ledger.types())

    answer = await line.pipeline.handle(STAFF, chat())

    assert ["request.received", "policy.decision", "backend.intent"] == seen
    assert [CHAT_BODY] == line.backend.sent
    intent = line.ledger.events[2]
    assert (len(CHAT_BODY), CHAT_BODY) == (intent.data["bytes"], intent.payloads[0].exact)
    assert isinstance(answer, Whole)
    assert ANSWER == answer.body
    assert ["released"] == [data["status"] for data in line.data("backend.outcome")]


async def test_a_stream_is_relayed_and_has_one_outcome() -> None:
    """The pieces are the backend's, and the outcome names their number."""
    line = Line()
    line.backend.parts = (b"data: {}\n\n", b"data: [DONE]\n\n")
    line.backend.content_type = "text/event-stream"

    stream = await line.pipeline.handle(STAFF, chat(CHAT_BODY[:-1] + b',"stream":true}'))

    assert isinstance(stream, Stream)
    assert b"".join(line.backend.parts) == b"".join([piece async for piece in stream.pieces])
    assert ("ok", 2) == (stream.ended, stream.chunks)
    assert [2] == [data["chunks"] for data in line.data("backend.outcome")]


@pytest.mark.parametrize("body", [CHAT_BODY, MALFORMED], ids=["good", "malformed"])
async def test_a_stranger_costs_nothing(body: bytes) -> None:
    """ADR 0004: an unknown key is refused before the body is parsed, and leaves no event."""
    line = Line()

    with pytest.raises(NotAuthenticated):
        await line.pipeline.identify(Shown(secret="key-nobody"))

    assert not line.ledger.events
    assert not line.rules.asked


async def test_a_malformed_body_of_a_known_principal_is_recorded() -> None:
    """ADR 0004: 400 and one event, so that attempts at ambiguous bodies can be found."""
    line = Line()

    with pytest.raises(BadRequest) as caught:
        await line.pipeline.handle(STAFF, chat(MALFORMED))

    (event,) = line.ledger.events
    assert ("exchange.refused", "receive") == (event.type, event.data["stage"])
    assert (caught.value.exchange, "staff-7") == (event.exchange, event.principal)
    assert not line.rules.asked


async def test_a_deny_is_recorded_and_nothing_leaves() -> None:
    """The employee gets the rule's words and the exchange's id."""
    line = Line()
    line.rules.says = DENY

    with pytest.raises(DeniedByPolicy, match="Because") as caught:
        await line.pipeline.handle(STAFF, chat())

    assert ["request.received", "policy.decision", "exchange.refused"] == line.ledger.types()
    assert {caught.value.exchange} == {event.exchange for event in line.ledger.events}
    assert not line.backend.sent


async def test_without_rules_nothing_leaves() -> None:
    """I5: an engine that cannot be asked is a refusal, recorded with its own code."""
    line = Line()
    line.rules.says = PolicyUnavailable("the rules are late")

    with pytest.raises(PolicyUnavailable):
        await line.pipeline.handle(STAFF, chat())

    assert ["policy_unavailable"] == [data["code"] for data in line.data("exchange.refused")]
    assert not line.backend.sent


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_without_a_durable_intent_nothing_leaves(fault: str) -> None:
    """Failed, or took effect with the reply lost: no byte is sent, and no intent stays open."""
    line = Line()
    setattr(line.ledger, fault, 1)

    with pytest.raises(LedgerUnavailable) as caught:
        await line.pipeline.handle(STAFF, chat())
    if fault == "lose_after":
        await line.unsettled.flush()

    assert caught.value.exchange is not None
    assert not line.backend.sent
    intents = len(line.data("backend.intent"))
    outcomes = line.data("backend.outcome")
    assert [{"status": "failed", "cause": "never_sent"}] * intents == [
        {"status": data["status"], "cause": data["cause"]} for data in outcomes
    ]
    assert intents == (fault == "lose_after")


async def test_a_refusal_that_cannot_be_recorded_is_not_given() -> None:
    """The client is told that evidence is missing instead of what policy said."""
    line = Line()
    line.rules.says = DENY
    line.ledger.down = True

    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())


async def test_a_dead_connection_is_another_attempt_with_its_own_intent() -> None:
    """Each sending has its intent and its outcome; the bytes are the same."""
    line = Line()
    line.backend.fails = [BackendFailed("dead", code="backend_disconnected")]

    await line.pipeline.handle(STAFF, chat())

    assert [1, 2] == [data["attempt"] for data in line.data("backend.intent")]
    assert ["failed", "released"] == [data["status"] for data in line.data("backend.outcome")]
    assert [CHAT_BODY] * 2 == line.backend.sent


async def test_other_failures_are_not_tried_again() -> None:
    """A backend that may have worked on it is not asked twice."""
    line = Line()
    line.backend.fails = [BackendFailed("reset", code="backend_unreachable")]

    with pytest.raises(BackendFailed):
        await line.pipeline.handle(STAFF, chat())

    assert 1 == len(line.backend.sent)
    assert ["failed"] == [data["status"] for data in line.data("backend.outcome")]


async def test_a_client_that_leaves_before_sending_is_recorded() -> None:
    """Cancelled while the rules were asked: an event, and no byte at the backend."""
    line = Line()
    line.rules.gate = asyncio.Event()
    handling = asyncio.create_task(line.pipeline.handle(STAFF, chat()))
    while not line.rules.asked:
        await asyncio.sleep(0)

    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    await line.unsettled.flush()

    assert [{"stage": "decide"}] == line.data("exchange.cancelled")
    assert not line.backend.sent


@pytest.mark.parametrize(
    ("level", "kept", "with_address"),
    [("metadata", False, False), ("redacted", True, False), ("full", True, True)],
)
async def test_the_log_level_says_what_the_ledger_keeps(
    level: str, kept: bool, with_address: bool
) -> None:
    """The commitment is to the exact bytes in each case; only what is kept differs."""
    line = Line()
    line.rules.says = decision(Effect.ALLOW, log_level=level)

    await line.pipeline.handle(STAFF, chat(MAIL))

    stored = line.stored_prompt()
    assert kept == ("write to" in str(stored))
    assert with_address == ("li.wei" in str(stored))
    assert MAIL == line.ledger.events[0].payloads[0].exact


async def test_what_policy_wants_masked_does_not_leave() -> None:
    """The intent commits to the masked bytes, and the record names what changed them."""
    line = Line()
    line.rules.says = decision(Effect.ALLOW, redact=("email",))

    await line.pipeline.handle(STAFF, chat(MAIL))

    sent = MAIL.replace(b"li.wei@corp.example", b"[EMAIL]")
    assert [sent] == line.backend.sent
    intent = line.ledger.events[2]
    assert ("backend.intent", sent) == (intent.type, intent.payloads[0].exact)


async def test_a_request_goes_where_policy_sends_it_and_is_charged_there() -> None:
    """The record of the decision keeps what policy was asked about, the intent where it went."""
    line = Line(catalog=Catalog((*CATALOG.backends, Backend("house", ("gpt-*",), "onprem"))))
    line.rules.says = decision(Effect.ALLOW, route="trust:onprem")

    await line.pipeline.handle(STAFF, chat())

    assert ["house"] == line.backend.went
    assert ["house"] == [data["backend"] for data in line.data("backend.intent")]
    assert ["house"] == [charge.spender.backend for charge in line.limiter.charges]
    assert "demo" == line.rules.asked[0]["request"]["backend"]


async def test_without_such_a_backend_nothing_leaves_and_the_decision_is_on_record() -> None:
    line = Line()
    line.rules.says = decision(Effect.ALLOW, route="trust:onprem")

    with pytest.raises(DeniedByPolicy):
        await line.pipeline.handle(STAFF, chat())

    assert ["request.received", "policy.decision", "exchange.refused"] == line.ledger.types()
    assert ["no_route"] == [data["code"] for data in line.data("exchange.refused")]
    assert not line.backend.sent


@pytest.mark.parametrize(
    ("says", "effect"),
    [
        (decision(Effect.ALLOW), "allow"),
        (HOLD, "hold"),
        (DENY, "deny"),
        (decision(Effect.ALLOW, route="trust:onprem"), "deny"),
    ],
    ids=["allow", "hold", "deny", "no_route"],
)
async def test_a_check_tells_and_sends_nothing(says: Decision, effect: str) -> None:
    """It is on record and counted, without content: rules are not tried unseen, nor for free."""
    line = Line()
    line.rules.says = says

    told = orjson.loads(await line.pipeline.check(STAFF, chat(MAIL)))

    assert (effect, False) == (told["effect"], told["sent"])
    assert not line.backend.sent
    assert ["request.received", "policy.decision", "exchange.checked"] == line.ledger.types()
    assert [effect] == [data["effect"] for data in line.data("exchange.checked")]
    assert {told["exchange"]} == {event.exchange for event in line.ledger.events}
    (prompt,) = line.ledger.events[0].payloads
    assert prompt.stored is None
    if effect != "deny":
        assert [(0, 0)] == [
            (c.estimate.prompt_tokens, c.estimate.answer_tokens) for c in line.limiter.charges
        ]


async def test_a_check_that_cannot_be_answered_is_refused_and_recorded() -> None:
    line = Line()
    line.rules.says = PolicyUnavailable("the rules are late")

    with pytest.raises(PolicyUnavailable):
        await line.pipeline.check(STAFF, chat())
    assert ["policy_unavailable"] == [data["code"] for data in line.data("exchange.refused")]


async def test_a_check_counts_against_the_limits() -> None:
    line = Line()
    line.limiter.refuses = LimitReached("Too many.", retry_after_s=5)

    with pytest.raises(LimitReached):
        await line.pipeline.check(STAFF, chat())
    assert "exchange.checked" not in line.ledger.types()


async def test_what_the_line_does_is_counted() -> None:
    """Decisions and backend calls appear in the metrics."""
    line = Line()
    await line.pipeline.handle(STAFF, chat())

    assert line.counted('sekisho_decision_seconds_count{stage="request"} 1.0')
    assert line.counted('sekisho_backend_seconds_count{backend="demo"} 1.0')


async def test_models_are_listed() -> None:
    """Patterns are not names: for them stands what the backend lists, as far as they go."""
    line = Line()

    listed = orjson.loads(await line.pipeline.models(STAFF))
    line.lists.heard = {"demo": ("gpt-z1", "other", "gpt-x")}
    more = orjson.loads(await line.pipeline.models(STAFF))

    assert ["gpt-x", "gpt-y"] == [model["id"] for model in listed["data"]]
    assert ["gpt-x", "gpt-y", "gpt-z1"] == [model["id"] for model in more["data"]]
    assert {"demo"} == {model["owned_by"] for model in more["data"]}


async def test_a_narrowed_key_lists_only_what_it_may_ask() -> None:
    """What is listed can be asked, as far as the credential goes."""
    line = Line()
    line.lists.heard = {"demo": ("gpt-z1", "gpt-z2")}
    narrowed = replace(STAFF, models=("gpt-y", "gpt-z1*", "o1*"))
    listed = orjson.loads(await line.pipeline.models(narrowed))
    assert ["gpt-y", "gpt-z1"] == [model["id"] for model in listed["data"]]


async def test_a_mistake_of_ours_is_recorded_and_said() -> None:
    """An error nobody thought of is an outcome with its own event, not one lost in a handler."""
    line = Line()

    async def broken(_: object) -> None:
        raise KeyError("bug")

    line.rules.decide = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(InternalFault) as caught:
        await line.pipeline.handle(STAFF, chat())

    events = [event for event in line.ledger.events if event.exchange == caught.value.exchange]
    assert ["request.received", "exchange.refused"] == [event.type for event in events]
    assert "internal_fault" == events[-1].data["code"]


async def _held(line: Line) -> HoldView:
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    return view


@pytest.fixture
def line(desk: Desk, ledger: MemoryLedger) -> Line:
    """A line whose holds live in the real store."""
    return Line(holds=desk.store, ledger=ledger)


async def test_a_held_request_waits_with_its_bytes(line: Line) -> None:
    """Nothing is sent; received, decision and hold are durable as one batch."""
    view = await _held(line)

    assert (HoldState.PENDING, CHAT_BODY) == (view.state, view.hold.outgoing)
    assert ["request.received", "policy.decision", "hold.filed"] == line.ledger.types()
    assert not line.backend.sent
    assert line.counted('sekisho_holds_total{state="pending"} 1.0')


async def test_resume_sends_nothing_before_people_approved(line: Line) -> None:
    """I3: a pending hold cannot be claimed."""
    view = await _held(line)

    await line.pipeline.resume(view.hold.id)

    assert not line.backend.sent


@pytest.mark.parametrize("says", [HOLD, decision(Effect.ALLOW)], ids=["hold", "allow"])
async def test_an_approved_hold_is_sent_once(line: Line, desk: Desk, says: Decision) -> None:
    """Exactly the approved bytes, under an intent that names the hold; others find nothing."""
    view = await _held(line)
    await desk.approve(view)
    line.rules.says = says

    await asyncio.gather(*(line.pipeline.resume(view.hold.id) for _ in range(3)))

    assert [CHAT_BODY] == line.backend.sent
    (intent,) = line.data("backend.intent")
    assert (view.hold.id, view.hold.binding) == (intent["hold"], intent["binding"])
    kept = await desk.store.answer(view.hold.id)
    assert kept is not None
    assert ANSWER == kept.body


async def _failed(line: Line, desk: Desk, hold_id: str) -> Any:
    await line.pipeline.resume(hold_id)
    after = await desk.store.get(hold_id)
    assert after is not None
    assert HoldState.FAILED == after.state
    return after.outcome_reason


REASONED = decision(Effect.ALLOW, justify=True)


async def _unjustified(line: Line, says: Decision = REASONED) -> HoldView:
    line.rules.says = says
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    assert view.unjustified
    await line.pipeline.resume(view.hold.id)
    assert not line.backend.sent
    return view


async def test_a_request_that_wants_a_reason_is_sent_once_it_is_given(
    line: Line, desk: Desk
) -> None:
    """Its bytes wait; nobody is said to have approved it when the rules are asked again."""
    view = await _unjustified(line)
    await desk.justify(view)

    await asyncio.gather(*(line.pipeline.resume(view.hold.id) for _ in range(3)))

    assert [CHAT_BODY] == line.backend.sent
    assert {"state": "none", "by": []} == line.rules.asked[-1]["approval"]
    assert [True, True] == [said["obligations"]["justify"] for said in line.data("policy.decision")]
    (intent,) = line.data("backend.intent")
    assert view.hold.id == intent["hold"]
    kinds = line.ledger.types()
    assert kinds.index("hold.justified") < kinds.index("backend.intent")


async def test_a_hold_that_wants_a_reason_needs_both(line: Line, desk: Desk) -> None:
    asked = HOLD.obligations.hold
    view = await _unjustified(line, decision(Effect.HOLD, hold=asked, justify=True))
    await desk.justify(view)
    await line.pipeline.resume(view.hold.id)
    assert not line.backend.sent
    await desk.approve(view)
    await line.pipeline.resume(view.hold.id)

    assert [CHAT_BODY] == line.backend.sent
    assert "approved" == line.rules.asked[-1]["approval"]["state"]


async def test_a_reason_is_no_way_around_a_newer_deny(line: Line, desk: Desk) -> None:
    view = await _unjustified(line)
    await desk.justify(view)
    line.rules.says = DENY

    assert "policy_denied" == await _failed(line, desk, view.hold.id)
    assert not line.backend.sent


async def _asked_anew(line: Line, desk: Desk, hold_id: str) -> HoldView:
    await line.pipeline.resume(hold_id)
    after = await desk.store.get(hold_id)
    assert after is not None
    assert (HoldState.PENDING, 2) == (after.state, after.hold.version)
    assert not line.backend.sent
    return after


async def test_a_reason_does_not_stand_for_reviewers(line: Line, desk: Desk) -> None:
    """Rules that want people by now get them; the reason for the same bytes stands."""
    view = await _unjustified(line)
    await desk.justify(view)
    line.rules.says = HOLD

    after = await _asked_anew(line, desk, view.hold.id)
    assert after.justification is not None
    assert not after.unjustified
    await desk.approve(after)
    await line.pipeline.resume(view.hold.id)
    assert [CHAT_BODY] == line.backend.sent


async def test_rules_that_want_a_reason_later_are_not_satisfied(line: Line, desk: Desk) -> None:
    """Approved without one, and one is asked for now."""
    view = await _held(line)
    await desk.approve(view)
    line.rules.says = REASONED

    after = await _asked_anew(line, desk, view.hold.id)
    assert after.unjustified
    await desk.justify(after)
    await desk.approve(after)
    await line.pipeline.resume(view.hold.id)
    assert [CHAT_BODY] == line.backend.sent


async def test_a_hold_that_names_nobody_is_not_freed_by_a_reason(line: Line) -> None:
    """Careless rules: a hold without reviewers that wants a reason, too, is refused."""
    nobody = HoldTerms("request", (), 600, 10)
    line.rules.says = decision(Effect.HOLD, hold=nobody, justify=True)

    with pytest.raises(DeniedByPolicy) as caught:
        await line.pipeline.handle(STAFF, chat())
    assert "policy_malformed" == caught.value.code
    assert "hold.filed" not in line.ledger.types()


async def test_a_newer_deny_beats_an_approval(line: Line, desk: Desk) -> None:
    """The rules are asked again with the approval; the bytes stay here."""
    view = await _held(line)
    await desk.approve(view)
    line.rules.says = DENY

    assert "policy_denied" == await _failed(line, desk, view.hold.id)
    assert not line.backend.sent
    assert "approved" == line.rules.asked[-1]["approval"]["state"]
    assert ["reviewer-1"] == line.rules.asked[-1]["approval"]["by"]


async def test_todays_obligations_may_not_change_approved_bytes(line: Line, desk: Desk) -> None:
    """People approved these bytes: a cap that would rewrite them ends the hold instead."""
    view = await _held(line)
    await desk.approve(view)
    line.rules.says = decision(Effect.ALLOW, max_tokens=5)

    assert "policy_changed" == await _failed(line, desk, view.hold.id)
    assert not line.backend.sent


async def test_what_must_be_masked_today_was_not_in_the_approved_bytes(
    line: Line, desk: Desk
) -> None:
    """They are looked through again: the scan of the first day is not kept."""
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat(MAIL))
    assert isinstance(view, HoldView)
    await desk.approve(view)
    line.rules.says = decision(Effect.ALLOW, redact=("email",))

    assert "policy_changed" == await _failed(line, desk, view.hold.id)
    assert not line.backend.sent


async def test_an_approval_is_good_for_one_sending(line: Line, desk: Desk) -> None:
    """Not even a dead connection makes a held exchange go out twice."""
    view = await _held(line)
    await desk.approve(view)
    line.rules.says = decision(Effect.ALLOW)
    line.backend.fails = [BackendFailed("dead", code="backend_disconnected")]

    assert "backend_disconnected" == await _failed(line, desk, view.hold.id)
    assert 1 == len(line.backend.sent)
    assert ["failed"] == [data["status"] for data in line.data("backend.outcome")]


async def test_what_may_be_used_is_set_aside_before_and_settled_after() -> None:
    """The intent says what was set aside, the outcome what was used, and where it stands."""
    line = Line()
    await line.pipeline.handle(STAFF, chat())

    (charge,) = line.limiter.charges
    intent, outcome = line.ledger.events[2], line.ledger.events[3]
    assert ("staff-7", "gpt-x", "demo") == (
        charge.spender.principal,
        charge.spender.model,
        charge.spender.backend,
    )
    assert charge.reserved == intent.data["charged"]
    assert [(outcome.data["charged"], 3)] == charge.settled


async def test_a_limit_refuses_before_anything_leaves_and_is_recorded() -> None:
    """After the rules, before the intent: the record has the decision and the refusal."""
    line = Line()
    line.limiter.refuses = LimitReached("Enough for this minute.", retry_after_s=9)

    with pytest.raises(LimitReached) as caught:
        await line.pipeline.handle(STAFF, chat())

    assert ["request.received", "policy.decision", "exchange.refused"] == line.ledger.types()
    assert ("limit_reached", 429) == tuple(
        line.ledger.events[2].data[name] for name in ("code", "status")
    )
    assert caught.value.exchange == line.ledger.events[0].exchange
    assert not line.backend.sent


async def test_what_never_left_costs_nothing() -> None:
    """No ledger, no intent: what was set aside is given back."""
    line = Line()
    line.ledger.down = True
    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())
    assert [(None, None)] == line.limiter.charges[0].settled


async def test_a_second_attempt_is_charged_once() -> None:
    """A dead kept-alive connection costs nothing, and the repeated one is not refused for it."""
    line = Line()
    line.backend.fails = [BackendFailed("gone", code="backend_disconnected")]
    await line.pipeline.handle(STAFF, chat())

    first, second = line.limiter.charges
    assert [0] == [used["tokens"] for used, _ in first.settled if used is not None]
    assert (False, True) == (first.forced, second.forced)
    assert 1 == len(second.settled)


async def test_a_key_made_for_other_models_is_refused_before_the_rules() -> None:
    """And recorded with the principal."""
    line = Line()
    with pytest.raises(Forbidden) as caught:
        await line.pipeline.handle(replace(STAFF, models=("gpt-y",)), chat())
    assert "model_not_for_key" == caught.value.code
    assert ["request.received", "exchange.refused"] == line.ledger.types()
    assert not line.rules.asked


async def test_an_approved_exchange_that_meets_a_limit_is_not_sent(desk: Desk) -> None:
    """People approve what it says, not that there is money: the hold fails and says why."""
    assert isinstance(desk.ledger, MemoryLedger)
    line = Line(desk.store, desk.ledger)
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await desk.approve(view)
    line.limiter.refuses = BudgetExhausted("Enough.")

    await line.pipeline.resume(view.hold.id)

    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (HoldState.FAILED, "budget_exhausted") == (after.state, after.outcome_reason)
    assert not line.backend.sent


async def test_what_is_denied_or_held_counts_as_a_request(desk: Desk) -> None:
    """Otherwise a limit on requests bounds neither probing the rules nor reviewers' queues."""
    assert isinstance(desk.ledger, MemoryLedger)
    line = Line(desk.store, desk.ledger)
    nothing = {"tokens": 0, "spend_micros": 0}
    line.rules.says = DENY
    with pytest.raises(DeniedByPolicy):
        await line.pipeline.handle(STAFF, chat())
    line.rules.says = HOLD
    await line.pipeline.handle(STAFF, chat())

    denied, held = line.limiter.charges
    assert [[(nothing, None)]] * 2 == [denied.settled, held.settled]
    assert (True, False) == (denied.forced, held.forced)


async def test_nobody_is_asked_to_review_beyond_the_requesters_limit(desk: Desk) -> None:
    """The hold is not filed, and the requester is told which limit it was."""
    assert isinstance(desk.ledger, MemoryLedger)
    line = Line(desk.store, desk.ledger)
    line.rules.says = HOLD
    line.limiter.refuses = LimitReached("Enough for this minute.")
    with pytest.raises(LimitReached):
        await line.pipeline.handle(STAFF, chat())
    assert "hold.filed" not in line.ledger.types()
    assert "exchange.refused" == line.ledger.types()[-1]


async def test_nothing_is_sent_for_somebody_who_has_left(desk: Desk) -> None:
    """The approval was for a person who was here."""
    assert isinstance(desk.ledger, MemoryLedger)
    line = Line(desk.store, desk.ledger)
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    line.people.gone.add("staff-7")
    await desk.approve(view)

    await line.pipeline.resume(view.hold.id)

    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (HoldState.FAILED, "policy_principal_gone") == (after.state, after.outcome_reason)
    assert not line.backend.sent


async def test_what_people_approved_waits_for_room(desk: Desk) -> None:
    """A full minute does not throw a reviewer's work away."""
    assert isinstance(desk.ledger, MemoryLedger)
    line = Line(desk.store, desk.ledger)
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await desk.approve(view)
    line.limiter.refuses = LimitReached("Enough.", retry_after_s=0)
    resuming = asyncio.create_task(line.pipeline.resume(view.hold.id))
    await asyncio.sleep(0.05)
    assert not line.backend.sent
    line.limiter.refuses = None
    await resuming

    assert 1 == len(line.backend.sent)


async def test_what_can_never_fit_is_not_waited_for(desk: Desk) -> None:
    """Room for it will not come: the hold fails at once and says why."""
    assert isinstance(desk.ledger, MemoryLedger)
    line = Line(desk.store, desk.ledger)
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await desk.approve(view)
    line.limiter.refuses = LimitReached("Too large.", retry_after_s=None)

    await asyncio.wait_for(line.pipeline.resume(view.hold.id), 5)

    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (HoldState.FAILED, "limit_reached") == (after.state, after.outcome_reason)


class Refusing(MemoryLedger):
    """Takes no intents."""

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        if any(event.type == "backend.intent" for event in events):
            raise LedgerRefused("no", code="bad_event")
        return await super().append(events)


async def test_an_intent_the_ledger_refuses_leaves_a_record_of_the_exchange() -> None:
    """It refused the batch as a whole; what was received and decided is not lost with it."""
    line = Line(ledger=Refusing())
    with pytest.raises(LedgerRefused):
        await line.pipeline.handle(STAFF, chat())
    assert ["request.received", "policy.decision", "exchange.refused"] == line.ledger.types()
    assert "record" == line.ledger.events[2].data["stage"]
    assert [(None, None)] == line.limiter.charges[0].settled


CLERK = Assistant("clerk", "gpt-x", "Answer in two sentences.", frozenset({"a"}))


async def test_an_assistant_is_sent_with_its_instructions() -> None:
    """The rules hear its name, the backend gets its model; the log names what was asked."""
    line = Line(assistants=Assistants("sha256:0", {"clerk": CLERK}))
    body = b'{"model":"assistant/clerk","messages":[{"role":"user","content":"hi"}]}'

    await line.pipeline.handle(STAFF, chat(body))

    (sent,) = map(orjson.loads, line.backend.sent)
    assert "gpt-x" == sent["model"]
    assert ["Answer in two sentences.", "hi"] == [one["content"] for one in sent["messages"]]
    (asked,) = line.rules.asked
    assert ("clerk", "gpt-x") == (asked["request"]["assistant"], asked["request"]["model"])
    assert "assistant/clerk" == line.ledger.events[0].data["model"]


async def test_an_assistant_that_changes_meanwhile_is_not_sent() -> None:
    """Instructions of one revision under the rules of another were approved by nobody."""
    line = Line(assistants=Assistants("sha256:old", {"clerk": CLERK}))
    body = b'{"model":"assistant/clerk","messages":[{"role":"user","content":"hi"}]}'

    with pytest.raises(DeniedByPolicy) as caught:
        await line.pipeline.handle(STAFF, chat(body))
    assert ("policy_changed", []) == (caught.value.code, line.backend.sent)


async def test_assistants_are_listed_for_their_groups() -> None:
    """Beside the models; a key that was made for others does not show them."""
    line = Line(assistants=Assistants("sha256:0", {"clerk": CLERK}))
    for groups, models, there in (("a", None, True), ("b", None, False), ("a", ("m*",), False)):
        who = replace(STAFF, groups=frozenset({groups}), models=models)
        listed = orjson.loads(await line.pipeline.models(who))["data"]
        assert there is ("assistant/clerk" in {one["id"] for one in listed})

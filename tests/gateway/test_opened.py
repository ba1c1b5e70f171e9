"""The line in an emergency: the use is on record before anything goes on, and holds alone yield."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from sekisho.errors import (
    BackendFailed,
    BudgetExhausted,
    DeniedByPolicy,
    Halted,
    HaltUnknown,
    LedgerRefused,
    LedgerUnavailable,
)
from sekisho.holding.break_glass import BreakGlass
from sekisho.model.break_glass import Opening
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldView
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import BREAK_GLASS_HEADER, Whole
from sekisho.stages.receive import RawRequest
from sekisho_audit.events import Event, Payload
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support.break_glass import Gauges, Holders, opening
from support.calls import STREAM_BODY, STREAMED, calling
from support.holds import ONE_REVIEW, REVIEWER, STAFF, STRANGER, Desk, SystemClock
from support.ledgers import open_ledger
from support.line import ALLOW, CHAT_BODY, DENY, HOLD, Line, chat, decision
from support.memory_ledger import MemoryLedger
from support.switch import halt

RULE = "rule.a"
CALLS_HELD = HoldTerms("tool_call", ONE_REVIEW, 600, 90, no_grant=True)
ANSWER_HELD = replace(CALLS_HELD, stage="response")
CALL_HELD = decision(Effect.HOLD, hold=CALLS_HELD)
CALL = calling('{"id":7}')
TEXT = (
    b'{"choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Yes."}}]}'
)
MINE = opening(person=STAFF.id, rules=(RULE,))


class Opened:
    """A line with what is open."""

    def __init__(self, desk: Desk, ledger: MemoryLedger) -> None:
        self.ledger, self.holders = ledger, Holders({STAFF.id, STRANGER.id})
        self.line = Line(holds=desk.store, ledger=ledger)
        self.glass = BreakGlass(
            ledger,
            ledger.openings,
            self.line.switch,
            SystemClock(),
            holds_role=self.holders,
            gauges=Gauges(),
        )
        self.line.glass = self.glass
        self.line.__post_init__()

    async def with_open(self, *openings: Opening) -> Line:
        """The line, when these are open."""
        self.ledger.opened = list(openings or (MINE,))
        await self.glass.consult()
        return self.line


@pytest.fixture
def opened(desk: Desk, ledger: MemoryLedger) -> Opened:
    return Opened(desk, ledger)


async def test_a_held_request_is_sent_at_once(opened: Opened) -> None:
    """Received, use, decision as one batch; the decision stays `hold`; the answer says it."""
    line = await opened.with_open()
    line.rules.says = decision(Effect.HOLD, hold=replace(CALLS_HELD, stage="request"))

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    assert answer.headers[BREAK_GLASS_HEADER] == MINE.id
    assert line.ledger.types() == [
        "request.received", "break_glass.used", "policy.decision",
        "backend.intent", "backend.outcome",
    ]  # fmt: skip
    [use] = line.data("break_glass.used")
    assert (use["opening"], use["number"], use["backend"]) == (MINE.id, 1, "demo")
    assert use["decision"] == line.ledger.events[2].id
    assert line.data("policy.decision")[0]["effect"] == "hold"


async def test_what_people_have_before_them_stays_theirs(opened: Opened, desk: Desk) -> None:
    """The same request joins the hold that waits, and is sent once; another one is let go on."""
    line = await opened.with_open(replace(MINE, rules=("rule.b",)))
    line.rules.says = decision(Effect.HOLD, hold=replace(CALLS_HELD, stage="request"))
    waiting = await line.pipeline.handle(STAFF, chat())
    assert isinstance(waiting, HoldView)
    await opened.with_open()

    again = await line.pipeline.handle(STAFF, chat())

    assert isinstance(again, HoldView)
    assert again.hold.id == waiting.hold.id
    assert line.backend.sent == []
    other = await line.pipeline.handle(STAFF, chat(CHAT_BODY.replace(b"hello", b"help")))
    assert isinstance(other, Whole)
    await desk.review(waiting, REVIEWER, "deny")
    assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole)


async def test_a_stream_says_it_in_its_head(opened: Opened) -> None:
    """Before its first chunk."""
    line = await opened.with_open()
    line.rules.says = HOLD
    line.backend.parts, line.backend.content_type = STREAMED[:1] + STREAMED[3:], "text/event-stream"

    stream = await line.pipeline.handle(STAFF, chat(STREAM_BODY))

    assert isinstance(stream, Stream)
    assert stream.headers[BREAK_GLASS_HEADER] == MINE.id
    assert [piece async for piece in stream.pieces]


@pytest.mark.parametrize("foreseen", [False, True])
async def test_a_held_call_is_given_out(opened: Opened, *, foreseen: bool) -> None:
    """Whether the request foresaw it or not."""
    line = await opened.with_open()
    later = (replace(CALLS_HELD, rules=(RULE,)),)
    line.rules.says = decision(Effect.ALLOW, hold_later=later if foreseen else ())
    line.rules.later["tool_call"] = CALL_HELD
    line.backend.parts = (CALL,)

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    assert (answer.body, answer.headers[BREAK_GLASS_HEADER]) == (CALL, MINE.id)
    types = line.ledger.types()
    assert types.index("break_glass.used") < types.index("backend.outcome")
    assert types.count("policy.decision") == 2 + foreseen
    assert line.data("backend.outcome")[0]["status"] == "released"


async def test_a_held_call_in_a_stream_is_given_on(opened: Opened) -> None:
    """The call waited for the rules and goes on with its bytes."""
    line = await opened.with_open()
    line.rules.says, line.rules.later["tool_call"] = ALLOW, CALL_HELD
    line.backend.parts, line.backend.content_type = STREAMED, "text/event-stream"

    stream = await line.pipeline.handle(STAFF, chat(STREAM_BODY))

    assert isinstance(stream, Stream)
    assert b"".join([piece async for piece in stream.pieces]) == b"".join(STREAMED)
    assert "break_glass.used" in line.ledger.types()


async def test_a_held_answer_is_given_out(opened: Opened) -> None:
    """Which no grant answers; the request foresaw it, and each stage has a use of its own."""
    line = await opened.with_open()
    terms = (replace(ANSWER_HELD, rules=(RULE,)), replace(CALLS_HELD, rules=(RULE,)))
    line.rules.says = decision(Effect.ALLOW, hold_later=terms)
    line.rules.later["tool_call"] = CALL_HELD
    line.rules.later["response"] = decision(Effect.HOLD, hold=ANSWER_HELD)
    line.backend.parts = (CALL,)

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    assert answer.headers[BREAK_GLASS_HEADER] == MINE.id
    assert [one["number"] for one in line.data("break_glass.used")] == [1, 2]


@pytest.mark.parametrize("stage", ["request", "response"])
async def test_the_real_ledger_takes_what_the_line_wrote(
    opened: Opened, tmp_path: Path, stage: str
) -> None:
    """Event by event, with the rules that the gateway told; and verify finds nothing."""
    line = await opened.with_open()
    terms = (replace(ANSWER_HELD, rules=(RULE,)), replace(CALLS_HELD, rules=(RULE,)))
    held = decision(Effect.HOLD, hold=replace(CALLS_HELD, stage="request"), hold_later=terms)
    line.rules.says = held if stage == "request" else decision(Effect.ALLOW, hold_later=terms)
    line.rules.later["tool_call"] = decision(
        Effect.HOLD, hold=CALLS_HELD, hold_later=(replace(ANSWER_HELD, rules=(RULE,)),)
    )
    line.rules.later["response"] = decision(Effect.HOLD, hold=ANSWER_HELD)
    line.backend.parts = (CALL,)
    assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole)

    ledger = open_ledger(tmp_path)
    ledger.open_session("s1", 1)
    terms_said = {"rules": [RULE], "minutes": 15, "review_hours": 24}
    why = (Payload("reason", b"Down.", b"Down."),)
    ledger.append_batch(
        [Event(MINE.id, "break_glass.opened", None, None, terms_said, STAFF.id, why)]
    )
    for event in line.ledger.events:
        ledger.append_batch([event])
    [told] = ledger.holds.openings()
    assert told["used"] == 2 + (stage == "request")
    ledger.close_session("s1", "ended")
    ledger.close()
    report = verify(tmp_path / "data" / "ledger", key=ledger.key)
    assert (report.verdict, report.faults) == (Verdict.SOUND, [])


async def test_an_answer_is_given_out_masked(opened: Opened) -> None:
    """What rules mask stays masked: people are spared, not the text."""
    line = await opened.with_open()
    line.rules.says = decision(Effect.ALLOW, hold_later=(replace(ANSWER_HELD, rules=(RULE,)),))
    line.rules.later["response"] = decision(Effect.HOLD, hold=ANSWER_HELD, redact=("email",))
    line.backend.parts = (TEXT.replace(b"Yes.", b"Ask anna@corp.example."),)

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    assert b"anna@corp.example" not in answer.body


@pytest.mark.parametrize(
    "found",
    [
        replace(MINE, person="staff-8"),
        replace(MINE, rules=("rule.b",)),
        replace(MINE, until_us=1),
        replace(MINE, ended="operator"),
    ],
    ids=["another person's", "another rule", "over", "ended"],
)
async def test_what_is_not_open_waits_for_people(opened: Opened, found: Opening) -> None:
    """Nothing is used, and nothing is sent."""
    line = await opened.with_open(found)
    line.rules.says = HOLD

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)
    assert "break_glass.used" not in line.ledger.types()
    assert not line.backend.sent


async def test_a_service_account_waits(opened: Opened) -> None:
    """Its owner opened for themselves: what a program does in their name waits."""
    line = await opened.with_open(replace(MINE, person="bot"), MINE)
    line.rules.says = HOLD
    bot = replace(STAFF, id="bot", owner=STAFF.id)

    assert isinstance(await line.pipeline.handle(bot, chat()), HoldView)


@pytest.mark.parametrize(
    "says",
    [
        decision(Effect.HOLD, hold=replace(CALLS_HELD, stage="request", no_break_glass=True)),
        decision(Effect.HOLD, hold=replace(CALLS_HELD, stage="request"), justify=True),
        decision(Effect.ALLOW, justify=True),
    ],
    ids=["no break-glass", "a reason", "a reason alone"],
)
async def test_what_nothing_opens_waits(opened: Opened, says: Any) -> None:
    """A rule that says so, and a reason that is to be given."""
    line = await opened.with_open()
    line.rules.says = says

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)
    assert "break_glass.used" not in line.ledger.types()


async def test_a_denial_stands(opened: Opened) -> None:
    """Of the request, of a call and of the answer."""
    line = await opened.with_open()
    line.rules.says = DENY
    with pytest.raises(DeniedByPolicy):
        await line.pipeline.handle(STAFF, chat())

    line.rules.says = decision(Effect.ALLOW, hold_later=(replace(ANSWER_HELD, rules=(RULE,)),))
    line.rules.later["response"] = DENY
    line.backend.parts = (TEXT,)
    with pytest.raises(DeniedByPolicy):
        await line.pipeline.handle(STAFF, chat())
    assert "break_glass.used" not in line.ledger.types()


async def test_a_background_request_waits(opened: Opened) -> None:
    """Whoever does not wait for it has no emergency."""
    line = await opened.with_open()
    line.rules.says = HOLD
    asked = b'{"model":"gpt-x","input":"hello","background":true}'

    view = await line.pipeline.handle(STAFF, RawRequest("responses", asked, "127.0.0.1"))

    assert isinstance(view, HoldView)


async def test_a_switch_and_not_to_hear_stop_it(opened: Opened) -> None:
    """Nothing is asked, used or sent, as for everybody."""
    line = await opened.with_open()
    line.rules.says = HOLD
    line.switch.set(halt())
    with pytest.raises(Halted):
        await line.pipeline.handle(STAFF, chat())
    line.switch.set()
    line.switch.unheard = True
    with pytest.raises(HaltUnknown):
        await line.pipeline.handle(STAFF, chat())

    assert "break_glass.used" not in line.ledger.types()


async def test_a_switch_between_use_and_intent_stops_it(opened: Opened) -> None:
    """The use stands, and nothing of it was sent."""
    line = await opened.with_open()
    line.rules.says = HOLD
    line.switch.set(halt("backend", "demo"), after=1)

    with pytest.raises(Halted):
        await line.pipeline.handle(STAFF, chat())
    assert not line.backend.sent


async def test_a_budget_stands(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is used up is used up."""
    line = await opened.with_open()
    line.rules.says = HOLD

    async def spent(*_: Any, **__: Any) -> Any:
        raise BudgetExhausted("The budget of the month is used up.")

    monkeypatch.setattr(line.limiter, "reserve", spent)

    with pytest.raises(BudgetExhausted):
        await line.pipeline.handle(STAFF, chat())
    assert not line.backend.sent


async def test_it_is_sent_once(opened: Opened) -> None:
    """A dead connection is tried again for what rules allow; a use is for one sending."""
    line = await opened.with_open()
    line.rules.says = HOLD
    line.backend.fails = [BackendFailed("gone", code="backend_disconnected")]

    with pytest.raises(BackendFailed):
        await line.pipeline.handle(STAFF, chat())
    assert line.ledger.types().count("backend.intent") == 1


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_without_the_record_nothing_is_sent(opened: Opened, fault: str) -> None:
    """Whether the use took effect or its reply was lost."""
    line = await opened.with_open()
    line.rules.says = HOLD
    setattr(opened.ledger, fault, 1)

    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())
    assert not line.backend.sent


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_without_the_record_no_answer_is_given_out(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """The answer is there, and nobody gets it."""
    line = await opened.with_open()
    line.rules.says, line.rules.later["tool_call"] = ALLOW, CALL_HELD
    line.backend.parts = (CALL,)
    real = line.ledger.append

    async def append(events: Any) -> Any:
        if events[0].type != "break_glass.used":
            return await real(events)
        if after:
            await real(events)
        raise LedgerUnavailable("the ledger is away")

    monkeypatch.setattr(line.ledger, "append", append)

    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())
    assert ("break_glass.used" in line.ledger.types()) == after
    assert [one["status"] for one in line.data("backend.outcome")] == ["stopped"]


async def test_what_the_ledger_refuses_waits_for_people(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may know better than a copy: held as ever, and the use stands nowhere."""
    line = await opened.with_open()
    line.rules.says = HOLD
    real = line.ledger.append

    async def append(events: Any) -> Any:
        if any(one.type == "break_glass.used" for one in events):
            raise LedgerRefused("over", code="unopened")
        return await real(events)

    monkeypatch.setattr(line.ledger, "append", append)

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)


async def test_whoever_lost_the_role_waits(opened: Opened) -> None:
    """From the moment on at which the directory says so."""
    line = await opened.with_open()
    line.rules.says = HOLD
    opened.holders.names.clear()

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)


@pytest.mark.parametrize("person", [STAFF.id, STRANGER.id])
async def test_a_check_says_what_an_opening_would_answer(opened: Opened, person: str) -> None:
    """Of whoever asks, and uses nothing of it."""
    line = await opened.with_open(replace(MINE, person=person))
    line.rules.says = HOLD

    told = orjson.loads(await line.pipeline.check(STAFF, chat()))

    assert told["answered_by"] == ("break_glass" if person == STAFF.id else None)
    assert "break_glass.used" not in line.ledger.types()

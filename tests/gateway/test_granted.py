"""The line where people agreed in advance: the use is on record before anything goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from sekisho.errors import BackendFailed, LedgerRefused, LedgerUnavailable
from sekisho.holding.granting import Granting
from sekisho.model.argument_pattern import read
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.grants import Grant
from sekisho.model.hold import HoldView
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.stages.receive import RawRequest
from support.calls import STREAM_BODY, STREAMED, calling
from support.grants import grant
from support.holds import ONE_REVIEW, STAFF, Desk
from support.line import ALLOW, CHAT_BODY, HOLD, Line, chat, decision
from support.memory_ledger import MemoryLedger

RULE = "rule.a"
CALLS_HELD = HoldTerms("tool_call", ONE_REVIEW, 600, 10)
FORESEEN = replace(CALLS_HELD, rules=(RULE,))
LATER_CALLS = decision(Effect.ALLOW, hold_later=(FORESEEN,))
CALL_HELD = decision(Effect.HOLD, hold=CALLS_HELD)
PATTERN = read({"named": {"id": {"equals": 7}}, "others": "absent"})
FOR_CALLS = grant(rules=(RULE,), tool="crm.write", pattern=PATTERN, count=3)
FOR_REQUESTS = grant(rules=(RULE,), tool=None, pattern=None, count=3)


class Granted:
    """A line with what people agreed to."""

    def __init__(self, desk: Desk, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.line = Line(holds=desk.store, ledger=ledger)
        self.granting = Granting(ledger, self.line.switch, lambda: None, risk_below=60)
        self.line.granting = self.granting
        self.line.__post_init__()

    async def agreed(self, *grants: Grant) -> Line:
        """The line, when these stand."""
        self.ledger.granted = list(grants)
        await self.granting.consult()
        return self.line


@pytest.fixture
def granted(desk: Desk, ledger: MemoryLedger) -> Granted:
    return Granted(desk, ledger)


async def test_a_granted_call_is_given_out(granted: Granted) -> None:
    """Use and decision first, then what was decided about the answer, and its outcome."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling('{"id":7}'),)

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    assert answer.body == calling('{"id":7}')
    assert line.ledger.types() == [
        "request.received", "policy.decision", "backend.intent",
        "grant.used", "policy.decision", "policy.decision", "backend.outcome",
    ]  # fmt: skip
    [use] = line.data("grant.used")
    assert (use["grant"], use["number"], use["remaining"]) == (FOR_CALLS.id, 1, 2)
    assert use["decision"] == line.ledger.events[4].id
    assert line.data("backend.outcome")[0]["status"] == "released"


async def test_a_granted_call_in_a_stream_is_given_on(granted: Granted) -> None:
    """One that was not read whole: the call waited for the rules and goes on with its bytes."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = ALLOW, CALL_HELD
    line.backend.parts, line.backend.content_type = STREAMED, "text/event-stream"

    stream = await line.pipeline.handle(STAFF, chat(STREAM_BODY))

    assert isinstance(stream, Stream)
    assert b"".join([piece async for piece in stream.pieces]) == b"".join(STREAMED)
    types = line.ledger.types()
    assert types.index("grant.used") < types.index("backend.outcome")
    assert types.count("policy.decision") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ('{"id":8}',),
        ('{"id":7.0}',),
        ('{"id":"7"}',),
        ('{"id":7,"force":true}',),
        ("{}",),
        ('{"id":7}', '{"id":8}'),
        ('{"id":7}', '{"id":7}', '{"id":7}', '{"id":7}'),
    ],
    ids=repr,
)
async def test_other_calls_wait_for_people(granted: Granted, arguments: tuple[str, ...]) -> None:
    """Other arguments, one of two, or more calls than are left: held whole, and nothing is used."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling(*arguments),)

    view = await line.pipeline.handle(STAFF, chat())

    assert isinstance(view, HoldView)
    assert "grant.used" not in line.ledger.types()


@pytest.mark.parametrize(
    ("wanted", "written", "fits"),
    [
        (100.0, "100.0", True),
        (100.0, "100.000000000000001", False),
        (0.0, "1e-400", False),
        (2**64 - 1, "18446744073709551615", True),
        (2**64 - 1, "18446744073709551616", False),
        (float(2**64), "18446744073709551617", False),
    ],
)
async def test_a_grant_is_for_the_number_that_is_written(
    granted: Granted, wanted: float, written: str, fits: bool
) -> None:
    """Not for another one that a parser reads alike."""
    pattern = read({"named": {"id": {"equals": wanted}}, "others": "absent"})
    line = await granted.agreed(replace(FOR_CALLS, pattern=pattern))
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling(f'{{"id":{written}}}'),)

    assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole if fits else HoldView)
    assert ("grant.used" in line.ledger.types()) == fits


@pytest.mark.parametrize("arguments", ['{"id":7,"id":8}', "[7]", '{"id":7} ', '{"id":7', "7"])
async def test_malformed_arguments_are_never_granted(granted: Granted, arguments: str) -> None:
    """Whatever they would be by another parser; blanks around one object are none."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling(arguments),)

    answer = await line.pipeline.handle(STAFF, chat())

    plain = arguments == '{"id":7} '
    assert isinstance(answer, Whole)
    assert (b"crm.write" in answer.body and b"tool_calls" in answer.body) == plain
    assert ("grant.used" in line.ledger.types()) == plain


async def test_arguments_that_rules_do_not_see_are_not_granted(granted: Granted) -> None:
    """Too long for the rules to look into is too long for a grant."""
    anything = replace(FOR_CALLS, pattern=read({"named": {}, "others": "any"}))
    line = await granted.agreed(anything)
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling(orjson.dumps({"id": "x" * 20_000}).decode()),)

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)


async def test_a_denied_call_is_denied(granted: Granted) -> None:
    """No grant answers a denial, of the call or of one beside it."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says = LATER_CALLS
    line.rules.later["tool_call"] = decision(Effect.DENY)
    line.backend.parts = (calling('{"id":7}'),)

    answer = await line.pipeline.handle(STAFF, chat())

    assert isinstance(answer, Whole)
    assert b"tool_calls" not in answer.body
    assert "grant.used" not in line.ledger.types()


@pytest.mark.parametrize(
    "request_says",
    [
        decision(Effect.ALLOW, hold_later=(CALLS_HELD,)),
        decision(Effect.ALLOW, hold_later=(replace(CALLS_HELD, rules=("rule.b",)),)),
        decision(Effect.ALLOW, hold_later=(replace(FORESEEN, no_grant=True),)),
        decision(Effect.ALLOW, hold_later=(replace(FORESEEN, risk=60),)),
        decision(Effect.ALLOW, hold_later=(FORESEEN, replace(FORESEEN, stage="response"))),
    ],
    ids=["untold", "another rule", "no grant", "risk", "the answer too"],
)
async def test_what_the_request_foresaw_otherwise_waits(
    granted: Granted, request_says: Any
) -> None:
    """The call alone would be granted."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = request_says, CALL_HELD
    line.backend.parts = (calling('{"id":7}'),)

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)
    assert "grant.used" not in line.ledger.types()


async def test_what_only_the_request_foresaw_is_granted(granted: Granted) -> None:
    """The rules about the call itself are silent; those that foresaw it are the grant's."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says = LATER_CALLS
    line.backend.parts = (calling('{"id":7}'),)

    assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole)
    assert line.ledger.types().count("grant.used") == 1


async def test_a_granted_request_is_sent(granted: Granted) -> None:
    """Recorded before it is; what was received and decided stands once."""
    line = await granted.agreed(FOR_REQUESTS)
    line.rules.says = HOLD

    assert isinstance(await line.pipeline.handle(STAFF, chat()), Whole)

    assert line.ledger.types() == [
        "request.received", "grant.used", "policy.decision", "backend.intent", "backend.outcome"
    ]  # fmt: skip
    assert line.backend.sent == [CHAT_BODY]


@pytest.mark.parametrize(
    "says",
    [
        decision(Effect.HOLD, hold=HoldTerms("request", ONE_REVIEW, 600, 60)),
        decision(Effect.HOLD, hold=HoldTerms("request", ONE_REVIEW, 600, 10, no_grant=True)),
        decision(Effect.HOLD, hold=HoldTerms("request", ONE_REVIEW, 600, 10), justify=True),
    ],
    ids=["risk", "no grant", "a reason"],
)
async def test_requests_that_need_people_wait(granted: Granted, says: Any) -> None:
    """Too much risk, a rule that allows no grant, a reason to be given."""
    line = await granted.agreed(FOR_REQUESTS)
    line.rules.says = says

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)
    assert "grant.used" not in line.ledger.types()
    assert not line.backend.sent


async def test_a_grant_for_calls_lets_no_request_go(granted: Granted) -> None:
    """And nobody else's does."""
    others = replace(FOR_REQUESTS, principal="staff-8")
    line = await granted.agreed(FOR_CALLS, others)
    line.rules.says = HOLD

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)


async def test_a_background_request_waits(granted: Granted) -> None:
    """It is kept as a hold in any case, whose reviews are people's."""
    line = await granted.agreed(FOR_REQUESTS)
    line.rules.says = HOLD

    asked = b'{"model":"gpt-x","input":"hello","background":true}'
    view = await line.pipeline.handle(STAFF, RawRequest("responses", asked, "127.0.0.1"))

    assert isinstance(view, HoldView)
    assert "grant.used" not in line.ledger.types()


async def test_a_granted_request_is_sent_once(granted: Granted) -> None:
    """A dead connection is tried again for what rules allow; a use is for one sending."""
    line = await granted.agreed(FOR_REQUESTS)
    line.rules.says = HOLD
    line.backend.fails = [BackendFailed("gone", code="backend_disconnected")]

    with pytest.raises(BackendFailed):
        await line.pipeline.handle(STAFF, chat())

    assert len(line.backend.sent) == 1
    assert line.ledger.types().count("backend.intent") == 1


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_without_the_record_nothing_is_sent(granted: Granted, fault: str) -> None:
    """Whether the use took effect or its reply was lost."""
    line = await granted.agreed(FOR_REQUESTS)
    line.rules.says = HOLD
    setattr(granted.ledger, fault, 1)

    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())

    assert not line.backend.sent


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_without_the_record_no_call_is_given_out(
    granted: Granted, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """The answer is there, and nobody gets it."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling('{"id":7}'),)
    real = line.ledger.append

    async def append(events: Any) -> Any:
        if events[0].type != "grant.used":
            return await real(events)
        if after:
            await real(events)
        raise LedgerUnavailable("the ledger is away")

    monkeypatch.setattr(line.ledger, "append", append)

    with pytest.raises(LedgerUnavailable):
        await line.pipeline.handle(STAFF, chat())

    assert ("grant.used" in line.ledger.types()) == after
    assert [one["status"] for one in line.data("backend.outcome")] == ["stopped"]


async def test_what_the_ledger_refuses_waits_for_people(
    granted: Granted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may know that the grant ended: held as ever, and the use stands nowhere."""
    line = await granted.agreed(FOR_CALLS)
    line.rules.says, line.rules.later["tool_call"] = LATER_CALLS, CALL_HELD
    line.backend.parts = (calling('{"id":7}'),)
    real = line.ledger.append

    async def append(events: Any) -> Any:
        if any(one.type == "grant.used" for one in events):
            raise LedgerRefused("over", code="grant_over")
        return await real(events)

    monkeypatch.setattr(line.ledger, "append", append)

    assert isinstance(await line.pipeline.handle(STAFF, chat()), HoldView)
    decided = [(one["stage"], one["effect"]) for one in line.data("policy.decision")]
    assert decided == [("request", "allow"), ("tool_call", "hold"), ("response", "allow")]


@pytest.mark.parametrize(
    ("agreed", "by"),
    [
        (FOR_REQUESTS, "grant"),
        (replace(FOR_REQUESTS, used=3), None),
        (replace(FOR_REQUESTS, rules=("rule.b",)), None),
        (FOR_CALLS, None),
    ],
    ids=["agreed", "used up", "other rules", "for calls"],
)
async def test_a_check_says_what_a_grant_would_answer(
    granted: Granted, agreed: Grant, by: str | None
) -> None:
    """And uses nothing up: nothing of it is on record, and the next request finds it there."""
    line = await granted.agreed(agreed)
    line.rules.says = HOLD

    told = orjson.loads(await line.pipeline.check(STAFF, chat()))

    assert (told["effect"], told["answered_by"]) == ("hold", by)
    assert "grant.used" not in line.ledger.types()
    assert granted.granting.standing == (agreed,)


async def test_a_check_of_what_nothing_answers_says_so(granted: Granted) -> None:
    """A reason that is asked for, and what is allowed anyway."""
    line = await granted.agreed(FOR_REQUESTS)
    for says in (ALLOW, decision(Effect.HOLD, hold=HOLD.obligations.hold, justify=True)):
        line.rules.says = says
        told = orjson.loads(await line.pipeline.check(STAFF, chat()))
        assert told["answered_by"] is None

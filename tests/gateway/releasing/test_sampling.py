"""Draws: once something was given out, by the key alone, waited for by nobody, failing nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from sekisho.errors import LedgerUnavailable
from sekisho.holding.break_glass import BreakGlass
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldView
from sekisho.model.samples import Content, Standing, Terms
from sekisho.releasing import sampling as module
from sekisho.releasing.relay import Relay, Stream
from sekisho.releasing.replies import Whole
from sekisho.releasing.sampling import Sampling
from sekisho_audit.sample_draw import is_drawn
from support.break_glass import Gauges, Holders, opening
from support.calls import STREAM_BODY, STREAMED, calling
from support.drawing import ALL, CHUNKS, Case, SampleLedger, Shelf, made
from support.holds import ONE_REVIEW, ROBOT, STAFF, Desk, SystemClock
from support.line import ANSWER, CHAT_BODY, HOLD, chat, decision
from support.memory_ledger import MemoryLedger

RISKY = HoldTerms("tool_call", ONE_REVIEW, 600, 50)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    monkeypatch.setattr(module, "TERMS_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "TRIES_MAX", 50)


async def test_an_answer_that_was_given_out_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its outcome, in one batch; what left and what was given out is kept."""
    case = await made()
    await case.ask()

    assert case.types()[-3:] == ["backend.outcome", "sample.drawn", "sample.kept"]
    event = case.drawn()
    terms = case.ledger.events[0]
    assert event.data == {
        "terms": terms.id,
        "per_10000": 10_000,
        "risk": 0,
        "backend": "demo",
        "model": "gpt-x",
        "rules": ["rule.a"],
    }
    assert case.ledger.events[-1].data == {"sample": event.id, "content": "cut"}
    assert case.shelf.contents[event.id] == Content(CHAT_BODY[:64], ANSWER[:64], cut=True)


async def test_who_stands_behind_a_service_account_is_named() -> None:
    case = await made()
    await case.ask(principal=ROBOT)

    assert case.drawn().data["person"] == ROBOT.owner


async def test_a_stream_is_drawn_at_its_end() -> None:
    """What was given on is kept, as it came; the last bytes came no later for it."""
    case = await made(replace(ALL, per_10000=10_000))
    stream = await case.stream()
    said = b"".join([piece async for piece in stream.pieces])
    await case.sampling.drain()

    assert said == b"".join(CHUNKS)
    assert case.shelf.contents[case.drawn().id].answer == said[:64]


async def test_who_hangs_up_before_the_end_is_drawn_as_well() -> None:
    """They have had all but the last bytes: hanging up is no way out of the draw."""
    case = await made()
    stream = await case.stream()
    await anext(stream.pieces)
    await stream.close()
    await case.sampling.drain()

    [outcome] = case.line.data("backend.outcome")
    assert outcome["status"] == "cancelled"
    assert case.shelf.contents[case.drawn().id].answer == CHUNKS[0][:64]


async def test_of_which_nothing_was_given_out_is_not_drawn() -> None:
    """A stream that was never begun, and an answer that waits for people."""
    case = await made()
    stream = await case.stream()
    await stream.close()
    await case.sampling.drain()

    assert "sample.drawn" not in case.types()


async def test_a_request_that_people_approved_is_drawn(desk: Desk) -> None:
    """With the risk and rules of its hold, also if the rules say nothing of them any more."""
    case = await made(Terms(0, 10_000, risk_from=10), desk)
    case.line.rules.says = HOLD
    view = await case.ask()
    assert isinstance(view, HoldView)
    store = case.line.holds
    assert store is not None
    await Desk(store, case.ledger, desk.filing, desk.limits).approve(view)  # type: ignore[arg-type]
    case.line.rules.says = decision(Effect.ALLOW)
    await case.line.pipeline.resume(view.hold.id)
    await case.sampling.drain()

    assert (case.drawn().data["risk"], case.drawn().data["per_10000"]) == (10, 10_000)


async def test_a_held_answer_is_drawn_when_it_is_released(desk: Desk) -> None:
    """Not before; what was asked is not there any more, and that is said."""
    case = await made(ALL, desk)
    later = HoldTerms("response", ONE_REVIEW, 600, 10)
    case.line.rules.says = decision(Effect.ALLOW, hold_later=(later,))
    view = await case.ask()
    assert isinstance(view, HoldView)
    assert "sample.drawn" not in case.types()
    store = case.line.holds
    assert store is not None
    await Desk(store, case.ledger, desk.filing, desk.limits).approve(view)  # type: ignore[arg-type]
    await case.line.pipeline.resume(view.hold.id)
    await case.sampling.drain()

    assert case.types().index("hold.released") < case.types().index("sample.drawn")
    kept = case.shelf.contents[case.drawn().id]
    assert (kept.request, kept.answer, kept.cut) == (b"", view.hold.outgoing[:64], True)


MINE = opening(person=STAFF.id, rules=("rule.a",))


async def break_glass(case: Case) -> None:
    """Whoever asks has it open."""
    line, holders = case.line, Holders({STAFF.id})
    line.glass = BreakGlass(
        case.ledger, case.ledger.openings, line.switch, SystemClock(),
        holds_role=holders, gauges=Gauges(),
    )  # fmt: skip
    line.__post_init__()
    case.ledger.opened = [MINE]
    await line.glass.consult()


@pytest.mark.parametrize("terms", [Terms(), Terms(1, 1), ALL])
async def test_what_break_glass_let_go_is_drawn_whatever_the_share(terms: Terms) -> None:
    """Also where nothing else is: the terms are told for it, once, and its content is kept."""
    case = await made(terms)
    await break_glass(case)
    case.line.rules.says = HOLD
    await case.ask()
    await case.ask()

    drawn = [one.data for one in case.ledger.events if one.type == "sample.drawn"]
    assert [(one["per_10000"], one["opening"]) for one in drawn] == [(10_000, MINE.id)] * 2
    assert case.types().count("sample.terms") == 1
    assert len(case.shelf.contents) == 2


async def test_a_call_that_break_glass_let_go_is_drawn() -> None:
    """Which was foreseen by nobody when the request left, in a stream as well."""
    case = await made(Terms())
    await break_glass(case)
    case.line.rules.later["tool_call"] = decision(Effect.HOLD, hold=RISKY)
    case.line.backend.parts = (calling('{"id":7}'),)
    await case.ask()
    case.line.backend.parts = STREAMED
    case.line.backend.content_type = "text/event-stream"
    stream = await case.line.pipeline.handle(STAFF, chat(STREAM_BODY))
    assert isinstance(stream, Stream)
    assert [piece async for piece in stream.pieces]
    await case.sampling.drain()

    drawn = [one.data for one in case.ledger.events if one.type == "sample.drawn"]
    assert [one["opening"] for one in drawn] == [MINE.id, MINE.id]


async def test_a_held_answer_to_what_break_glass_let_go_is_drawn(desk: Desk) -> None:
    """The hold of the answer remembers it, and people's approval does not end it."""
    case = await made(Terms(), desk)
    await break_glass(case)
    later = HoldTerms("response", ONE_REVIEW, 600, 10, no_break_glass=True)
    case.line.rules.says = replace(
        HOLD, obligations=replace(HOLD.obligations, hold_later=(replace(later, rules=("rule.b",)),))
    )
    view = await case.ask()
    assert isinstance(view, HoldView)
    assert "sample.drawn" not in case.types()
    store = case.line.holds
    assert store is not None
    await Desk(store, case.ledger, desk.filing, desk.limits).approve(view)  # type: ignore[arg-type]
    case.ledger.opened = []
    await case.line.pipeline.resume(view.hold.id)
    await case.sampling.drain()

    assert case.drawn().data["opening"] == MINE.id


async def test_what_break_glass_did_not_let_go_is_drawn_by_its_share() -> None:
    """That something is open does not draw what nobody held."""
    case = await made(Terms())
    await break_glass(case)
    await case.ask()

    assert not any(kind.startswith("sample") for kind in case.types())


@pytest.mark.parametrize("fault", ["fails", "loses"])
@pytest.mark.parametrize("kind", ["sample.terms", "sample.drawn"])
async def test_a_ledger_that_is_away_loses_nothing_of_break_glass(fault: str, kind: str) -> None:
    """Before it took effect or after: terms and draw stand once."""
    case = await made(Terms())
    await break_glass(case)
    case.line.rules.says = HOLD
    getattr(case.ledger, fault).append(kind)
    await case.ask()

    assert (case.types().count("sample.terms"), case.types().count("sample.drawn")) == (1, 1)
    assert len(case.shelf.contents) == 1


async def test_where_nothing_is_drawn_nothing_is_asked() -> None:
    """Off: no key, no event, no task."""
    case = await made(Terms())
    await case.ask()

    assert case.ledger.keys_asked == 0
    assert not any(kind.startswith("sample") for kind in case.types())


async def test_where_nothing_is_drawn_no_stream_is_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was given out is gathered only for what may be drawn."""

    def gathered(_: Relay) -> bytes:
        raise AssertionError("a stream was put together for nobody")

    monkeypatch.setattr(Relay, "_given", gathered)
    case = await made(Terms())
    stream = await case.stream()
    await anext(stream.pieces)
    await stream.close()

    assert case.line.data("backend.outcome")[0]["status"] == "cancelled"


async def test_the_share_goes_by_risk(desk: Desk) -> None:
    """Only what policy calls risky is drawn, if settings say so."""
    case = await made(Terms(0, 10_000), desk)
    await case.ask()
    assert "sample.drawn" not in case.types()
    case.line.rules.says = decision(Effect.ALLOW, hold_later=(RISKY,))
    await case.ask()

    assert case.drawn().data["risk"] == 50


async def test_the_key_decides_and_nobody_else() -> None:
    """Exactly those that an auditor with the keys would find, and no others."""
    case = await made(Terms(3_000, 3_000))
    for _ in range(40):
        await case.ask()

    drawn = {one.exchange for one in case.ledger.events if one.type == "sample.drawn"}
    asked = [one.exchange for one in case.ledger.events if one.type == "backend.outcome"]
    expected = set()
    for exchange in cast("list[str]", asked):
        keys = await MemoryLedger.exchange_keys(case.ledger, STAFF.id, exchange)
        expected |= {exchange} if is_drawn(keys.commit, exchange, 3_000) else set()
    assert drawn == expected


async def test_an_answer_never_waits_for_the_key() -> None:
    """It is given out though the key is late; the draw is told when it is there."""
    case = await made()
    case.ledger.keys_gate = asyncio.Event()
    answer = await case.line.pipeline.handle(STAFF, chat())
    assert isinstance(answer, Whole)
    assert "sample.drawn" not in case.types()

    case.ledger.keys_gate.set()
    await case.sampling.drain()
    assert case.types()[-3:] == ["backend.outcome", "sample.drawn", "sample.kept"]


async def test_a_key_that_cannot_be_had_is_asked_for_again() -> None:
    case = await made()
    case.ledger.keys_fail = 3
    await case.ask()

    assert case.drawn().exchange is not None


@pytest.mark.parametrize("fault", ["fails", "loses"])
async def test_a_ledger_that_is_away_loses_no_draw(fault: str) -> None:
    """Before it took effect or after, with the reply lost: the outcome is told later, and the draw
    after it, once.
    """
    case = await made()
    getattr(case.ledger, fault).append("backend.outcome")
    with pytest.raises(LedgerUnavailable):
        await case.line.pipeline.handle(STAFF, chat())
    await case.line.unsettled.flush()
    await case.sampling.drain()

    assert case.types().count("backend.outcome") == 1
    assert case.drawn().exchange == case.ledger.events[-1].exchange


@pytest.mark.parametrize("fault", ["fails", "loses"])
async def test_what_became_of_the_content_is_said_once(fault: str) -> None:
    case = await made()
    getattr(case.ledger, fault).append("sample.kept")
    await case.ask()

    assert case.types().count("sample.kept") == 1


async def test_a_draw_that_the_ledger_refuses_harms_nothing() -> None:
    """The answer is given out and its outcome is on record: another ledger does not know our terms
    any more, and is told them.
    """
    case = await made()
    case.ledger.refuses["sample.drawn"] = "unknown_terms"
    answer = await case.ask()

    assert isinstance(answer, Whole)
    assert case.types()[-1] == "backend.outcome"
    assert case.line.data("backend.outcome")[0]["status"] == "released"
    assert case.sampling.terms_event == ""
    running = asyncio.create_task(case.sampling.run())
    async with asyncio.timeout(5):
        while not case.sampling.terms_event:
            await asyncio.sleep(0.001)
    running.cancel()


@pytest.mark.parametrize(
    ("trouble", "content"),
    [({"room": False}, "none"), ({"down": True}, "none"), ({"lose_after": True}, "none"), ({}, "")],
)
async def test_what_cannot_be_kept_is_drawn_all_the_same(
    trouble: dict[str, bool], content: str
) -> None:
    """No room, no store, or nobody knows: the draw is on record, and that there is no content."""
    case = await made()
    for name, value in trouble.items():
        setattr(case.shelf, name, value)
    await case.ask()

    assert case.drawn().exchange is not None
    assert case.line.data("sample.kept")[0]["content"] == (content or "cut")


async def test_only_so_much_waits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger is away contents are given up before draws."""
    monkeypatch.setattr(module, "HELD_BYTES_MAX", 150)
    case = await made()
    case.ledger.keys_gate = asyncio.Event()
    for _ in range(3):
        await case.line.pipeline.handle(STAFF, chat())
    case.ledger.keys_gate.set()
    await case.sampling.drain()

    assert case.types().count("sample.drawn") == 3
    said = [one["content"] for one in case.line.data("sample.kept")]
    assert sorted(said) == ["cut", "none", "none"]


async def test_terms_are_told_where_they_changed_and_only_there() -> None:
    """Not again by each worker; that it is off is told where it was on before."""
    ledger, shelf = SampleLedger(), Shelf()
    off = Sampling(ledger, ledger, shelf, Terms(), content_bytes_max=64)
    await off.agree()
    assert ledger.events == []
    for _ in range(2):
        await Sampling(ledger, ledger, shelf, ALL, content_bytes_max=64).agree()
    assert len(ledger.events) == 1
    ledger.known = Standing(ALL, ledger.events[0].id)
    await Sampling(ledger, ledger, shelf, ALL, content_bytes_max=64).agree()
    await off.agree()

    assert [one.data["per_10000"] for one in ledger.events] == [10_000, 0]


async def test_nothing_is_drawn_before_the_terms_are_on_record() -> None:
    """A worker that cannot tell them serves all the same, and tries again."""
    ledger, shelf = SampleLedger(), Shelf()
    ledger.down = True
    sampling = Sampling(ledger, ledger, shelf, ALL, content_bytes_max=64)
    running = asyncio.create_task(sampling.run())
    await asyncio.sleep(0.01)
    ledger.down = False
    async with asyncio.timeout(5):
        while not sampling.terms_event:
            await asyncio.sleep(0.001)
    running.cancel()

    assert [one.type for one in ledger.events] == ["sample.terms"]

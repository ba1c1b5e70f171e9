"""Draws that a killed worker did not tell are told by another one, once, as the key has it."""

from __future__ import annotations

import pytest

from sekisho.errors import LedgerUnavailable
from sekisho.model import evidence
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldView
from sekisho.model.samples import Terms
from sekisho.releasing import lost_draws as module
from sekisho.releasing.lost_draws import LostDraws
from sekisho.releasing.sampling import Sampling
from sekisho_audit.events import Event
from sekisho_audit.sample_draw import is_drawn
from support.drawing import ALL, SampleLedger, Shelf
from support.holds import ONE_REVIEW, STAFF, Desk
from support.line import HOLD, Line, chat, decision

RISKY = HoldTerms("tool_call", ONE_REVIEW, 600, 50)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0)


@pytest.fixture
def ledger() -> SampleLedger:
    return SampleLedger()


@pytest.fixture
def line(ledger: SampleLedger) -> Line:
    """A worker that tells no draws, as if it were killed each time."""
    return Line(ledger=ledger)


async def looking(ledger: SampleLedger, terms: Terms = ALL) -> LostDraws:
    """Another worker, which looks for them."""
    sampling = Sampling(ledger, ledger, Shelf(down=True), terms, content_bytes_max=64)
    await sampling.agree()
    return LostDraws(ledger, ledger, sampling)


def drawn(ledger: SampleLedger) -> list[Event]:
    return [one for one in ledger.events if one.type == "sample.drawn"]


async def test_a_lost_draw_is_told_with_what_the_history_knows(
    desk: Desk, ledger: SampleLedger
) -> None:
    """Its risk, its rules, and that its content is gone; by whichever worker, once."""
    line = Line(holds=desk.store, ledger=ledger)
    line.rules.says = decision(Effect.ALLOW, hold_later=(RISKY,))
    await line.pipeline.handle(STAFF, chat())
    lost = await looking(ledger)
    await lost.once()
    await lost.once()
    await (await looking(ledger)).once()

    [event] = drawn(ledger)
    assert event.data == {
        "terms": next(one.id for one in ledger.events if one.type == "sample.terms"),
        "per_10000": 10_000,
        "risk": 50,
        "backend": "demo",
        "model": "gpt-x",
        "rules": ["rule.a"],
    }
    [kept] = [one.data for one in ledger.events if one.type == "sample.kept"]
    assert kept == {"sample": event.id, "content": "none"}


async def test_the_draw_is_the_one_that_was_lost(line: Line, ledger: SampleLedger) -> None:
    """Under the same id: a worker that was only slow tells no second one."""
    await line.pipeline.handle(STAFF, chat())
    await (await looking(ledger)).once()

    [event] = drawn(ledger)
    keys = await ledger.exchange_keys(STAFF.id, str(event.exchange))
    assert event.id == evidence.keyed_id(keys.commit, "sample", str(event.exchange))


async def test_the_share_goes_by_risk_and_the_key_decides(line: Line, ledger: SampleLedger) -> None:
    """What the larger share alone would draw is not drawn, where nothing was risky."""
    for _ in range(30):
        await line.pipeline.handle(STAFF, chat())
    await (await looking(ledger, Terms(3_000, 10_000))).once()

    expected = set()
    for one in {event.exchange for event in ledger.events if event.type == "backend.outcome"}:
        keys = await ledger.exchange_keys(STAFF.id, str(one))
        expected |= {one} if is_drawn(keys.commit, str(one), 3_000) else set()
    assert {one.exchange for one in drawn(ledger)} == expected
    assert all(one.data["per_10000"] == 3_000 for one in drawn(ledger))


async def test_what_break_glass_let_go_is_told_whatever_the_terms(
    line: Line, ledger: SampleLedger
) -> None:
    """With its opening, and the terms if nobody told them."""
    answer = await line.pipeline.handle(STAFF, chat())
    exchange = answer.headers["x-sekisho-exchange"]  # type: ignore[union-attr]
    await line.pipeline.handle(STAFF, chat())
    ledger.let_go[exchange] = "o-1"
    await (await looking(ledger, Terms())).once()

    [event] = drawn(ledger)
    assert (event.exchange, event.data["opening"], event.data["per_10000"]) == (
        exchange, "o-1", 10_000,
    )  # fmt: skip


async def test_what_people_approved_has_the_risk_of_its_hold(
    desk: Desk, ledger: SampleLedger
) -> None:
    """Whatever the rules say of it when they are asked again."""
    line = Line(holds=desk.store, ledger=ledger)
    line.rules.says = HOLD
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    await Desk(desk.store, ledger, desk.filing, desk.limits).approve(view)
    line.rules.says = decision(Effect.ALLOW)
    await line.pipeline.resume(view.hold.id)
    await (await looking(ledger, Terms(0, 10_000, risk_from=10))).once()

    assert [one.data["risk"] for one in drawn(ledger)] == [10]


@pytest.mark.parametrize("fault", ["fails", "loses"])
async def test_a_ledger_that_is_away_is_asked_again(
    line: Line, ledger: SampleLedger, fault: str
) -> None:
    """From where it stopped: each draw stands once, and what became of its content with it."""
    await line.pipeline.handle(STAFF, chat())
    await line.pipeline.handle(STAFF, chat())
    lost = await looking(ledger)
    getattr(ledger, fault).append("sample.drawn")
    with pytest.raises(LedgerUnavailable):
        await lost.once()
    await lost.once()

    assert len(drawn(ledger)) == 2
    assert ledger.types().count("sample.kept") == 2


async def test_what_the_ledger_refuses_keeps_no_other_waiting(
    line: Line, ledger: SampleLedger
) -> None:
    """It was told just now by whoever was late."""
    await line.pipeline.handle(STAFF, chat())
    await line.pipeline.handle(STAFF, chat())
    ledger.refuses["sample.drawn"] = "bad_draw"
    await (await looking(ledger)).once()

    assert len(drawn(ledger)) == 1


async def test_of_who_was_erased_nothing_is_told(
    line: Line, ledger: SampleLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows any more what the exchange was."""

    async def nothing(*_: str) -> None:
        return None

    await line.pipeline.handle(STAFF, chat())
    monkeypatch.setattr(ledger, "exchange", nothing)
    await (await looking(ledger)).once()

    assert drawn(ledger) == []

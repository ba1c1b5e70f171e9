"""Draws that a killed worker did not tell are told by another one, once, as the key has it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model import evidence
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.hold import HoldView
from sekisho.model.samples import Content, Sample, Standing, Terms, Undrawn
from sekisho.releasing import lost_draws as module
from sekisho.releasing.lost_draws import LostDraws
from sekisho.releasing.sampling import Sampling
from sekisho_audit.events import Appended, Event
from sekisho_audit.sample_draw import is_drawn
from support.holds import ONE_REVIEW, STAFF, Desk
from support.line import HOLD, Line, chat, decision
from support.memory_ledger import MemoryLedger

ALL = Terms(10_000, 10_000)
RISKY = HoldTerms("tool_call", ONE_REVIEW, 600, 50)


class Ledger(MemoryLedger):
    """Knows what was given out and not drawn; faults of appends with a draw in them."""

    def __init__(self) -> None:
        super().__init__()
        self.openings: dict[str, str] = {}  # type: ignore[assignment]
        self.fault = ""
        self.asked: list[int] = []

    async def samples(self) -> Standing:
        return Standing()

    async def undrawn(self, after: int) -> tuple[Sequence[Undrawn], int]:
        self.asked.append(after)
        drawn = {one.exchange for one in self.events if one.type == "sample.drawn"}
        ended = [
            (n, str(one.exchange))
            for n, one in enumerate(self.events)
            if one.type == "backend.outcome" and one.exchange not in drawn and n > after
        ]
        found = [Undrawn(one, STAFF.id, self.openings.get(one, "")) for _, one in ended]
        return found, ended[-1][0] if ended else after

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        fault = self.fault if any(one.type == "sample.drawn" for one in events) else ""
        self.fault = "" if fault else self.fault
        if fault == "refuses":
            raise LedgerRefused("no", code="ungiven_draw")
        if fault == "fails":
            raise LedgerUnavailable("away")
        places = await super().append(events)
        if fault == "loses":
            raise LedgerUnavailable("the reply was lost")
        return places


class Shelf:
    """Satisfies `SampleStore`; nothing lost is ever put into it."""

    async def keep(self, sample: str, principal: str, exchange: str, content: Content) -> bool:
        raise AssertionError("the content of a lost draw is gone")

    async def get(self, sample: Sample) -> Content | None:
        return None

    async def drop(self, sample: str) -> None:
        raise AssertionError("there is nothing")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def line(ledger: Ledger) -> Line:
    """A worker that tells no draws, as if it were killed each time."""
    return Line(ledger=ledger)


async def looking(ledger: Ledger, terms: Terms = ALL) -> LostDraws:
    """Another worker, which looks for them."""
    sampling = Sampling(ledger, ledger, Shelf(), terms, content_bytes_max=64)  # type: ignore[arg-type]
    await sampling.agree()
    return LostDraws(ledger, ledger, sampling)  # type: ignore[arg-type]


def drawn(ledger: Ledger) -> list[Event]:
    return [one for one in ledger.events if one.type == "sample.drawn"]


async def test_a_lost_draw_is_told_with_what_the_history_knows(desk: Desk, ledger: Ledger) -> None:
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


async def test_the_draw_is_the_one_that_was_lost(line: Line, ledger: Ledger) -> None:
    """Under the same id: a worker that was only slow tells no second one."""
    await line.pipeline.handle(STAFF, chat())
    await (await looking(ledger)).once()

    [event] = drawn(ledger)
    keys = await ledger.exchange_keys(STAFF.id, str(event.exchange))
    assert event.id == evidence.keyed_id(keys.commit, "sample", str(event.exchange))


async def test_the_share_goes_by_risk_and_the_key_decides(line: Line, ledger: Ledger) -> None:
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
    line: Line, ledger: Ledger
) -> None:
    """With its opening, and the terms if nobody told them."""
    answer = await line.pipeline.handle(STAFF, chat())
    exchange = answer.headers["x-sekisho-exchange"]  # type: ignore[union-attr]
    await line.pipeline.handle(STAFF, chat())
    ledger.openings[exchange] = "o-1"
    await (await looking(ledger, Terms())).once()

    [event] = drawn(ledger)
    assert (event.exchange, event.data["opening"], event.data["per_10000"]) == (
        exchange, "o-1", 10_000,
    )  # fmt: skip


async def test_what_people_approved_has_the_risk_of_its_hold(desk: Desk, ledger: Ledger) -> None:
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
async def test_a_ledger_that_is_away_is_asked_again(line: Line, ledger: Ledger, fault: str) -> None:
    """From where it stopped: each draw stands once, and what became of its content with it."""
    await line.pipeline.handle(STAFF, chat())
    await line.pipeline.handle(STAFF, chat())
    lost = await looking(ledger)
    ledger.fault = fault
    with pytest.raises(LedgerUnavailable):
        await lost.once()
    await lost.once()

    assert len(drawn(ledger)) == 2
    assert ledger.types().count("sample.kept") == 2


async def test_what_the_ledger_refuses_keeps_no_other_waiting(line: Line, ledger: Ledger) -> None:
    """It was told just now by whoever was late."""
    await line.pipeline.handle(STAFF, chat())
    await line.pipeline.handle(STAFF, chat())
    ledger.fault = "refuses"
    await (await looking(ledger)).once()

    assert len(drawn(ledger)) == 1


async def test_of_who_was_erased_nothing_is_told(
    line: Line, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows any more what the exchange was."""

    async def nothing(*_: str) -> None:
        return None

    await line.pipeline.handle(STAFF, chat())
    monkeypatch.setattr(ledger, "exchange", nothing)
    await (await looking(ledger)).once()

    assert drawn(ledger) == []

"""The shadow is compared, counted and recorded; nothing it does reaches an exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_shadow import PENDING_MAX, ShadowedEngine
from sekisho.model.decision import Decision, Effect
from sekisho_audit.events import Event, check_data
from support.rules import RUNAWAY, SHIPPED, bundle, document

CLOSED = """package packs.team.closed

deny contains {"code": "closed", "msg": "Closed."} if "sales" in input.principal.groups
"""


@pytest.fixture
async def engine() -> AsyncIterator[EmbeddedOPA]:
    made = EmbeddedOPA(SHIPPED, deadline_ms=5_000)
    await made.start()
    yield made
    await made.close()


async def test_differences_are_recorded_and_never_acted_on(
    engine: EmbeddedOPA, tmp_path: Path
) -> None:
    """The answer is that of the rules in force; the record has both effects, and why. A test item
    moves what operators count, while there is a shadow, and no report.
    """
    events: list[Event] = []
    told: list[str] = []
    shadowed = ShadowedEngine(engine, events.append, told.append)
    other = bundle(tmp_path, packs__team__closed=CLOSED)
    await shadowed.use(other, read_bundle(other).revision)

    same = await shadowed.decide(document())
    sales = await shadowed.decide(document(principal__groups=["sales"]))
    await shadowed.settled()
    shadowed.seeded()
    assert told.count("same") == 2
    told.remove("same")
    await shadowed.use(None)
    shadowed.seeded()
    await shadowed.decide(document(principal__groups=["sales"]))

    assert (same.effect, sales.revision) == (Effect.ALLOW, engine.revision)
    assert shadowed.counts["same"] == 1
    assert shadowed.counts["otherwise"] == 1
    assert sorted(told) == ["otherwise", "same"]
    [event] = events
    check_data(event.type, event.data)
    assert (event.data["effect"], event.data["decided"]) == ("deny", sales.effect.value)
    assert "team.closed" in event.data["rules"]
    assert event.data["revision"] == read_bundle(other).revision


async def test_a_runaway_shadow_delays_and_ends_nothing_but_itself(
    engine: EmbeddedOPA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come at once, what waits is bounded, and with the third late engine it is over."""
    shadowed = ShadowedEngine(engine, lambda _: None)
    await shadowed.use(bundle(tmp_path, packs__team__runaway=RUNAWAY))
    asked = document(request__model="runaway")
    shadow, all_asked = shadowed._shadow, asyncio.Event()
    assert shadow is not None
    decide = shadow.decide

    async def once_all_asked(about: Any) -> Decision:
        await all_asked.wait()
        return await decide(about)

    monkeypatch.setattr(shadow, "decide", once_all_asked)
    total = 2 * PENDING_MAX
    decisions = await asyncio.gather(*(shadowed.decide(asked) for _ in range(total)))
    assert shadowed.counts["left_out"] == total - PENDING_MAX
    all_asked.set()
    await shadowed.settled()

    assert {decision.revision for decision in decisions} == {engine.revision}
    assert shadowed.counts["failed"] == PENDING_MAX
    await shadowed.use(None)


async def test_what_cannot_be_used_is_no_shadow(engine: EmbeddedOPA, tmp_path: Path) -> None:
    """Neither broken rules nor a bundle that is not what it was."""
    shadowed = ShadowedEngine(engine, lambda _: None)
    await shadowed.use(tmp_path)
    await shadowed.use(SHIPPED, "sha256:" + "0" * 64)
    await shadowed.decide(document())
    assert not shadowed.counts

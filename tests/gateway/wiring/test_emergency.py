"""Break-glass is put together from the settings, and knows rules once some are loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sekisho.config import Settings
from sekisho.errors import BadRequest, Forbidden, PolicyUnavailable
from sekisho.telemetry import Metrics
from sekisho.wiring.emergency import alarm, break_glass, break_glass_desk
from support.break_glass import CHIEF, RULE, WHY, Holders, opening
from support.holds import STAFF, SystemClock
from support.memory_ledger import MemoryLedger
from support.switch import Switch

BACKEND = {"id": "one", "base_url": "https://one.example/v1", "models": ["gpt-*"]}


def _settings(**values: Any) -> Settings:
    return Settings.model_validate({"backends": [BACKEND], **values})


def _glass(ledger: MemoryLedger, metrics: Metrics | None = None) -> Any:
    people = SimpleNamespace(holds=Holders())
    told = cast("Any", ledger)
    return break_glass(
        ledger,
        told,
        Switch(),
        SystemClock(),
        people=cast("Any", people),
        metrics=metrics or Metrics(),
    )


async def test_settings_bound_what_is_opened() -> None:
    """And rules are asked of the bundle in force; while there is none, any name is taken."""
    ledger = MemoryLedger()
    settings = _settings(break_glass={"minutes_default": 2, "minutes_max": 5})
    bundle = SimpleNamespace(rules=frozenset({RULE}))

    def none() -> Any:
        raise PolicyUnavailable("there are none yet")

    glass = _glass(ledger)
    desk = break_glass_desk(settings, glass, ledger, SystemClock(), lambda: cast("Any", bundle))
    early = break_glass_desk(settings, glass, ledger, SystemClock(), none)

    for rules, minutes in (([RULE], 6), (["no.such"], 1)):
        with pytest.raises(BadRequest):
            await desk.open(CHIEF, rules, WHY, minutes)
    with pytest.raises(Forbidden):
        await early.open(STAFF, ["no.such"], WHY, None)


async def test_what_is_open_is_a_figure_for_operators() -> None:
    """How many are open, and how often they were used."""
    ledger, metrics = MemoryLedger(), Metrics()
    ledger.opened = [opening(), opening(ended="person")]
    glass = _glass(ledger, metrics)
    await glass.consult()
    metrics.break_glass_used(2)

    said = metrics.render()[0].decode()
    assert "sekisho_break_glass_open 1.0" in said
    assert "sekisho_break_glass_uses_total 2.0" in said


async def test_every_channel_of_the_settings_is_told() -> None:
    """Whatever groups it has."""
    channel = {"name": "chat", "kind": "slack", "url_env": "CHAT_URL"}
    ledger = MemoryLedger()
    ledger.opened = [opening()]
    glass = _glass(ledger)
    await glass.consult()

    told = alarm(_settings(notify={"channels": [channel]}), glass).due(SystemClock().now_us())
    assert [one.channel for one in told] == ["chat"]

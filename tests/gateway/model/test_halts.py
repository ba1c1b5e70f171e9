"""What a switch stops, and what whoever is stopped is told."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from sekisho.model.halts import UNRECORDED, Reach, Switches, halted
from support.holds import STAFF, Desk
from support.switch import halt

ASKED = Reach(("sales", "emea"), "gpt-4o", "openai", ("crm.write",), "assistant/legal")


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("all", ""),
        ("team", "emea"),
        ("team", "EMEA"),
        ("backend", "openai"),
        ("model", "gpt-4o"),
        ("model", "GPT-4O"),
        ("model", "ｇｐｔ-4o"),
        ("model", "gpt-*"),
        ("tool", "crm.*"),
        ("model", "assistant/legal"),
    ],
)
def test_a_switch_stops_what_it_names(scope: str, name: str) -> None:
    """However it is written: capitals and wide letters are no way around it."""
    one = halt(scope, name)

    assert Switches([halt("team", "other"), one]).hit(ASKED) == one


@pytest.mark.parametrize(
    ("scope", "name"),
    [("team", "sale"), ("team", "gpt-4o"), ("backend", "gpt-4o"), ("model", "4o"), ("tool", "crm")],
)
def test_and_nothing_else(scope: str, name: str) -> None:
    """A team that is called like a model is no model."""
    assert Switches([halt(scope, name)]).hit(ASKED) is None


def test_nothing_is_stopped_without_a_switch() -> None:
    """And then everything is not, either: rules are told the truth."""
    assert Switches().hit(ASKED) is None
    assert not Switches([halt("team", "sales")]).everything
    assert Switches([halt()]).everything


def test_who_is_stopped_is_told_what_and_why() -> None:
    """With the operator's own words, and that trying again does not help."""
    message = halted(halt("model", "gpt-4o", "Prices leaked")).message

    assert message.startswith("An operator stopped the model gpt-4o: Prices leaked. ")
    assert "does not help" in message
    assert "everything: no reason can be read." in halted(halt(reason=" ")).message


def test_a_switch_is_recorded_once_the_ledger_has_it() -> None:
    """What has no place there has none yet."""
    assert halt().recorded
    assert not replace(halt(), last=UNRECORDED).recorded


async def test_what_is_held_is_reached_by_its_tools(desk: Desk) -> None:
    """A request has none; an answer those that its calls were asked about."""
    hold = (await desk.file()).hold
    about = {"request": {"assistant": "legal"}}
    asked = [{"tool": {"name": "crm.write"}, **about}, {"tool": None, **about}]

    request = Reach.of_hold(hold)
    answer = Reach.of_hold(replace(hold, stage="response", facts=orjson.dumps(asked)))

    assert set(request.groups) == STAFF.groups
    assert (request.model, request.backend, list(request.tools)) == ("gpt-x", "demo", [])
    assert (list(answer.tools), answer.assistant) == (["crm.write"], "assistant/legal")

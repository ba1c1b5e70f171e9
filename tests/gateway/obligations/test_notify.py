"""Whoever rules want told is told once, or the request is refused."""

from __future__ import annotations

import pytest

from sekisho.model.decision import Decision, Effect, Obligations
from sekisho.obligations.notify import apply, reaches_all


def decision(effect: Effect, *channels: str) -> Decision:
    return Decision(effect, (), "sha256:0", Obligations(notify=channels))


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.DENY])
def test_who_is_told(effect: Effect) -> None:
    """In order, each once, of those that exist and have not been told of the request."""
    asked = decision(effect, "desk", "audit", "desk", "gone")
    assert apply(asked, {"audit", "desk", "other"}) == ("audit", "desk")
    assert apply(asked, {"audit", "desk"}, ("audit",)) == ("desk",)
    assert apply(asked, ()) == ()


def test_a_hold_tells_of_itself() -> None:
    """It waits and ends; told here too it would be told twice."""
    assert apply(decision(Effect.HOLD, "desk"), {"desk"}) == ()


def test_a_channel_that_is_not_there() -> None:
    """One is enough to refuse; where nobody knows the channels, as in a replay, none is missed."""
    asked = Obligations(notify=("desk", "gone"))
    assert not reaches_all(asked, {"desk"})
    assert reaches_all(asked, ["gone", "desk", "other"])
    assert reaches_all(asked, None)
    assert reaches_all(Obligations(), ())

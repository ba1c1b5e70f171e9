"""Holds of a stage at which nobody would be asked cannot be carried out."""

from __future__ import annotations

import pytest

from sekisho.model.decision import HoldTerms, Obligations
from sekisho.obligations.hold import misplaced

STAGES = ("request", "tool_call", "response")


def terms(stage: str) -> HoldTerms:
    return HoldTerms(stage, (), 60, 50)


@pytest.mark.parametrize("asked", [*STAGES, "no_such_stage"])
@pytest.mark.parametrize("held", [*STAGES, "later"])
def test_each_hold_has_its_stage(asked: str, held: str) -> None:
    """Now means this stage and later one that is to come; both faults are told."""
    now, later = Obligations(hold=terms(held)), Obligations(hold_later=(terms(held),))
    assert (list(misplaced(now, asked)) == []) is (held == asked)
    comes = {asked, held} <= set(STAGES) and STAGES.index(held) > STAGES.index(asked)
    assert (list(misplaced(later, asked)) == []) is comes


def test_none_and_both() -> None:
    """Without a hold nothing is missed; one good later hold does not excuse another."""
    assert list(misplaced(Obligations(), "request")) == []
    mixed = Obligations(hold=terms("response"), hold_later=(terms("response"), terms("request")))
    assert list(misplaced(mixed, "request")) == ["hold.stage", "hold_later"]

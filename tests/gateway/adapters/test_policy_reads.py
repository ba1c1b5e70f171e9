"""Slips in what a rule reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.policy_check import review_bundle
from support.rules import bundle

HEAD = "# METADATA\n# title: T\npackage packs.team.x\n\n# METADATA\n# title: D\n"
RULE = 'deny contains {{"code": "c", "msg": "M."}} if {condition}\n'


def told(tmp_path: Path, condition: str) -> list[str]:
    """What a check says of a rule with this condition."""
    made = bundle(tmp_path, packs__team__x=HEAD + RULE.format(condition=condition))
    return [str(fault) for fault in review_bundle(made)]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ('input.request.modle == "x"', "input.request.modle is never there; did you mean mod"),
        ('input.reqest.model == "x"', "input.reqest is never there; did you mean request?"),
        ('"a" in data.groupz.sales.models', "data.groupz is never there; did you mean groups?"),
        ("input.context.spend.month == 1", "input.context.spend.month is never there"),
        ('every g in input.principal.group { g == "a" }', "input.principal.group is never there"),
    ],
)
def test_a_slip_is_told_with_its_place(tmp_path: Path, condition: str, text: str) -> None:
    """It would be silent for ever."""
    (said,) = told(tmp_path, condition)
    assert said.startswith("packs/team/x.rego:7:")
    assert text in said


@pytest.mark.parametrize(
    "condition",
    [
        "input.content.entities.email > 3",
        "input.content.entities[input.request.model] > 3",
        'input.tool.arguments.to.address == "x"',
        'data.groups.sales.models[_] == "x"',
        "data.custom.mine.of_any_shape > 1",
        "input.context.limits.tokens_left == 0",
        '{ some part in input; part == "x" }',
        'input["request"].model == "x"',
    ],
)
def test_what_may_be_there_is_no_slip(tmp_path: Path, condition: str) -> None:
    """Of what has members of its own making nothing can be said."""
    assert [] == told(tmp_path, condition)

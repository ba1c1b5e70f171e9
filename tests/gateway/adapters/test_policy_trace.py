"""The trace of real decisions, made readable: what fired on which values, what did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.bundle import build, read_bundle
from sekisho.adapters.policy_lint import parse
from sekisho.adapters.policy_trace import TOLD_MAX, Explanation, Fired, Missed, explain
from support.rules import SHIPPED, bundle, document


def explained(directory: Path, asked: dict[str, Any]) -> Explanation:
    """The explanation of one decision."""
    made = read_bundle(directory)
    rules = [rule for module in parse(made.modules) for rule in module.rules]
    with build(made) as engine:
        engine.eval_document("sekisho.decision", asked, trace=True)
        return explain(engine.last_trace or [], rules, asked)


def fired(found: Explanation, title: str) -> list[Fired]:
    """Those with this title."""
    return [one for one in found.fired if one.title == title]


def missed(found: Explanation, title: str) -> Missed:
    """The one with this title."""
    (one,) = [one for one in found.missed if one.title == title]
    return one


def test_what_fired_and_on_what() -> None:
    """Each label that is denied is told with its value; the allow with the rules it rests on."""
    found = explained(SHIPPED, document(content__labels=["review", "secret"]))

    (denied,) = fired(found, "Label denied")
    assert ("packs.default.content.deny", "packs/default/content.rego") == (
        denied.rule, denied.file,
    )  # fmt: skip
    assert {"label": "secret", "input.content.labels": ["review", "secret"]} == denied.values
    (allowed,) = fired(found, "Model allowed")
    (listed,) = allowed.by
    assert {
        "input.principal.groups": ["employees"],
        "group": "employees",
        "input.request.model": "model-1",
        "pattern": "*",
    } == listed.values
    assert "packs.default.models.listed" == listed.rule
    line = (SHIPPED / listed.file).read_text("utf-8").splitlines()[listed.line - 1]
    assert line.startswith("listed if")


def test_what_did_not_fire_and_where() -> None:
    """The condition that was not met, in the words of the rule."""
    found = explained(SHIPPED, document(content__labels=["other"]))

    assert not fired(found, "Label denied")
    assert "data.labels.denied[label]" == missed(found, "Label denied").condition
    assert "not listed" == missed(found, "Model not allowed").condition
    titles = {one.title for one in found.fired} | {one.title for one in found.missed}
    assert {"Hosted tools", "Halted", "What is kept", "Cap on the answer"} <= titles


def test_a_rule_is_on_one_side_only() -> None:
    """Nothing both fired and did not."""
    for labels in ([], ["secret"], ["review"]):
        found = explained(SHIPPED, document(content__labels=labels))
        sides = [{(one.file, one.line) for one in side} for side in (found.fired, found.missed)]
        assert not sides[0] & sides[1]
        assert sides[0]
        assert sides[1]


def test_the_fold_speaks_too() -> None:
    """What is refused whatever the packs say is told as the fold's."""
    found = explained(SHIPPED, document(stage="later"))

    assert any(one.rule == "sekisho.of_the_fold" for one in found.fired)


HEAD = "# METADATA\n# title: T\n# scope: package\npackage packs.team.x\n\n"
DENY = "# METADATA\n# title: Mine\n"
FIRES = {
    "else": (
        DENY + 'deny contains {"code": "a", "msg": "A."} if f(input.request.model) == 2\n\n'
        "f(x) := 1 if x == 1\n\nelse := 2\n",
        "packs.team.x.f",
    ),
    "default": (
        DENY + 'deny contains {"code": "a", "msg": "A."} if not z\n\ndefault z := false\n',
        "packs.team.x.z",
    ),
    "in a comprehension": (
        DENY + 'deny contains {"code": "a", "msg": "A."} if count([y | y := g]) == 1\n\n'
        "g := input.request.model\n",
        "packs.team.x.g",
    ),
    "in brackets": (
        DENY + 'deny contains {"code": "a", "msg": "A."} if input["request"]["model"] == h\n\n'
        'h := "model-1"\n',
        "packs.team.x.h",
    ),
}


@pytest.mark.parametrize("way", FIRES)
def test_other_forms_of_rules(tmp_path: Path, way: str) -> None:
    """Else branches, defaults, rules below comprehensions: found and told once."""
    source, helper = FIRES[way]
    found = explained(bundle(tmp_path, packs__team__x=HEAD + source), document())

    (mine,) = fired(found, "Mine")
    assert [helper] == [one.rule for one in mine.by]
    assert ("input.request.model" in mine.values) == (way in {"else", "in brackets"})


def test_a_loop_is_cut(tmp_path: Path) -> None:
    """Ten thousand calls of a function explain no more than fifty."""
    source = HEAD + DENY + (
        'deny contains {"code": "a", "msg": sprintf("%d", [n])} if {\n'
        "\tsome n in numbers.range(1, 3000)\n\tf(n)\n}\n\nf(n) if n > 0\n"
    )  # fmt: skip
    found = explained(bundle(tmp_path, packs__team__x=source), document())

    mine = fired(found, "Mine")
    assert 0 < len(mine) <= TOLD_MAX
    assert len(mine[0].by) <= TOLD_MAX


def test_nothing_traced() -> None:
    """Rules that could not be evaluated leave an empty trace: everything did not fire."""
    rules = [rule for module in parse(read_bundle(SHIPPED).modules) for rule in module.rules]
    found = explain([], rules, {})

    assert () == found.fired
    assert {0} == {one.at for one in found.missed}

"""Unused and silent rules: each way to be read is known, and nothing else counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.bundle import Bundle, Module, read_bundle
from sekisho.adapters.policy_lint import lint, parse
from support.rules import SHIPPED, bundle

SAID = "# METADATA\n# title: X\n"
HEAD = SAID + "package packs.team.x\n\n"
DENY = SAID + 'deny contains {"code": "a", "msg": "A."} if '


def faults(**files: str) -> list[str]:
    """What the check says about these modules alone."""
    made = [Module(f"{name.replace('__', '/')}.rego", source) for name, source in files.items()]
    tests = tuple(module for module in made if module.path.endswith("_test.rego"))
    modules = tuple(module for module in made if module not in tests)
    return [str(fault) for fault in lint(Bundle(modules, tests, {}, ""))]


def test_shipped() -> None:
    """Nothing is unused in the shipped rules and all of it says what it is."""
    assert [] == lint(read_bundle(SHIPPED))


UNUSED = {
    "rule": ("x := 1\n", "9:1: the rule x is read by no other rule"),
    "default": ("default x := 1\n", "9:9: the rule x is"),
    "function": ("f(y) := y\n", "9:1: the function f is"),
    "read by itself": ("x contains 1 if { count(x) > 0 }\n", "9:1: the rule x"),
    "read by another unused one": ("x := y\n\ny := 1\n", "11:1: the rule y"),
    "told of in a text": ('x := 1\n\ny := "x"\n', "9:1: the rule x"),
    "read from input": ("x := 1\n\ny := input.x\n", "9:1: the rule x"),
    "read in another package": ("x := 1\n\ny := data.packs.other.x\n", "9:1: the rule x"),
}


@pytest.mark.parametrize("way", UNUSED)
def test_unused(way: str) -> None:
    """The place of its first rule, once."""
    source, text = UNUSED[way]
    said = faults(packs__team__x=HEAD + DENY + "true\n\n" + source)

    assert 1 == sum(f"packs/team/x.rego:{text}" in fault for fault in said), said


USED = {
    "by name": "x == 1\n\nx := 1\n",
    "called": "f(1)\n\nf(y) if y\n",
    "by its full name": "data.packs.team.x.y\n\ny := 1\n",
    "in brackets": 'data.packs["team"].x.y\n\ny := 1\n',
    "by a name that varies": "data.packs.team.x[input.stage]\n\ny := 1\n",
    "through another": "y\n\ny if z\n\nz := 1\n",
    "in a comprehension": "{a | a := y[_]} == {1}\n\ny := [1]\n",
    "in a template": '$"{y}" == "1"\n\ny := 1\n',
    "in every": "every a in y { a > 1 }\n\ny := [1]\n",
    "under with": "input.stage with input as y\n\ny := 1\n",
    "replaced": "count([]) == 1 with count as f\n\nf(_) := 1\n",
    "as a key": "input.content.entities[y]\n\ny := 1\n",
    "all of its rules": "y == 1\n\ny := 1 if input.stage\n\ny := 2 if input\n\ndefault y := 3\n",
    "inside it": "y.z == 1\n\ny.z := 1\n",
}


@pytest.mark.parametrize("way", USED)
def test_used(way: str) -> None:
    """However it is written."""
    assert [] == faults(packs__team__x=HEAD + DENY + USED[way])


def test_imports() -> None:
    """An import is used under its own name or another; one that is not is told with its place."""
    library = SAID + "package lib.y\n\nf(a) := a\n\ng(a) := a\n"
    source = (
        SAID + "package packs.team.x\n\nimport data.lib.y\nimport data.lib.y as z\n"
        "import data.lib\nimport input.request as r\nimport rego.v1\n\n"
        + DENY + "y.f(1)\n\n" + DENY + "z.g(1)\n"
    )  # fmt: skip

    assert [
        "packs/team/x.rego:7:8: the import lib is not used: remove it",
        "packs/team/x.rego:8:8: the import r is not used: remove it",
    ] == faults(packs__team__x=source, lib__y=library)


def test_imports_of_tests() -> None:
    """Stock `opa check --strict` refuses them too. Other rules of tests are their own affair."""
    source = "package packs.team.x_test\n\nimport data.packs.default.models\n\nx := 1\n"

    (said,) = faults(packs__team__x_test=source)

    assert said.startswith("packs/team/x_test.rego:3:8: the import models is not used")


def test_a_test_is_no_reader() -> None:
    """What only tests call decides nothing."""
    library = SAID + "package lib.y\n\nf(a) := a\n"
    test = "package lib.y_test\n\nimport data.lib.y\n\ntest_f if y.f(1) == 1\n"

    (said,) = faults(lib__y=library, lib__y_test=test)

    assert said.startswith("lib/y.rego:5:1: the function f")


SILENT = {
    "package": ("package packs.team.x\n\n" + DENY + "true\n", "1:1: the package has no METADATA"),
    "rule": (HEAD + 'deny contains {"code": "a", "msg": "A."}\n', "5:1: deny has no METADATA"),
    "second rule": (
        HEAD + DENY + 'true\n\ndeny contains {"code": "b", "msg": "B."}\n',
        "9:1: deny has no METADATA",
    ),
    "no title": (HEAD + DENY.replace("title", "titel") + "true\n", "5:1: METADATA of deny has no"),
    "no YAML": (HEAD + DENY.replace("title: X", "a: ]") + "true\n", "5:1: METADATA of deny cannot"),
    "only a comment": (HEAD + DENY.replace("# METADATA\n", "") + "true\n", "6:1: deny has no"),
    "of something before": (
        HEAD + DENY + 'x\n\nx := 1\ndeny contains {"code": "b", "msg": "B."}\n',
        "10:1: deny has no METADATA",
    ),
}


@pytest.mark.parametrize("way", SILENT)
def test_silent(way: str) -> None:
    """Whoever reviews a rule wants to know what it is for."""
    source, text = SILENT[way]
    said = faults(packs__team__x=source)

    assert [f"packs/team/x.rego:{text}" in fault for fault in said] == [True], said


def test_said_for_all_rules_of_a_name() -> None:
    """METADATA of scope document speaks for every rule of the name."""
    more = 'true\n\ndeny contains {"code": "b", "msg": "B."}\n'
    source = HEAD + DENY.replace("title: X", "title: X\n# scope: document") + more

    assert [] == faults(packs__team__x=source)


def test_the_fold_has_to_speak_too(tmp_path: Path) -> None:
    """The decision itself is what the gateway reads."""
    made = bundle(tmp_path)
    fold = made / "sekisho/main.rego"
    fold.write_text(fold.read_text("utf-8").replace("# title: Decision\n", ""))

    (fault,) = lint(read_bundle(made))

    assert "sekisho/main.rego" == fault.file
    assert fault.text.startswith("METADATA of decision has no title")


def test_rules_have_what_explains_them() -> None:
    """Every shipped rule that the fold reads is found with its title."""
    rules = [rule for one in parse(read_bundle(SHIPPED).modules) for rule in one.rules]
    read = [rule for rule in rules if rule.read_by_gateway]

    assert len(read) > 15
    assert all(rule.metadata and rule.metadata.said("title") for rule in read)

"""`sekisho policy check` and `test`, without the command around them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sekisho.adapters import policy_check
from sekisho.adapters.policy_check import check_bundle, review_bundle, test_bundle
from support.rules import RUNAWAY, SHIPPED, bundle

COVERAGE_PERCENT_MIN = 95


def test_shipped_rules_are_sound() -> None:
    """No faults."""
    assert [] == check_bundle(SHIPPED)
    assert [] == review_bundle(SHIPPED)


def test_shipped_tests_pass_and_reach_the_rules() -> None:
    """Every test of the pack is green and 95 % of all lines are reached."""
    report = test_bundle(SHIPPED)

    assert report.passed, str(report)
    assert len(report.results) > 40
    assert report.coverage_percent >= COVERAGE_PERCENT_MIN
    assert "tests passed" in str(report)


@pytest.mark.parametrize("page", ["policies/README.md", "docs/howto/policy.md"])
def test_rules_of_the_pages_are_sound(page: str, tmp_path: Path) -> None:
    """What people copy is accepted, and its tests are green."""
    text = (SHIPPED.parent / page).read_text("utf-8")
    blocks = re.findall(r"^```rego\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    files = {}
    for block in blocks:
        (package,) = re.findall(r"^package (\S+)$", block, re.MULTILINE)
        files[package.replace(".", "__")] = block
    made = bundle(tmp_path, **files)

    assert [] == review_bundle(made)
    assert test_bundle(made).passed


def test_faults_have_places(tmp_path: Path) -> None:
    """A check tells file, line and column, of what is wrong and of what is unused at once."""
    made = bundle(tmp_path, lib__a="package lib.a\n\nx := nosuch(1)\n")
    faults = review_bundle(made)

    assert [("lib/a.rego", 1, 1), ("lib/a.rego", 3, 1), ("lib/a.rego", 3, 6)] == [
        (fault.file, fault.line, fault.column) for fault in faults
    ]
    assert "undefined function nosuch" in faults[-1].text
    assert faults[-1:] == check_bundle(made)


def test_what_only_a_review_finds(tmp_path: Path) -> None:
    """A rule that nobody reads keeps no revision from deciding."""
    made = bundle(tmp_path, lib__a="package lib.a\n\nx := 1\n")

    assert [] == check_bundle(made)
    assert 2 == len(review_bundle(made))


def test_a_fold_that_allows_everybody(tmp_path: Path) -> None:
    """A bundle that compiles but lets an unknown principal through is not sound."""
    made = bundle(tmp_path)
    (made / "sekisho/main.rego").write_text(
        'package sekisho\n\ndecision := {"schema": "sekisho.decision/v1", "effect": "allow", '
        '"reasons": [], "obligations": {}}\n'
    )

    assert any("is not denied" in fault.text for fault in check_bundle(made))


FAILING = """package packs.team.x_test

test_good if 1 == 1

test_bad if {
	print("here")
	1 == 2
}

test_false := false

test_number := 1

test_error if {
	to_number("x") == 1
}
"""


def test_failures_are_told(tmp_path: Path) -> None:
    """Not true, another value and an error are failures; what was printed is kept."""
    report = test_bundle(bundle(tmp_path, packs__team__x_test=FAILING))
    mine = {r.name: r for r in report.results if r.file == "packs/team/x_test.rego"}

    assert {"test_good": True, "test_bad": False, "test_false": False, "test_number": False,
            "test_error": False} == {name: r.passed for name, r in mine.items()}  # fmt: skip
    assert "here" in mine["test_bad"].output
    assert "to_number" in mine["test_error"].output
    assert not report.passed
    assert "test_bad failed" in str(report)


def test_no_tests_is_not_green(tmp_path: Path) -> None:
    """A bundle without tests has not passed."""
    made = bundle(tmp_path)
    for path in made.rglob("*_test.rego"):
        path.unlink()

    assert not test_bundle(made).passed


def test_a_bundle_that_does_not_load(tmp_path: Path) -> None:
    """Its faults are in the report, and nothing has passed."""
    report = test_bundle(bundle(tmp_path, lib__a="package lib.a\nx := \n"))

    assert report.faults
    assert not report.passed
    assert "lib/a.rego" in str(report)


def test_lines_not_reached(tmp_path: Path) -> None:
    """A rule that no test reaches is told by its lines."""
    source = 'package packs.team.x\n\ndeny contains {"code": "a", "msg": "A."} if input.never\n'
    report = test_bundle(bundle(tmp_path, packs__team__x=source))

    (file,) = [file for file in report.coverage if file.file == "packs/team/x.rego"]
    assert (3,) == file.missed


def test_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that does not end is a fault, not a command that does not end."""
    monkeypatch.setattr(policy_check, "TIME_S_MAX", 0.5)
    source = RUNAWAY.replace('input.request.model == "runaway"', "true")

    faults = check_bundle(bundle(tmp_path, packs__team__runaway=source))

    assert any("not done after" in fault.text for fault in faults)


def test_what_is_nested_too_deeply_has_a_place(tmp_path: Path) -> None:
    """The engine reads deeper than Python reads its trees; that is a fault and no traceback."""
    deep = "package packs.team.deep\n\nx := " + "[" * 1000 + "]" * 1000 + "\n"
    faults = check_bundle(bundle(tmp_path, packs__team__deep=deep))
    assert ["packs/team/deep.rego"] == [fault.file for fault in faults]
    assert "nested too deeply" in faults[0].text

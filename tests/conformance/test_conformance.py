"""The runner, on cases of our own in the format of the corpus: it cannot pass what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conformance.cases import Case, judge, read_cases, read_known
from conformance.run import KNOWN, report, run

ROOT = Path(__file__).parents[2]
RULE = "package test\n\np := input.x + data.y\n\ns := {3, 1, 2}\n\nu if input.never\n"
BROKEN = 'package test\n\np := to_number("x")\n'
ENDLESS = """package test

p if {
	some a in numbers.range(1, 3000)
	some b in numbers.range(1, 3000)
	a + b == -1
}
"""


def case(**says: Any) -> dict[str, Any]:
    """A case that holds."""
    return {
        "note": "n", "query": "data.test.p = x", "modules": [RULE], "data": {"y": 2},
        "input": {"x": 1}, "want_result": [{"x": 3}], "plan": {"static": {}}, **says,
    }  # fmt: skip


def without(*names: str, **says: Any) -> dict[str, Any]:
    """The same with other members."""
    return {name: value for name, value in case(**says).items() if name not in names}


HOLD: dict[str, dict[str, Any]] = {
    "value": case(),
    "number written otherwise": case(want_result=[{"x": 3.0}]),
    "several bindings in any order": case(
        query="x = data.test.s[_]", want_result=[{"x": 2}, {"x": 1}, {"x": 3}]
    ),
    "a set in any order": case(
        query="data.test.s = x", want_result=[{"x": [3, 1, 2]}], sort_bindings=True
    ),
    "undefined": case(query="data.test.u = x", want_result=[]),
    "not defined": without("want_result", query="data.test.u", want_defined=False),
    "defined": without("want_result", want_defined=True),
    "input as a term": without("input", input_term='{"x": 1 + 0}'),
    "error": without(
        "want_result", modules=[BROKEN], want_error_code="eval_builtin_error", want_error="invalid"
    ),
}
HOLD_NOT: dict[str, tuple[dict[str, Any], str]] = {
    "other value": (case(want_result=[{"x": 4}]), "wanted"),
    "text for a number": (case(want_result=[{"x": "3"}]), "wanted"),
    "one for true": (case(query="x = true", want_result=[{"x": 1}]), "wanted"),
    "a binding more": (case(want_result=[{"x": 3}, {"x": 3}]), "wanted"),
    "a list in another order": (
        case(query="x = [1, 2]", want_result=[{"x": [2, 1]}]), "wanted",
    ),
    "defined": (without("want_result", want_defined=False), "defined where"),
    "undefined": (
        without("want_result", query="data.test.u", want_defined=True), "undefined where",
    ),
    "an error where none was wanted": (case(modules=[BROKEN]), "error: "),
    "no error": (without("want_result", want_error_code="eval_type_error"), "no error where"),
    "another error": (
        without("want_result", modules=[BROKEN], want_error_code="eval_type_error"),
        "error without ['eval_type_error']",
    ),
    "another text": (
        without("want_result", modules=[BROKEN], want_error="conflict"), "error without",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOLD)
def test_what_holds(name: str) -> None:
    """Each way a case can be written is understood."""
    assert "" == judge(HOLD[name])


@pytest.mark.parametrize("name", HOLD_NOT)
def test_what_does_not_hold(name: str) -> None:
    """Each way to be wrong is seen."""
    says, text = HOLD_NOT[name]

    assert text in judge(says)


def test_files(tmp_path: Path) -> None:
    """Named by file and note; a note that stands twice is numbered; plans are left out."""
    (tmp_path / "casts").mkdir()
    (tmp_path / "casts/a.json").write_text(json.dumps({"cases": [case(), case(), case(note="m")]}))
    (tmp_path / "casts/b.yml").write_text(json.dumps({"cases": [case()]}))
    (tmp_path / "index.json").write_text("[]")

    cases = read_cases(tmp_path)

    assert ["casts/a: m", "casts/a: n", "casts/a: n #2", "casts/b: n"] == [one.id for one in cases]
    assert not any("plan" in one.says for one in cases)


def test_one_case_does_not_hide_others() -> None:
    """What never ends is killed, what kills its process is told, the rest is judged."""
    endless = case(modules=[ENDLESS])
    cases = [
        Case("a", case()),
        Case("b", endless),
        Case("c", {"note": "no query"}),
        Case("d", case(want_result=[{"x": 4}])),
        Case("e", case()),
    ]

    failed = run(cases, limit_s=2.0, workers=1)

    assert ["b", "c", "d"] == list(failed)
    assert failed["b"].startswith("not done after 2 s")
    assert failed["c"].startswith("crash")
    assert "wanted" in failed["d"]


def test_the_list_has_to_be_true() -> None:
    """A new failure, a known one that passes and one that is no case are told."""
    cases = [Case(name, {}) for name in "abc"]

    assert [] == report(cases, {"a": "x"}, {"a": "why"})
    assert ["fails: b: x"] == report(cases, {"a": "x", "b": "x"}, {"a": "why"})
    (passes, gone) = report(cases, {}, {"c": "why", "z": "why"})
    assert passes.startswith("passes, ")
    assert gone.startswith("is no case, ")


def test_known_failures_have_reasons() -> None:
    """Each is on the list for something; the page has the same number."""
    known = read_known(KNOWN)
    page = (ROOT / "docs/reference/conformance.md").read_text("utf-8")
    (passed, total) = map(int, *re.findall(r"(\d+) of (\d+) cases pass", page))

    assert total - passed == len(known)
    assert all(known.values())

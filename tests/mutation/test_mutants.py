"""The faults that are put in: the ones a slip would make, each alone, none in texts for people."""

from __future__ import annotations

import ast

import pytest

from mutation.mutants import mutants


def changed(source: str) -> set[str]:
    """The module's text with each fault in turn."""
    count = len(mutants(ast.parse(source)))
    found = set()
    for number in range(count):
        tree = ast.parse(source)
        mutants(tree)[number].put()
        found.add(ast.unparse(ast.fix_missing_locations(tree)))
    assert len(found) == count
    return found


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a == b", {"a != b"}),
        ("a + b", {"a - b"}),
        ("a and b", {"a or b", "a", "b"}),
        ("not a", {"a"}),
        ("x = 7", {"x = 8", "x = 6"}),
        ("x = True", {"x = False"}),
        ("x = b'a'", {"x = b'a?'"}),
        ("x = 'word'", {"x = 'wordX'"}),
        ("f(x)", {"pass"}),
        ("a.b = c", {"pass"}),
        ("raise E('some text')", {"pass"}),
        ("a if b else c", {"a", "c", "a if not b else c"}),
    ],
)
def test_each_fault_stands_alone(source: str, wanted: set[str]) -> None:
    assert changed(source) == wanted


def test_errors_are_caught_one_kind_less() -> None:
    text = "try:\n    a\nexcept {}:\n    b"
    assert changed(text.format("(E, F)")) == {
        text.format("(F,)"),
        text.format("(E,)"),
    }
    assert changed(text.format("E")) == {text.format("()")}


def test_a_function_returns_nothing_and_a_condition_is_turned() -> None:
    wanted = {
        "def f():\n    if g:\n        return None",
        "def f():\n    if not g:\n        return h",
    }
    assert changed("def f():\n    if g:\n        return h") == wanted


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring of two words."""',
        "x = 'a text for people'",
        "@d(1)\nclass C:\n    pass",
        "x: int",
    ],
)
def test_what_is_for_people_or_declared_stays(source: str) -> None:
    assert changed(source) == set()


def test_a_fault_is_known_by_place_and_text() -> None:
    [one, *_] = mutants(ast.parse("class C:\n    def f(self):\n        return a < b"))
    assert str(one) == "C.f: return a < b -> return None"

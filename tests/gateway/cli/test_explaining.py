"""Explanations for people: indented by what rests on what, one line a value, nothing too long."""

from __future__ import annotations

from sekisho.adapters.policy_trace import Explanation, Fired, Missed
from sekisho.cli.explaining import VALUE_CHARS_MAX, lines

HELPER = Fired("packs.a.b.listed", "packs/a/b.rego", 9, "", {"pattern": "*"})
DENY = Fired("packs.a.b.deny", "packs/a/b.rego", 3, "Mine", {"label": "x\ny"}, (HELPER,))


def test_what_fired_and_what_did_not() -> None:
    """Rule, place, title, values; a line break in a value breaks no line."""
    missed = (
        Missed("packs.a.b.hold", "packs/a/b.rego", 20, "Held", 22, "input.x"),
        Missed("packs.a.c.hold", "packs/a/c.rego", 5, "Other", 0, ""),
    )

    assert [
        "fired:",
        "  packs.a.b.deny  packs/a/b.rego:3  Mine",
        '    label = "x\\ny"',
        "      packs.a.b.listed  packs/a/b.rego:9",
        '        pattern = "*"',
        "",
        "did not fire:",
        "  packs.a.b.hold  packs/a/b.rego:20  Held",
        "    not met, line 22: input.x",
        "  packs.a.c.hold  packs/a/c.rego:5  Other",
        "    does not apply",
    ] == list(lines(Explanation((DENY,), missed)))


def test_nothing_fired() -> None:
    """It is said, not left to be guessed."""
    assert ["fired:", "  none", "did not fire:"] == list(lines(Explanation((), ())))


def test_long_values_are_cut() -> None:
    """A value of a thousand characters is told by its beginning."""
    long = Fired("r", "f", 1, "", {"v": "x" * 1000})
    (line,) = [text for text in lines(Explanation((long,), ())) if "v = " in text]

    assert line.endswith("…")
    assert len(line) < VALUE_CHARS_MAX + 20

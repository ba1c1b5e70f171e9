"""Names, heads and METADATA are found where they are written as code, and nowhere else."""

from __future__ import annotations

import pytest

from sekisho.adapters.rego_places import Places
from support.rules import SHIPPED

SOURCE = """# METADATA
# title: A package
# scope: package
package packs.team.x

import data.lib.y

# deny is told of in a comment
# METADATA
# title: First
# description: |
#   Two lines
#   of it.

deny contains {"code": "deny"} if {
\tinput.deny
}

\t  default deny_too := `deny
deny`

f(deny) := $"a {y.deny({"deny": 1}["deny"])} deny {count([1])}" if true

else := 3

deny contains $`{count([2])}` if y.f
"""


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("package", (4, 1)),
        ("data.lib.y", (6, 8)),
        ("deny", (15, 1)),
        ("input.deny", (16, 2)),
        ("deny_too", (19, 12)),
        ("y.deny", (22, 17)),
        ("count", (22, 52)),
        ("lib", None),
        ("title", None),
        ("a", None),
    ],
)
def test_names(name: str, place: tuple[int, int] | None) -> None:
    """Not in comments, texts or the tail of another name; but in the code of templates."""
    assert place == Places(SOURCE).name(name)


def test_names_from_a_line_on() -> None:
    """An error knows its line."""
    assert (26, 18) == Places(SOURCE).name("count", after=23)
    assert (6, 8) == Places(SOURCE).name("data.lib")
    assert Places(SOURCE).name("data.lib", whole=True) is None
    assert Places(SOURCE).name("input.deny", after=17) is None


def test_heads() -> None:
    """Rules in the order of the tree; a body or an argument of the same name is none."""
    names = ["deny", "deny_too", "f", "deny"]

    assert [(15, 1), (19, 12), (22, 1), (26, 1)] == Places(SOURCE).heads(names)


def test_heads_on_one_line() -> None:
    """What no formatter would write still gets a place."""
    assert [(2, 1), (2, 9)] == Places("package a\nx := 1; y := 2\n").heads(["x", "y"])
    assert [(1, 1)] == Places("package a\n").heads(["gone"])


def test_metadata() -> None:
    """A block belongs to what comes next, also after a blank line."""
    places = Places(SOURCE)
    package, first = places.above(4), places.above(15)

    assert package is not None
    assert first is not None
    assert ("A package", "package", "") == tuple(map(package.said, ("title", "scope", "x")))
    assert ("First", "Two lines of it.") == (first.said("title"), first.said("description"))
    assert (9, 1) == first.place
    assert places.above(26) is None
    assert places.above(19) is None


@pytest.mark.parametrize("text", ["# title: [", "# - a", "# just words", ""])
def test_metadata_that_cannot_be_read(text: str) -> None:
    """A block whose YAML is none, or no mapping, says nothing."""
    block = Places(f"# METADATA\n{text}\npackage a\n").above(3)

    assert block is not None
    assert block.members is None
    assert "" == block.said("title")


@pytest.mark.parametrize(
    "source", ["", "{{{", '"', "`a", '$"{', '$"{"', "x := 1 # METADATA", "}])", '$"{' * 5000]
)
def test_anything_is_cut(source: str) -> None:
    """What is broken ends somewhere; nothing raises and nothing hangs."""
    assert Places(source).name("nothing") is None


def test_columns_count_characters() -> None:
    """Not bytes: an editor shows the same."""
    assert (1, 13) == Places('x := "極秘" + y').name("y")


def test_every_shipped_rule_has_a_head() -> None:
    """The formatter's style is understood throughout."""
    for path in SHIPPED.rglob("*.rego"):
        places = Places(path.read_text("utf-8"))
        heads = [t for t in places.tokens if t.first and t.column == 1 and t.text.isidentifier()]
        assert heads, path
        assert all(token.depth == 0 for token in heads), path

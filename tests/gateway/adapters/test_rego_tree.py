"""The walk reaches everything, however deep; a reference is known up to its first variable."""

from __future__ import annotations

from typing import Any

from sekisho.adapters.rego_tree import names, nodes


def test_every_object_is_met_once_however_deep_it_stands() -> None:
    tree: Any = {"leaf": 0}
    for depth in range(1, 5_000):
        tree = {"depth": depth, "below": [[tree], "text", None]}
    met = [node.get("depth", 0) for node in nodes(tree)]
    assert sorted(met) == list(range(5_000))
    assert list(nodes("text")) == []


def test_names_end_where_a_step_is_not_constant() -> None:
    steps = [
        {"type": "string", "value": "request"},
        {"type": "string", "value": "tools"},
        {"type": "var", "value": "i"},
        {"type": "string", "value": "name"},
    ]
    assert ("request", "tools") == names(steps)
    assert () == names(steps[2:])

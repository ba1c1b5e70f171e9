"""Walking a syntax tree of Rego, as OPA's own parser gives it: what readers of rules share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in the tree, without recursion: the depth of a rule is its author's choice."""
    stack = [tree]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            yield here
            stack.extend(here.values())


def names(steps: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The steps of a reference as far as they are constant names."""
    found: list[str] = []
    for step in steps:
        if step.get("type") != "string":
            break
        found.append(str(step["value"]))
    return tuple(found)

"""Decisions are pure, so one that was made is not made again.

A decision depends on the revision and on the part of the input that its rules can read. That part
is known from their syntax trees: `reads` collects every path below `input`. A reference whose rest
is dynamic counts as reading everything below the point where it becomes so; rules that touch
`input` as a whole cannot be bounded, and nothing is kept for them. What is kept is keyed by the
values at those paths, bounded in number, and never outlives its revision.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import orjson

from sekisho.adapters.rego_tree import names
from sekisho.model.decision import Decision

_NOT_KEPT = frozenset({"policy_undefined", "policy_malformed"})

Path = tuple[str, ...]
Paths = tuple[Path, ...] | None
"""What is read below `input`; None for all of it."""


def all_reads(modules: Iterable[Paths]) -> Paths:
    """The paths below `input` that some of these modules can read; None if that is all of it."""
    found: set[Path] = set()
    for paths in modules:
        if paths is None:
            return None
        found.update(paths)
    return _widest(found)


def reads(tree: Mapping[str, Any]) -> Paths:
    """The paths below `input` that one module, as its syntax tree, can read."""
    paths = _paths(tree)
    return None if paths is None else _widest(paths)


def _widest(found: set[Path]) -> tuple[Path, ...]:
    return tuple(sorted(path for path in found if not _covered(path, found)))


def _covered(path: Path, others: set[Path]) -> bool:
    return any(path[:length] in others for length in range(1, len(path)))


def _paths(tree: Mapping[str, Any]) -> set[Path] | None:
    """Walks without recursion: the depth of a rule is its author's choice."""
    found: set[Path] = set()
    stack: list[Any] = [tree]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            steps = here.get("value")
            if here.get("type") == "ref" and isinstance(steps, list) and _is_input(steps[0]):
                path = names(steps[1:])
                if not path:
                    return None
                found.add(path)
                stack.extend(steps[1:])
            elif _is_input(here):
                return None
            else:
                stack.extend(here.values())
    return found


def _is_input(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") == "var" and node.get("value") == "input"


class _Bundle(Protocol):
    @property
    def revision(self) -> str: ...
    @property
    def reads(self) -> tuple[Path, ...] | None: ...


class _Engine(Protocol):
    @property
    def bundle(self) -> _Bundle: ...
    async def decide(self, document: Mapping[str, Any]) -> Decision: ...


class MemoizedEngine:
    """A PolicyEngine that asks `engine` only what it has not answered before. `told` hears of each
    decision whether it was kept.
    """

    def __init__(
        self, engine: _Engine, kept_max: int, told: Callable[[bool], None] = lambda _kept: None
    ) -> None:
        self._engine = engine
        self._kept_max = kept_max
        self._told = told
        self._kept: OrderedDict[bytes, Decision] = OrderedDict()
        self._revision = ""

    @property
    def revision(self) -> str:
        """The digest of the active bundle."""
        return self._engine.bundle.revision

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        """See `PolicyEngine.decide`; `memo` tells which of the two it was."""
        bundle = self._engine.bundle
        if bundle.reads is None or not self._kept_max:
            return await self._engine.decide(document)
        if bundle.revision != self._revision:
            self._kept.clear()
            self._revision = bundle.revision
        key = _key(document, bundle.reads)
        known = self._kept.get(key)
        self._told(known is not None)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        decision = await self._engine.decide(document)
        if decision.revision == self._revision and not _fault(decision):
            self._kept[key] = replace(decision, memo=True, took_us=0)
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        return decision


def _key(document: Mapping[str, Any], paths: tuple[Path, ...]) -> bytes:
    """The values at `paths`, told apart from absent ones."""
    found: list[tuple[Any, ...]] = []
    for path in paths:
        here: Any = document
        try:
            for name in path:
                here = here[name]
        except (KeyError, TypeError):  # not there, or below something that has no members
            found.append(())
        else:
            found.append((here,))
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS)


def _fault(decision: Decision) -> bool:
    return any(reason.code in _NOT_KEPT for reason in decision.reasons)

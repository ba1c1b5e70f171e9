"""Which rules fired, and why: the engine's trace of one decision, made readable.

The engine tells every step, more than a thousand for one decision. An administrator asks which of
the rules that the fold reads said something, by which values, with which rules below them; and of
the others, at which line each gave up. Rules are told by their name, file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sekisho.adapters.policy_lint import Rule

TOLD_MAX = 50  # of one kind in one place: a loop of thousands explains nothing more
_INPUT = re.compile(r"(?<![\w.])input((?:\.[A-Za-z_]\w*|\[\"[^\"]*\"\])+)")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[\"([^\"]*)\"\]")
_PLACE = re.compile(r"^(?P<file>.+):(?P<line>\d+)$")
_FOLD_SAYS = frozenset({("sekisho", "of_the_fold"), ("sekisho", "malformed")})


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that gave a value. `values` has its variables and what it read of the input; `by` are
    the rules that it rests on, as far as the engine did not know their values already.
    """

    rule: str
    file: str
    line: int
    title: str
    values: dict[str, Any]
    by: tuple[Fired, ...] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """A rule that gave nothing. `at` is the line of the condition that was not met and `condition`
    its text; 0 and empty where the engine saw without asking that the rule could not apply.
    """

    rule: str
    file: str
    line: int
    title: str
    at: int
    condition: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the rules that the fold reads did."""

    fired: tuple[Fired, ...]
    missed: tuple[Missed, ...]


@dataclass(slots=True)
class _Query:
    """One evaluation of a body; `line` is the furthest line on which it failed."""

    parent: int
    rule: Rule | None = None
    line: int = 0
    exits: list[Mapping[str, Any]] = field(default_factory=list)


def explain(
    trace: Sequence[Mapping[str, Any]], rules: Sequence[Rule], document: Mapping[str, Any]
) -> Explanation:
    """`trace` is the engine's of a decision about `document`; `rules` are those of its bundle."""
    queries = _queries(trace, _ByPlace(rules))
    below: dict[int, list[int]] = {}
    for number, query in queries.items():
        below.setdefault(query.parent, []).append(number)
    told = [
        _fired(number, queries, below, document)
        for number, query in queries.items()
        if query.rule and query.exits and _is_root(query.rule)
    ]
    fired = [one for many in told for one in many]
    said = {(one.file, one.line) for one in fired}
    missed = [
        _missed(rule, queries.values())
        for rule in rules
        if rule.read_by_gateway and rule.name[0] == "packs"
        if (rule.module.path, rule.place[0]) not in said
    ]
    return Explanation(tuple(_once(fired)), tuple(missed))


def _is_root(rule: Rule) -> bool:
    return rule.name in _FOLD_SAYS or (rule.read_by_gateway and rule.name[0] == "packs")


class _ByPlace:
    """Finds the rule that a step of the trace belongs to."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.module.path, []).append(rule)

    def rule(self, event: Mapping[str, Any]) -> Rule | None:
        """The last one that begins at or above the step, if the step is about it as a whole."""
        file, line = _place(event)
        known = [rule for rule in self._rules.get(file, ()) if rule.place[0] <= line]
        if not known:
            return None
        last = max(known, key=lambda rule: rule.place)
        name = re.escape(last.name[-1])
        return last if re.match(rf"(default )?{name}(?![\w])", str(event.get("node"))) else None


def _queries(trace: Sequence[Mapping[str, Any]], places: _ByPlace) -> dict[int, _Query]:
    queries: dict[int, _Query] = {}
    for event in trace:
        number = int(event["query_id"])
        if event["op"] == "Enter":
            queries[number] = _Query(int(event["parent_id"]), places.rule(event))
        query = queries.get(number)
        if query is None:
            continue
        if event["op"] == "Exit" and len(query.exits) < TOLD_MAX:
            query.exits.append(event)
        elif event["op"] == "Fail":
            query.line = max(query.line, _place(event)[1])
    return queries


def _fired(
    number: int,
    queries: Mapping[int, _Query],
    below: Mapping[int, Sequence[int]],
    document: Mapping[str, Any],
) -> list[Fired]:
    """One for each time the rule gave a value; several share what lies below them."""
    query = queries[number]
    rule = query.rule
    if rule is None:
        return []
    by = tuple(_once(_helpers(number, queries, below, document)))
    return [
        Fired(
            rule=".".join(rule.name),
            file=rule.module.path,
            line=rule.place[0],
            title=rule.metadata.said("title") if rule.metadata else "",
            values=_values(event, document),
            by=by,
        )
        for event in query.exits
    ]


def _helpers(
    number: int,
    queries: Mapping[int, _Query],
    below: Mapping[int, Sequence[int]],
    document: Mapping[str, Any],
) -> Iterator[Fired]:
    """Rules that fired below a query; bodies of comprehensions and the like are passed through."""
    for child in below.get(number, ()):
        if child == number:  # the query of the decision itself is its own parent
            continue
        if queries[child].rule is None:
            yield from _helpers(child, queries, below, document)
        else:
            yield from _fired(child, queries, below, document)


def _missed(rule: Rule, queries: Iterable[_Query]) -> Missed:
    at = max((query.line for query in queries if query.rule is rule), default=0)
    return Missed(
        rule=".".join(rule.name),
        file=rule.module.path,
        line=rule.place[0],
        title=rule.metadata.said("title") if rule.metadata else "",
        at=at,
        condition=rule.module.source.split("\n")[at - 1].strip() if at else "",
    )


def _values(event: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for match in _INPUT.finditer(str(event.get("node"))):
        path = [first or second for first, second in _STEP.findall(match.group(1))]
        found, value = _at(document, path)
        if found:
            values[f"input.{'.'.join(path)}"] = value
    return {**values, **event.get("locals", {})}


def _at(document: Any, path: Sequence[str]) -> tuple[bool, Any]:
    for name in path:
        if not isinstance(document, Mapping) or name not in document:
            return False, None
        document = document[name]
    return True, document


def _place(event: Mapping[str, Any]) -> tuple[str, int]:
    place = _PLACE.match(str(event.get("location", "")))
    return (place["file"], int(place["line"])) if place else ("", 0)


def _once(fired: Iterable[Fired]) -> Iterator[Fired]:
    """Without repetitions, up to a limit; values may not be hashable."""
    met: list[Fired] = []
    for one in fired:
        if len(met) == TOLD_MAX:
            return
        if one not in met:
            met.append(one)
            yield one

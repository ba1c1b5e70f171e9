"""What rules read that is never there: a slip in a name below `input` or `data`.

A rule that compares `input.request.modle` is silent for ever, and nobody notices before it is
needed. The contract knows every member of the input, data.yaml every key at its top, and the
bundle every package; whatever else a rule names is a fault of a check. Below what has members of
its own making (entities, arguments, names of groups) nothing can be said, and nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sekisho.adapters.input_wire import InputWire
from sekisho.adapters.policy_data import PolicyData
from sekisho.adapters.policy_names import meant
from sekisho.adapters.rego_tree import names, nodes

_OF_BUNDLES = frozenset({"packs", "lib", "sekisho"})


def unknown_reads(tree: Mapping[str, Any], functions: frozenset[str]) -> Iterator[tuple[str, str]]:
    """References as written and what is wrong with them; `functions` are names that are no data."""
    known = _members()
    top = frozenset(PolicyData.model_fields) | _OF_BUNDLES
    seen: set[str] = set()
    for node in nodes(tree.get("rules", [])):
        steps = node.get("value")
        if node.get("type") != "ref" or not isinstance(steps, list):
            continue
        head, rest = str(steps[0].get("value")), names(steps[1:])
        dotted = ".".join((head, *rest))
        if dotted in seen or head in functions:
            continue
        seen.add(dotted)
        if head == "input":
            yield from _unknown_input(rest, known)
        elif head == "data" and rest and rest[0] not in top:
            yield f"data.{rest[0]}", f"data.{rest[0]} is never there{meant(rest[0], top)}"


def _unknown_input(path: tuple[str, ...], known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    here: Any = known
    for number, step in enumerate(path):
        if not isinstance(here, Mapping):
            return
        if step not in here:
            text = ".".join(("input", *path[: number + 1]))
            yield text, f"{text} is never there{meant(step, list(here))}"
            return
        here = here[step]


def _members() -> dict[str, Any]:
    """The members of the input, as nested mappings; None where anything may follow."""
    whole = InputWire.model_json_schema(by_alias=True)
    return _below(whole, whole.get("$defs", {}))


def _below(schema: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in schema.get("properties", {}).items():
        forms = [one, *one.get("anyOf", []), *one.get("allOf", [])]
        model = next((form["$ref"] for form in forms if "$ref" in form), None)
        found[name] = None if model is None else _below(models[model.rsplit("/", 1)[-1]], models)
    return found

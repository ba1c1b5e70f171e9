"""What is wrong in data.yaml, for whoever wrote the line: which one, what it must be, what was
probably meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from sekisho.config.faults import in_words
from sekisho.model.limits import DIMENSIONS

Place = tuple[int | str, ...]

_FORMS = {
    "for": f"must be {', '.join(DIMENSIONS[:-1])} or {DIMENSIONS[-1]}, a colon, and a name or "
    'pattern, as "group:sales" or "model:gpt-4*"',
    "currency": "must be three capitals, as USD",
    "log_level": "must be metadata, redacted or full",
}
_MONEY = "must be an amount of at most six decimals, as 50 or 2.50"
_KEY = "[key]"  # what pydantic puts behind a name that is wrong itself
_NOUNS = {"limits": "limit"}


def faults(
    model: type[BaseModel], document: Any, details: Sequence[Mapping[str, Any]]
) -> list[tuple[Place, str]]:
    """Place and text of each fault, each once: a value of several types fails once for each."""
    found: dict[tuple[Place, str], None] = {}
    alternatives = _alternatives(document, details)
    for detail in details:
        place = _standing(document, detail)
        if place in alternatives and place != detail["loc"] and detail["loc"][-1] != _KEY:
            said = _MONEY
        else:
            said = _said(model, detail, place)
        found[place, f"{'.'.join(map(str, place))}: {said}" if place else said] = None
    return list(found)


def _alternatives(document: Any, details: Sequence[Mapping[str, Any]]) -> set[Place]:
    """The places that pydantic names several times with the types it tried behind."""
    tried = [_standing(document, detail) for detail in details]
    return {place for place in tried if tried.count(place) > 1}


def _standing(document: Any, detail: Mapping[str, Any]) -> Place:
    """Where it stands in the document: pydantic adds the names of types that it tried."""
    place: Place = detail["loc"]
    if place and place[-1] == _KEY:
        return place[:-1]
    node = document
    for depth, step in enumerate(place):
        inside = isinstance(node, dict) or (isinstance(node, list) and isinstance(step, int))
        if not inside:
            return place[:depth]
        if isinstance(node, dict) and step not in node:
            return place  # what is missing has no value to look into
        node = node[step]
    return place


def _said(model: type[BaseModel], detail: Mapping[str, Any], place: Place) -> str:
    name = str(place[-1]) if place else ""
    if detail["type"] == "extra_forbidden":
        return _unknown(model, place, name)
    if detail["type"] == "string_pattern_mismatch" and name in _FORMS:
        return _FORMS[name]
    return in_words(detail)


def _unknown(model: type[BaseModel], place: Place, name: str) -> str:
    noun = _NOUNS.get(str(place[0]), "setting") if len(place) > 1 else "setting"
    known = _names(model.model_json_schema(), place[:-1])
    close = get_close_matches(name, known, n=1)
    if close:
        return f"no such {noun}; did you mean {close[0]}?"
    return f"no such {noun}; there are {', '.join(known)}"


def _names(schema: Mapping[str, Any], place: Place) -> list[str]:
    """The names that may stand at `place`, by the schema."""
    node = _resolved(schema, schema)
    for step in place:
        inner = node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step)
        node = _resolved(schema, inner or node.get("additionalProperties") or {})
    return list(node.get("properties", {}))


def _resolved(schema: Mapping[str, Any], node: Any) -> Mapping[str, Any]:
    """`node` without references, and of several alternatives the one that has names."""
    if not isinstance(node, Mapping):
        return {}
    for one in node.get("anyOf", ()):
        if "$ref" in one:
            node = one
    if "$ref" in node:
        node = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[1]]
    return dict(node)

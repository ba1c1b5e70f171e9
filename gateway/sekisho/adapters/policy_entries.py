"""What a rule says that the fold can never take: a slip that would refuse whoever it fires for.

The fold turns an entry that it cannot read into a deny (`malformed_rule`), which is safe and comes
late: when the rule first fires. Where an entry is written out in the head of its rule the check
sees it before. Of what is computed nothing can be said, and nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sekisho.adapters.decision_wire import ObligationsWire
from sekisho.adapters.policy_names import meant

_OBLIGATION = "obligation"
_OF_THE_FOLD = frozenset({"hold", "hold_later"})
_KNOWN = frozenset(ObligationsWire.model_fields) - _OF_THE_FOLD
_SAID = ("code", "msg")
_WRITTEN_OUT = frozenset({"string", "number", "boolean", "null", "array", "set"})
_ENDS = ": it would refuse whoever it fires for (malformed_rule)"


def unfit_entries(kind: str, rule: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the entry that the head of a rule of this `kind` writes out."""
    entry = rule["head"].get("key")
    if not isinstance(entry, Mapping):
        return
    if entry.get("type") in _WRITTEN_OUT:
        yield f"an entry of {kind} is an object, not: {entry['type']}{_ENDS}"
    if entry.get("type") != "object":
        return
    keys = [key.get("value") for key, _ in entry["value"] if key.get("type") == "string"]
    if len(keys) != len(entry["value"]):
        return
    if kind == _OBLIGATION:
        for key in keys:
            if key not in _KNOWN:
                yield f"there is no obligation {key}{_ENDS}{meant(str(key), _KNOWN)}"
    elif missing := [name for name in _SAID if name not in keys]:
        yield f"an entry of {kind} has no {' and no '.join(missing)}{_ENDS}"

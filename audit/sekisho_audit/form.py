"""The form of a leaf: which members it has and what they look like. Read by the verifier only; the
writer makes leaves of events that were checked by the same table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sekisho_audit.events import PERSONS, BadEvent, check_data, check_payload_names

_ENVELOPE = frozenset(
    ["v", "id", "log", "n", "boot", "ts", "type", "exchange", "principal", "actor", "data", "pl"]
)
_LEAF_VERSION = 1
_SEALED = frozenset({"name", "len", "commit", "kref", "ct", "alg"})
_COMMITTED = frozenset({"name", "len", "commit", "kref"})
_HASH = re.compile(r"[0-9a-f]{64}")
_PSEUDONYM = re.compile(r"p-[0-9a-f]{16}")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_leaf(leaf: Any, index: int, origin: str) -> None:
    """Raises BadEvent unless `leaf` is the event with this index of the ledger `origin`."""
    if not isinstance(leaf, dict) or leaf.keys() != _ENVELOPE or leaf["v"] != _LEAF_VERSION:
        raise BadEvent("the event has not the fields of an event")
    if leaf["n"] != index or leaf["log"] != origin:
        raise BadEvent(f"the event says it is number {leaf['n']!r} of {leaf['log']!r}")
    if type(leaf["ts"]) is not int or not _is_text(leaf["boot"]) or not _is_text(leaf["type"]):
        raise BadEvent("time, boot or type is not what it must be")
    if not _matches(_ID, leaf["id"]):
        raise BadEvent("the id is not a UUID")
    known = check_data(leaf["type"], leaf["data"] if isinstance(leaf["data"], dict) else {})
    if (leaf["exchange"] is None and known.exchange) or (
        leaf["exchange"] is not None and not _matches(_ID, leaf["exchange"])
    ):
        raise BadEvent("the exchange is missing or not a UUID")
    if known.actor and leaf["actor"] is None:
        raise BadEvent("the event must name who acted")
    persons = [leaf["principal"], leaf["actor"]]
    persons += [leaf["data"].get(name) for name in PERSONS[leaf["type"]]]
    if any(item is not None and not _matches(_PSEUDONYM, item) for item in persons):
        raise BadEvent("a person is not named by a pseudonym")
    _check_payloads(leaf, known)


def _check_payloads(leaf: Mapping[str, Any], known: Any) -> None:
    entries = leaf["pl"]
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise BadEvent("the list of payloads is malformed")
    for entry in entries:
        if entry.keys() not in (_SEALED, _COMMITTED):
            raise BadEvent("a payload has not the fields of one")
        whole = (
            _is_text(entry["name"])
            and type(entry["len"]) is int
            and entry["len"] >= 0
            and _matches(_HASH, entry["commit"])
            and _is_text(entry["kref"])
        )
        if not whole:
            raise BadEvent("a payload is malformed")
        if not (
            _matches(_HASH, entry.get("ct", entry["commit"])) and _is_text(entry.get("alg", ""))
        ):
            raise BadEvent("what is stored of a payload is malformed")
    check_payload_names(leaf["type"], known, [entry["name"] for entry in entries])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None

"""The form of a leaf: which members it has and what they look like. Read by the verifier only; the
writer makes leaves of events that were checked by the same table.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sekisho_audit.events import PERSONS, BadEvent, check_data, check_payload_names
from sekisho_audit.ids import began_us
from sekisho_audit.kinds import PSEUDONYM, TEXT
from sekisho_audit.retention import SHELF, fits

_ENVELOPE = frozenset(
    ["v", "id", "log", "n", "boot", "ts", "type", "exchange", "principal", "actor", "data", "pl"]
)
_LEAF_VERSION = 1
_SEALED = frozenset({"name", "len", "commit", "kref", "ct", "alg"})
_COMMITTED = frozenset({"name", "len", "commit", "kref"})
_HASH = re.compile(r"[0-9a-f]{64}")
_PSEUDONYM = re.compile(PSEUDONYM)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Version 7: its first 48 bits are milliseconds since 1970.
_DATED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# Whose key it is, and on which shelf it stands.
KEY_NAME = f"{PSEUDONYM}/{SHELF}"
_KEY_NAME = re.compile(KEY_NAME)


def check_leaf(leaf: Any, index: int, origin: str) -> None:
    """Raises BadEvent unless `leaf` is the event with this index of the ledger `origin`."""
    if not isinstance(leaf, dict) or leaf.keys() != _ENVELOPE or not _is(leaf["v"], _LEAF_VERSION):
        raise BadEvent("the event has not the fields of an event")
    if not _is(leaf["n"], index) or leaf["log"] != origin:
        raise BadEvent(f"the event says it is number {leaf['n']!r} of {leaf['log']!r}")
    if type(leaf["ts"]) is not int or not isinstance(leaf["type"], str):
        raise BadEvent("time or type is not what it must be")
    if not _matches(_ID, leaf["id"]) or not _matches(_ID, leaf["boot"]):
        raise BadEvent("the id of the event or of its boot is not a UUID")
    if not isinstance(leaf["data"], dict):
        raise BadEvent("the data of the event are no object")
    known = check_data(leaf["type"], leaf["data"])
    if (leaf["exchange"] is None and known.exchange) or (
        leaf["exchange"] is not None and not _matches(_DATED, leaf["exchange"])
    ):
        raise BadEvent("the exchange is missing or not a UUID of version 7")
    if known.actor and leaf["actor"] is None:
        raise BadEvent("the event must name who acted")
    persons = [leaf["principal"], leaf["actor"]]
    persons += [leaf["data"].get(name) for name in PERSONS[leaf["type"]]]
    if any(item is not None and not _matches(_PSEUDONYM, item) for item in persons):
        raise BadEvent("a person is not named by a pseudonym")
    _check_payloads(leaf)


def _check_payloads(leaf: Mapping[str, Any]) -> None:
    entries = leaf["pl"]
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise BadEvent("the list of payloads is malformed")
    for entry in entries:
        if entry.keys() not in (_SEALED, _COMMITTED):
            raise BadEvent("a payload has not the fields of one")
        whole = (
            isinstance(entry["name"], str)
            and type(entry["len"]) is int
            and entry["len"] >= 0
            and _matches(_HASH, entry["commit"])
            and _matches(_KEY_NAME, entry["kref"])
        )
        if not whole:
            raise BadEvent("a payload is malformed")
        if not (
            _matches(_HASH, entry.get("ct", entry["commit"])) and TEXT.fits(entry.get("alg", ""))
        ):
            raise BadEvent("what is stored of a payload is malformed")
    check_payload_names(leaf["type"], [entry["name"] for entry in entries])


def check_keys(leaf: Mapping[str, Any]) -> None:
    """Raises BadEvent unless the payloads of a well-formed leaf name the key that seals them.

    It is the key of the principal, else of who acted, of the month or day in which the exchange
    began, and of the payload's class; whoever moves a payload to somebody else's key, out of an
    erased month, or to a class that is kept longer, shows here.
    """
    owner, dated = leaf["principal"] or leaf["actor"], leaf["exchange"] or leaf["id"]
    for entry in leaf["pl"]:
        whose, _, shelf = entry["kref"].partition("/")
        month, day = epochs_of(dated)
        if whose != (owner or whose) or (
            shelf != month and not fits(shelf, leaf["type"], entry["name"], month, day)
        ):
            raise BadEvent(
                f"the payload {entry['name']!r} names a key of somebody or somewhen else, or of "
                "another class"
            )


def epochs_of(identifier: str) -> tuple[str, str]:
    """The UTC month and the day in a UUID of version 7, as `2026-11` and `2026-11-03`."""
    return _epochs(began_us(identifier) // 1_000_000)


@lru_cache(maxsize=1_024)  # exchanges near one another began within the same few seconds
def _epochs(seconds: int) -> tuple[str, str]:
    date = time.gmtime(seconds)
    month = f"{date.tm_year:04d}-{date.tm_mon:02d}"
    return month, f"{month}-{date.tm_mday:02d}"


def _is(value: object, number: int) -> bool:
    """Whether it is this number: in Python `True` equals 1."""
    return type(value) is int and value == number


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None

"""The flat row of an event: one line of a table, with the same columns for every type.

Columns keep their names and order; new ones are added at the end. Units are in the names. What has
no column of its own stands in `data_json`, so no row says less than its leaf. Content is sealed and
in no row; people are named by pseudonyms, as in the leaf.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Leaf = Mapping[str, Any]
Cell = str | int | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what it says, whether it holds whole numbers."""

    name: str
    about: str
    value: Callable[[Leaf, str], Cell]
    whole: bool = False


def iso_utc(moment_us: int) -> str:
    """Microseconds since 1970 as `2026-11-28T01:02:03.000004Z`; "" for what no calendar has."""
    try:
        moment = _EPOCH + timedelta(microseconds=moment_us)
    except OverflowError:
        return ""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _text(name: str, about: str, *path: str) -> Column:
    return Column(name, about, lambda leaf, _: _said(leaf, path, str))


def _number(name: str, about: str, *path: str) -> Column:
    return Column(name, about, lambda leaf, _: _said(leaf, path, int), whole=True)


def _said(leaf: Leaf, path: tuple[str, ...], kind: type) -> Any:
    """What stands at a path; None if nothing of this kind does. A document may hold anything."""
    found: Any = leaf
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if type(found) is kind else None


def _rules(leaf: Leaf, _digest: str) -> Cell:
    return _listed(leaf["data"].get("rules"))


def _reasons(leaf: Leaf, _digest: str) -> Cell:
    reasons = leaf["data"].get("reasons")
    return _listed([reason["code"] for reason in reasons]) if reasons else None


def _payloads(leaf: Leaf, _digest: str) -> Cell:
    return _listed([entry["name"] for entry in leaf["pl"]])


def _listed(words: Any) -> str | None:
    if not isinstance(words, list) or not words:
        return None
    return " ".join(str(word) for word in words)


def _data(leaf: Leaf, _digest: str) -> str:
    return json.dumps(leaf["data"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))


COLUMNS: tuple[Column, ...] = (
    Column("index", "Place in the ledger, from 0.", lambda leaf, _: leaf["n"], whole=True),
    Column("leaf_hash", "RFC 6962 hash of the stored bytes, in hex.", lambda _, digest: digest),
    Column("time_utc", "When it was written, ISO 8601, UTC.", lambda leaf, _: iso_utc(leaf["ts"])),
    Column("time_us", "The same, microseconds since 1970.", lambda leaf, _: leaf["ts"], whole=True),
    _text("type", "Type of the event.", "type"),
    _text("exchange", "Id of the exchange.", "exchange"),
    _text("principal", "Pseudonym on whose behalf.", "principal"),
    _text("actor", "Pseudonym of who acted, if another.", "actor"),
    _text("endpoint", "The API that was called.", "data", "endpoint"),
    _text("model", "The model asked for.", "data", "model"),
    _text("backend", "Id of the backend.", "data", "backend"),
    _text("stage", "What was decided, held or reached.", "data", "stage"),
    _text("effect", "What policy answered.", "data", "effect"),
    Column("rules", "Rules that spoke, between blanks.", _rules),
    Column("reasons", "Codes of the reasons, between blanks.", _reasons),
    _text("revision", "Policy revision.", "data", "revision"),
    _text("hold", "Id of the hold.", "data", "hold"),
    _number("hold_version", "Version of the hold.", "data", "version"),
    _text("state", "Outcome of the hold.", "data", "state"),
    _text("review", "What the reviewer answered.", "data", "decision"),
    _text("intent", "Id of the intent that an outcome belongs to.", "data", "intent"),
    _number("attempt", "Which try of the exchange.", "data", "attempt"),
    _text("status", "What became of the intent.", "data", "status"),
    _number("http_status", "What the backend answered with.", "data", "http_status"),
    _text("finish", "Why the model stopped.", "data", "finish"),
    _text("cause", "Why, as a code.", "data", "cause"),
    _text("code", "Error code that the client got.", "data", "code"),
    _number("size_bytes", "Length of what the event is about.", "data", "bytes"),
    _number("prompt_tokens", "As the backend counted.", "data", "usage", "prompt_tokens"),
    _number("completion_tokens", "As the backend counted.", "data", "usage", "completion_tokens"),
    _number("charged_tokens", "Set aside or used of limits.", "data", "charged", "tokens"),
    _number(
        "charged_spend_micros",
        "Set aside or used, millionths of the currency.",
        *("data", "charged", "spend_micros"),
    ),
    Column("payloads", "Names of its sealed contents, between blanks.", _payloads),
    _text("event", "Id of the event.", "id"),
    _text("boot", "Id of the writer's start.", "boot"),
    Column("data_json", "All members of the event's data, as JSON.", _data),
)


def flat(leaf: Leaf, digest: str) -> list[Cell]:
    """The row of a leaf with this hash (hex), in the order of COLUMNS."""
    return [column.value(leaf, digest) for column in COLUMNS]

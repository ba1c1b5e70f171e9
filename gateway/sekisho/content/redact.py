"""Mask what was found: for the record at log level `redacted`, and where policy asks for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from sekisho.content.walk import KEY, Path
from sekisho.model.facts import Found


def mask(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """`text` with each span replaced by its kind, as in `[EMAIL]`; overlapping ones become one."""
    merged: list[tuple[int, int, str]] = []
    for start, end, entity in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, kind = merged[-1]
            merged[-1] = (first, max(last, end), kind)
        else:
            merged.append((start, end, entity))
    pieces: list[str] = []
    done = 0
    for start, end, entity in merged:
        pieces += (text[done:start], f"[{entity.upper()}]")
        done = end
    return "".join((*pieces, text[done:]))


def redact_body(parsed: Any, found: Sequence[Found]) -> bytes:
    """`parsed` as JSON with every hit masked; `parsed` itself is not changed."""
    return orjson.dumps(redacted(parsed, found))


def redacted(parsed: Any, found: Sequence[Found]) -> Any:
    """A copy of `parsed` with every hit masked."""
    copy = [orjson.loads(orjson.dumps(parsed))]  # a body may itself be a string
    spans: dict[Path, list[tuple[int, int, str]]] = defaultdict(list)
    for hit in found:
        spans[0, *hit.path].append((hit.start, hit.end, hit.entity))
    # Values first, then names from the deepest up, so that every path still leads where it did.
    keys = [path for path in spans if path[-1] == KEY]
    for path, marks in spans.items():
        if path[-1] != KEY:
            holder = _follow(copy, path[:-1])
            holder[path[-1]] = mask(_text(holder[path[-1]]), marks)
    for path in sorted(keys, key=len, reverse=True):
        _rename(_follow(copy, path[:-2]), str(path[-2]), spans[path])
    return copy[0]


def _follow(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _text(value: Any) -> str:
    """A string, or the digits of a long number as the scanner read them."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == value // 1 else str(value)


def _rename(members: dict[str, Any], name: str, marks: list[tuple[int, int, str]]) -> None:
    masked = mask(name, marks)
    fresh, number = masked, 1
    while fresh in members:
        number += 1
        fresh = f"{masked}#{number}"
    pairs = [(fresh if key == name else key, value) for key, value in members.items()]
    members.clear()
    members.update(pairs)

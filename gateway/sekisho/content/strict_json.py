"""Read a JSON body so that what is judged is what leaves.

The rules look at a parsed copy while the original bytes are relayed, so a body that two parsers
could read differently is refused: duplicate keys at any depth, invalid UTF-8, lone surrogates,
NaN and Infinity, trailing data, NUL in a string, nesting beyond a limit. If writing the copy gives
the body back, no parser can see anything else in it; only otherwise the slow parser that sees
duplicate keys has to agree.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


class NotStrictJSON(ValueError):
    """The body is not JSON that every parser reads the same way; the text says where and why."""


def parse(body: bytes, depth_max: int) -> Any:
    """Parse `body`, or raise NotStrictJSON. `depth_max` counts nested objects and arrays."""
    if not body:
        message = "the body is empty"
        raise NotStrictJSON(message)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"the body is not valid JSON: {error}"
        raise NotStrictJSON(message) from error
    _bound(parsed, depth_max)
    if orjson.dumps(parsed) != body:
        _refuse_duplicates(body)
    return parsed


def is_plain(body: bytes, depth_max: int) -> bool:
    """Whether every parser reads `body` alike. What we cannot read, another one may."""
    try:
        parse(body, depth_max)
    except NotStrictJSON:
        return False
    return True


def _bound(parsed: Any, depth_max: int) -> None:
    """Walk without recursion: depth is the sender's choice and must not become our stack."""
    stack: list[tuple[Any, int]] = [(parsed, 1)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, str):
            _refuse_nul(value)
            continue
        if isinstance(value, dict):
            for key in value:
                _refuse_nul(key)
            children: Any = value.values()
        elif isinstance(value, list):
            children = value
        else:
            continue
        if depth > depth_max:
            message = f"the body is nested deeper than {depth_max} levels"
            raise NotStrictJSON(message)
        stack.extend((child, depth + 1) for child in children)


def _refuse_nul(text: str) -> None:
    if "\x00" in text:
        message = "a string contains the character NUL (\\u0000)"
        raise NotStrictJSON(message)


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except NotStrictJSON:
        raise
    except (ValueError, RecursionError) as error:
        message = f"the body is not valid JSON: {error}"
        raise NotStrictJSON(message) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                message = f"the key {key[:64]!r} stands twice in one object"
                raise NotStrictJSON(message)
            seen.add(key)
    return result


def _refuse_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise NotStrictJSON(message)

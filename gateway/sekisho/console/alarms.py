"""What a reader would not see in a text: counted, so that a page can warn before it is read.

Escapes of JSON count as the characters they stand for, because programs read them so.
"""

from __future__ import annotations

from typing import Any

import orjson

from sekisho.content.hidden import alarming, mixed_words


def hidden_in(text: str) -> int:
    """Hidden characters in what is said."""
    return alarming(_said(text))


def mixed_in(text: str) -> int:
    """Words with letters of two alphabets that look alike."""
    return len(mixed_words(_said(text)))


def _said(text: str) -> str:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return "\n".join(_strings(document))


def _strings(document: Any) -> list[str]:
    found: list[str] = []
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            found += value
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found

"""From the stored bytes of a payload to the text that people look for in it.

Requests and answers are kept as JSON. What was said in them are the strings of its values; names
of members and the way JSON escapes are not. Everything else is text as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

# No word runs from one string of a document into the next.
_BETWEEN = "\n"


def text_of(content: bytes) -> str:
    """The text in a payload; bytes that are no UTF-8 are breaks between words."""
    if content[:1] in {b"{", b"["}:
        try:
            return _BETWEEN.join(_strings(orjson.loads(content)))
        except orjson.JSONDecodeError:
            pass  # it only looked like JSON
    return content.decode("utf-8", "replace")


def _strings(value: Any) -> Iterator[str]:
    """All strings among the values, in their order; as deep as the parser goes."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            waiting.extend(reversed(item.values()))

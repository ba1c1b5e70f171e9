"""Every string of a parsed body as one text, and the way back from a place in it.

Strings are joined with NUL, which no accepted body contains, so nothing is found across two of
them; one pass over one text is several times faster than one pass a string. The parts of one
message are joined a second time without NUL, as a backend joins them, so that a number cut into
two parts is found. Keys are strings too, and long numbers are read as their digits.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from sekisho.errors import BadRequest

DEPTH_MAX = 128  # receive admits less; this bounds the walk by itself
STRINGS_MAX = 200_000  # a body of 8 MiB in honest use has a few thousand
OPAQUE_SCAN_CHARS_MAX = 256  # of an inline file: its header is text, the rest is encoded
LONG_NUMBER = 10**12  # from 13 digits on a number may be a card
KEY = -1
"""Last step of a path that leads to a member's name instead of its value."""

_SEPARATOR = "\0"
_ATTACHED = frozenset({"url", "image_url", "data", "file_data"})
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]*={0,2}\s*\Z")

Path = tuple[str | int, ...]


class Strings:
    """The strings of one body. `text` is all of them; `opaque_chars` counts what was left out."""

    def __init__(self, parsed: Any) -> None:
        self._nodes: list[tuple[int, str | int]] = []
        self._pieces: list[str] = []
        self._starts: list[int] = []
        self._owners: list[int] = []
        self._length = 0
        self.opaque_chars = 0
        self._walk(parsed)
        self.text = "".join(self._pieces)

    def places(self, start: int, end: int) -> Iterator[tuple[Path, int, int]]:
        """The strings that `start:end` of the text lies in, each with the span inside it."""
        number = bisect_right(self._starts, start) - 1
        while number < len(self._starts) and self._starts[number] < end:
            begins = self._starts[number]
            size = len(self._pieces[2 * number])
            inner = max(start - begins, 0), min(end - begins, size)
            if inner[0] < inner[1]:
                yield self._path(self._owners[number]), *inner
            number += 1

    def _path(self, node: int) -> Path:
        steps: list[str | int] = []
        while node >= 0:
            node, step = self._nodes[node]
            steps.append(step)
        return tuple(reversed(steps))

    def _node(self, parent: int, step: str | int) -> int:
        self._nodes.append((parent, step))
        return len(self._nodes) - 1

    def _add(self, text: str, owner: int, separator: str = _SEPARATOR) -> None:
        if len(self._starts) == STRINGS_MAX:
            _refuse(f"has more than {STRINGS_MAX} strings")
        self._starts.append(self._length)
        self._owners.append(owner)
        self._pieces += (text, separator)
        self._length += len(text) + len(separator)

    def _walk(self, parsed: Any) -> None:
        stack: list[tuple[Any, int, int]] = [(parsed, -1, 0)]
        while stack:
            value, node, depth = stack.pop()
            if depth > DEPTH_MAX:
                _refuse(f"is nested deeper than {DEPTH_MAX} levels")
            if isinstance(value, dict):
                for key, child in value.items():
                    here = self._node(node, key)
                    self._add(key, self._node(here, KEY))
                    if isinstance(child, dict | list):
                        stack.append((child, here, depth + 1))
                    else:
                        self._leaf(child, here, key)
            elif isinstance(value, list):
                self._glue(value, node)
                for place, child in enumerate(value):
                    here = self._node(node, place)
                    if isinstance(child, dict | list):
                        stack.append((child, here, depth + 1))
                    else:
                        self._leaf(child, here, "")
            else:
                self._leaf(value, node, "")

    def _leaf(self, value: Any, node: int, key: str) -> None:
        if isinstance(value, str):
            self._add(self._readable(value, key), node)
        elif isinstance(value, int | float) and abs(value) >= LONG_NUMBER:
            self._add(str(int(value)) if value == value // 1 else str(value), node)

    def _readable(self, text: str, key: str) -> str:
        """All of `text`, or only the head of an inline file that nobody could read as text."""
        if key not in _ATTACHED:
            return text
        head, comma, body = text.partition(",")
        inline = head[:5].lower() == "data:"
        if not inline and key not in {"data", "file_data"}:
            return text
        if not inline or not comma:
            body = text
        self.opaque_chars += len(body)
        if _BASE64.match(body) is None:
            return text
        return text[:OPAQUE_SCAN_CHARS_MAX]

    def _glue(self, parts: list[Any], node: int) -> None:
        """Add the texts of a message's parts once more, end to end."""
        texts = [
            (place, part["text"])
            for place, part in enumerate(parts)
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        ]
        if len(texts) > 1:
            for place, text in texts:
                self._add(text, self._node(self._node(node, place), "text"), "")
            self._add("", node)


def _refuse(what: str) -> None:
    message = f"The request {what}, so it cannot be looked through. Send less at once."
    raise BadRequest(message, code="content_not_scannable")

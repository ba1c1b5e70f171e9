"""Keeps back a stream of chat completion chunks from its first tool call on; pure.

Text passes as it comes, byte for byte, in whole events. An event is looked into only if it could
name a tool call, so that the common stream costs one search a chunk. A name could be spelled with
an escape, so events with one are looked into as well; one that parsers could read differently, or
that only other parsers than ours can read, is taken for a call.
"""

from __future__ import annotations

from typing import Any

import orjson

from sekisho.content.assemble import events
from sekisho.content.strict_json import is_plain
from sekisho.content.tool_calls import DEPTH_MAX, has_stray, named

_BOUNDARIES = (b"\n\n", b"\r\n\r\n")


class CallWatch:
    """`feed` every chunk, then `end`; `calling` tells whether something is kept back."""

    def __init__(self) -> None:
        self._rest = b""
        self._kept: list[bytes] = []

    @property
    def calling(self) -> bool:
        """Whether a tool call came."""
        return bool(self._kept)

    @property
    def kept(self) -> bytes:
        """What was kept back, from the first event with a tool call on."""
        return b"".join(self._kept)

    @property
    def ambiguous(self) -> bool:
        """Whether two programs could read differently what was kept back."""
        return not all(is_clear(data) for data in events(self.kept))

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream may go on now."""
        if self._kept:
            self._kept.append(chunk)
            return b""
        if not self._rest and chunk.endswith(b"\n\n"):  # whole events, as most chunks are
            return self._passed(chunk)
        pending = self._rest + chunk
        whole = whole_events(pending)
        ready, self._rest = pending[:whole], pending[whole:]
        return self._passed(ready)

    def end(self) -> bytes:
        """The stream is over: an event that was never ended is judged as if it were."""
        rest, self._rest = self._rest, b""
        return self._passed(rest)

    def _passed(self, ready: bytes) -> bytes:
        # Both names have it, or an escape of ASCII; to search for one byte is several times faster.
        if b"_call" not in ready.lower() and (b"\\" not in ready or b"\\u00" not in ready):
            return ready
        if _is_one_line(ready) and not _calls(ready[5:].strip()):
            return ready
        done = 0
        while done < len(ready):
            size = _first_event(ready[done:])
            if any(map(_calls, events(ready[done : done + size]))):
                self._kept.append(ready[done:] + self._rest)
                self._rest = b""
                return ready[:done]
            done += size
        return ready


def _is_one_line(ready: bytes) -> bool:
    """Whether it is one event of one line, as most chunks are."""
    ends = ready.find(b"\n") == len(ready) - 2 and b"\r" not in ready
    return ready.startswith(b"data:") and ends


def whole_events(raw: bytes) -> int:
    """Where the last whole event ends."""
    return max((raw.rfind(mark) + len(mark) for mark in _BOUNDARIES if mark in raw), default=0)


def _first_event(raw: bytes) -> int:
    ends = [raw.find(mark) + len(mark) for mark in _BOUNDARIES if mark in raw]
    return min(ends, default=len(raw))


def _calls(data: bytes) -> bool:
    """Whether some parser could see a tool call in it."""
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return not _says_nothing(data)
    seen, stray = named(chunk, "delta")
    # What is written as often as it is seen hides nothing behind a name that stands twice.
    hidden = b"\\u00" in data or data.lower().count(b"_call") != seen
    if stray or (hidden and not is_plain(data, DEPTH_MAX)):
        return True
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    return isinstance(choices, list) and any(map(_has_call, choices))


def _has_call(choice: Any) -> bool:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    return isinstance(delta, dict) and bool(delta.get("tool_calls") or delta.get("function_call"))


def is_clear(data: bytes) -> bool:
    """Whether every program finds the same tool calls in the data of this event, or none at all."""
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return _says_nothing(data)
    return is_plain(data, DEPTH_MAX) and not has_stray(chunk, "delta")


def _says_nothing(data: bytes) -> bool:
    """Whether an event that we cannot read is none: other programs read NaN, lone surrogates, or
    more levels than we do.
    """
    return data.strip() in (b"", b"[DONE]")

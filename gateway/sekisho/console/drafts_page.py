"""What the page of drafts shows: answers of which whoever asked has not said what became of them.

Pure. It has no content, as the history has none: a time, a model and the id tell answers apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One answer. `at` is when it was asked for, in seconds since the epoch."""

    id: str
    model: str
    endpoint: str
    at: int


@dataclass(frozen=True, slots=True)
class DraftsPage:
    """The values of `drafts.html`; `said`: the reader has just said something."""

    waiting: tuple[DraftLine, ...]
    said: bool


def drafts_page(waiting: Sequence[Mapping[str, Any]], *, said: bool) -> DraftsPage:
    """The page of exchanges as the history tells them, the newest first."""
    return DraftsPage(tuple(map(_line, waiting)), said)


def _line(exchange: Mapping[str, Any]) -> DraftLine:
    received = exchange["received"] or {}
    return DraftLine(
        id=str(exchange["id"]),
        model=str(received.get("model") or ""),
        endpoint=str(received.get("endpoint") or ""),
        at=int(exchange["begun_us"]) // _MICROS,
    )

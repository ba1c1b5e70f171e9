"""cap_tokens: no answer longer than policy allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = ("max_completion_tokens", "max_tokens")


def apply(body: Mapping[str, Any], cap: int) -> dict[str, Any] | None:
    """`body` with every limit lowered to `cap`, or one set where there is none; None if it fits.

    Both names are looked at, because a backend may read either. Where a body has none, the older
    `max_tokens` is set, which every backend reads.
    """
    limits = {name: body[name] for name in _NAMES if body.get(name) is not None}
    if not limits:
        return {**body, "max_tokens": cap}
    if all(isinstance(value, int) and value <= cap for value in limits.values()):
        return None
    return {**body, **{name: _lower(value, cap) for name, value in limits.items()}}


def _lower(value: Any, cap: int) -> int:
    return min(value, cap) if isinstance(value, int) else cap

"""redact: what was found of some kinds is masked in the request before it leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sekisho.content.redact import redacted
from sekisho.model.facts import Found


def apply(
    body: Mapping[str, Any], kinds: Collection[str], found: Sequence[Found]
) -> dict[str, Any] | None:
    """`body` with every hit of these `kinds` masked as in `[EMAIL]`; None if there is none.

    `found` is what the scan of exactly this body gave. `body` itself is not changed.
    """
    hits = [hit for hit in found if hit.entity in kinds]
    if not hits:
        return None
    masked: dict[str, Any] = redacted(body, hits)
    return masked

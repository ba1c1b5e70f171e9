"""The obligations this gateway carries out, by name. One that is not here is a deny.

`CARRIED` is the whole promise: docs/reference/policy.md is made from it, and `unsupported` reads
it, so that nothing can be asked for in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sekisho.model.decision import Obligations
from sekisho.obligations import allow_tools, cap_tokens

Point = Literal["request", "tool call", "stream", "response"]


@dataclass(frozen=True, slots=True)
class Carried:
    """How one obligation is carried out: by which module, at which points of an exchange."""

    by: str
    points: tuple[Point, ...]
    does: str


CARRIED: Mapping[str, Carried] = {
    "max_tokens": Carried(
        "obligations.cap_tokens", ("request",), "Lowers the limits in the body, or sets one."
    ),
    "allow_tools": Carried(
        "obligations.allow_tools",
        ("request",),
        "Takes other functions out of the body; one that the client insists on is refused "
        "(`tool_not_allowed`).",
    ),
    "hold": Carried(
        "stages.clear",
        ("request",),
        "Files the request for people; it leaves when they approve. Only of stage `request`.",
    ),
    "log_level": Carried(
        "pipeline, stages.release",
        ("request", "stream", "response"),
        "`metadata` keeps nothing of the content, `redacted` masks what the scanner found.",
    ),
    "retain_days": Carried(
        "stages.decide", ("request",), "Is recorded with the decision; nothing acts on it yet."
    ),
}


def unsupported(obligations: Obligations) -> tuple[str, ...]:
    """The names of what policy asks and this gateway cannot do."""
    missing = [
        member.name
        for member in fields(obligations)
        if member.name not in CARRIED and getattr(obligations, member.name) != member.default
    ]
    if obligations.hold is not None and obligations.hold.stage != "request":
        missing.append("hold.stage")
    return tuple(missing)


def apply_request(
    parsed: Mapping[str, Any], obligations: Obligations
) -> tuple[dict[str, Any] | None, list[str]]:
    """The body that the request obligations make, and the names of those that changed it.

    None where nothing changed, so that the client's own bytes are relayed. `parsed` is left as it
    is. Raises DeniedByPolicy for an obligation that cannot be carried out on this body.
    """
    body: Mapping[str, Any] = parsed
    changed: dict[str, Any] | None = None
    names: list[str] = []
    if obligations.allow_tools is not None:
        fresh = allow_tools.apply(body, obligations.allow_tools)
        if fresh is not None:
            body = changed = fresh
            names.append("allow_tools")
    if obligations.max_tokens is not None:
        fresh = cap_tokens.apply(body, obligations.max_tokens)
        if fresh is not None:
            changed = fresh
            names.append("max_tokens")
    return changed, names

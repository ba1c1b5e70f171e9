"""The obligations this gateway carries out, by name. One that is not here is a deny.

max_tokens   obligations.cap_tokens, on the request
allow_tools  obligations.allow_tools, on the request
redact       obligations.redact, on the request
route        obligations.pin_route, before the bytes are made
hold         stages.clear, at stage request
log_level    pipeline, on what the ledger keeps
label_output obligations.label_output, on the answer, streamed or whole (stages.release)
retain_days  recorded; the ledger's keeper acts on it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sekisho.content.entities import KINDS
from sekisho.model.decision import Obligations
from sekisho.model.facts import Found
from sekisho.obligations import allow_tools, cap_tokens, pin_route, redact


def unsupported(obligations: Obligations) -> tuple[str, ...]:
    """The names of what policy asks and this gateway cannot do."""
    asked = {
        # A kind that no scan finds is a slip of the pen, and would let everything through.
        "redact": not KINDS.issuperset(obligations.redact),
        "route": not pin_route.is_route(obligations.route or ""),
        "justify": obligations.justify,
        "review_response": obligations.review_response,
        "notify": bool(obligations.notify),
        "hold.stage": obligations.hold is not None and obligations.hold.stage != "request",
    }
    return tuple(name for name, wanted in asked.items() if wanted)


def apply_request(
    parsed: Mapping[str, Any], obligations: Obligations, found: Sequence[Found] = ()
) -> tuple[dict[str, Any] | None, list[str]]:
    """The body that the request obligations make, and the names of those that changed it.

    `found` is what a scan of `parsed` gave. None where nothing changed, so that the client's own
    bytes are relayed. `parsed` is left as it is. Raises DeniedByPolicy for an obligation that
    cannot be carried out on this body.
    """
    body: Mapping[str, Any] = parsed
    changed: dict[str, Any] | None = None
    names: list[str] = []
    if obligations.redact:
        fresh = redact.apply(body, obligations.redact, found)
        if fresh is not None:
            body = changed = fresh
            names.append("redact")
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

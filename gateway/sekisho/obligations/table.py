"""The obligations this gateway carries out, by name. One that is not here is a deny.

`CARRIED` is the whole promise: docs/reference/policy.md is made from it, and `unsupported` reads
it, so that nothing can be asked for in vain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from sekisho.content.entities import KINDS
from sekisho.model.decision import Obligations
from sekisho.model.facts import Found
from sekisho.obligations import (
    allow_tools,
    cap_tokens,
    hold,
    notify,
    pin_route,
    redact,
    retain_days,
)

Point = Literal["request", "tool call", "stream", "response"]


@dataclass(frozen=True, slots=True)
class Carried:
    """How one obligation is carried out: by which module, at which points of an exchange."""

    by: str
    points: tuple[Point, ...]
    does: str


_CALL = "tool_call"

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
    "redact": Carried(
        "obligations.redact",
        ("request", "response"),
        "Masks what the scanner found of these kinds, as in `[EMAIL]`, before anybody sees the "
        "body: reviewers and the backend, or whoever gets an answer that is read whole. A tool "
        "call is never masked: asked for there it is refused.",
    ),
    "route": Carried(
        "obligations.pin_route",
        ("request",),
        "Sends it to this backend, or with `trust:onprem` or `trust:region` to the first that is "
        "trusted so far and offers the model; without one it is refused (`no_route`).",
    ),
    "label_output": Carried(
        "obligations.label_output",
        ("stream", "response"),
        "Puts a label before the text of each answer and into the header `x-sekisho-label`; "
        "answers in a format for programs have it in the header only.",
    ),
    "hold": Carried(
        "obligations.hold, stages.clear, stages.guard",
        ("request", "tool call", "response"),
        "Files for people what is decided about, the request or the answer with its tool calls; "
        "it goes on when they approve. Only of the stage that is asked about. A call in a stream "
        "that is on its way already cannot wait: it is withheld.",
    ),
    "hold_later": Carried(
        "obligations.hold, stages.guard",
        ("request", "tool call"),
        "Has the answer read whole, and holds its tool calls or all of it on these terms, whatever "
        "is decided there. Only of stages after the one that is asked about.",
    ),
    "review_response": Carried(
        "obligations.review_response, stages.guard",
        ("request",),
        "Has the answer read whole before anything of it is shown, and policy asked about it at "
        "stage `response`.",
    ),
    "justify": Carried(
        "obligations.justify",
        ("request",),
        "Stops the request until whoever asked has said why (`justification_required`); the reason "
        "is kept as evidence. With a hold, reviewers can approve only after it.",
    ),
    "notify": Carried(
        "obligations.notify, holding.notifying",
        ("request", "tool call", "response"),
        "Tells these channels of `[[notify.channels]]` what was decided, and of a hold that it "
        "waits and how it ended. They are told at least once: where that cannot be promised, "
        "nothing is let through. What the request was told for is not told again at a later stage.",
    ),
    "drafts_max": Carried(
        "stages.drafts",
        ("request",),
        "Answers are drafts: of so many at most whoever asked may have left open what became of "
        "them. With more the request is refused (`drafts_outstanding`) until they have said it.",
    ),
    "log_level": Carried(
        "content.kept",
        ("request", "stream", "response"),
        "`metadata` keeps nothing of the content, `redacted` masks what the scanner found.",
    ),
    "retain_days": Carried(
        "obligations.retain_days",
        ("request", "response"),
        "Holds where `[audit.retention] content_days` is no longer; 0 keeps no content. What the "
        "ledger would keep longer is refused.",
    ),
}


def unsupported(
    obligations: Obligations,
    content_days: int | None,
    stage: str = "request",
    channels: Collection[str] | None = None,
) -> tuple[str, ...]:
    """The names of what policy asks about `stage` and this gateway, which keeps contents so long,
    cannot do.

    Of what a later stage asks, only what can be done there is done: the decision about the request
    has settled the rest, and a rule that says the same at all stages means no more by it.
    `channels` are those of the settings; None where they are not known, as in a replay.
    """
    missing = [
        member.name
        for member in fields(obligations)
        if member.name not in CARRIED and getattr(obligations, member.name) != member.default
    ]
    # What no scan finds and no backend has is a slip of the pen, and would let everything through.
    if not KINDS.issuperset(obligations.redact) or (stage == _CALL and obligations.redact):
        missing.append("redact")
    if not pin_route.is_route(obligations.route or ""):
        missing.append("route")
    if retain_days.apply(obligations.retain_days, obligations.log_level, content_days) is None:
        missing.append("retain_days")
    if not notify.reaches_all(obligations, channels):
        missing.append("notify")
    return (*missing, *hold.misplaced(obligations, stage))


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

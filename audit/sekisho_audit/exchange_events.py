"""What an exchange leaves in the ledger, from the request to what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sekisho_audit.kinds import (
    CHARGED,
    DOCUMENT,
    FLAG,
    NUMBER,
    OBSERVED,
    PERSON,
    REASONS,
    TEXT,
    TEXTS,
    THRESHOLDS,
    EventType,
    Field,
    one_of,
)

_BACKEND = Field(TEXT, "Id of the backend that the bytes are meant for.")
_BINDING = Field(TEXT, "Keyed commitment to everything that an approval is bound to, in hex.")
_BYTES_SENT = Field(NUMBER, "Length of the payload `outgoing`.", "bytes")
_CAUSE = Field(TEXT, "Why, as a stable code.")
_HOLD = Field(TEXT, "Id of the hold.")
_INTENT = Field(TEXT, "Id of the intent's event.")
_MODEL_SENT = Field(TEXT, "The model that the backend is asked for.")
_REVISION = Field(TEXT, "Policy revision that decided.")
_VERSION = Field(
    NUMBER, "Version of the hold; a change of what would leave makes a new one.", "ordinal from 1"
)
_STEP = Field(TEXT, "The stage of the line that it had reached, e.g. `decide`.")

_OUTCOME = EventType(
    "What became of an intent: written once for each, before the last byte is delivered.",
    {
        "intent": _INTENT,
        "status": Field(
            one_of("released", "held", "stopped", "cancelled", "failed", "unknown"),
            "Delivered, waiting for people, ended by us, left by the client, broken, or nobody "
            "knows.",
        ),
    },
    {
        "http_status": Field(NUMBER, "What the backend answered with.", "HTTP status"),
        "cause": _CAUSE,
        "bytes": Field(NUMBER, "What came back from the backend.", "bytes"),
        "chunks": Field(NUMBER, "In how many pieces a stream came.", "chunks"),
        "finish": Field(TEXT, "Why the model stopped, of the first choice, in its own word."),
        "usage": Field(
            DOCUMENT,
            "Tokens as the backend counted them: `prompt_tokens`, `completion_tokens`, "
            "`total_tokens`, each only if it said so.",
        ),
        "backend_request": Field(
            TEXT, "The backend's own id of the request, as its usage export names it."
        ),
        "charged": Field(CHARGED, "What it used of limits; without it, what was set aside."),
    },
    optional_payloads={"answer": "what came back, as it came"},
)
_RELIEF_US = Field(
    NUMBER,
    "From then on those may answer who relieve the reviewers; without it, never.",
    "microseconds since 1970, UTC",
)

EXCHANGE_EVENTS: Mapping[str, EventType] = {
    "request.received": EventType(
        "A request was read whole and its principal is known.",
        {
            "endpoint": Field(TEXT, "The API that was called, e.g. `chat.completions`."),
            "model": Field(TEXT, "The model that the client asked for."),
            "stream": Field(FLAG, "Whether the client wants the answer as it comes."),
            "credential": Field(TEXT, "Public name of the credential that was shown."),
            "bytes": Field(NUMBER, "Length of the request's body.", "bytes"),
        },
        {"ip_commit": Field(TEXT, "Keyed commitment to the client's address, in hex.")},
        optional_payloads={"prompt": "the request's body"},
    ),
    "policy.decision": EventType(
        "Policy was asked and answered.",
        {
            "stage": Field(TEXT, "What was decided: `request`, `response` or `tool_call`."),
            "effect": Field(one_of("allow", "hold", "deny"), "What policy answered."),
            "reasons": Field(REASONS, "Why, in the order of the policy; at most 32 are told."),
            "rules": Field(TEXTS, "The rules that gave these reasons."),
            "revision": _REVISION,
            "engine": Field(TEXT, "What evaluated the policy, e.g. `opa-embedded`."),
            "obligations": Field(DOCUMENT, "What the gateway must do, as far as policy asked."),
            "took_us": Field(NUMBER, "Time from the question to the answer.", "microseconds"),
            "memo": Field(FLAG, "Whether the same question had been answered before."),
        },
        {
            "observed": Field(
                OBSERVED, "What packs on trial would have done, as far as they would."
            ),
            "tool": Field(TEXT, "Name of the function that was proposed; at `tool_call` only."),
        },
        optional_payloads={"input": "the facts that policy saw"},
    ),
    "policy.shadowed": EventType(
        "The revision in the shadow would have decided otherwise; nothing followed from it.",
        {
            "stage": Field(TEXT, "What was decided: `request`, `response` or `tool_call`."),
            "effect": Field(one_of("allow", "hold", "deny"), "What the shadow answered."),
            "decided": Field(one_of("allow", "hold", "deny"), "What the one in force answered."),
            "reasons": Field(REASONS, "Why, in the order of the policy; at most 32 are told."),
            "rules": Field(TEXTS, "The rules that gave these reasons."),
            "obligations": Field(DOCUMENT, "What it would have asked for."),
            "revision": _REVISION,
        },
    ),
    "hold.filed": EventType(
        "An exchange was stopped until people have answered; a higher version replaces a lower.",
        {
            "hold": _HOLD,
            "version": _VERSION,
            "stage": Field(one_of("request", "response", "tool_call"), "What is held."),
            "binding": _BINDING,
            "expires_us": Field(
                NUMBER, "After this nobody can approve it.", "microseconds since 1970, UTC"
            ),
            "backend": _BACKEND,
            "model": _MODEL_SENT,
            "revision": _REVISION,
            "risk": Field(NUMBER, "How risky policy calls it.", "0 to 100"),
        },
        {
            "person": Field(
                PERSON, "Who stands behind the principal, if another: they may not review either."
            ),
            "editor": Field(
                PERSON,
                "Who changed what is held and made this version; approves no words of theirs.",
            ),
            "step": Field(
                NUMBER,
                "The step that was open when the editor changed it; without it, the first.",
                "ordinal from 1",
            ),
            "narrowed": Field(
                FLAG, "Whether the editor only took something out; then they may approve the rest."
            ),
            "thresholds": Field(
                THRESHOLDS,
                "Who must approve; all must be met. Absent if nobody is asked to.",
            ),
            "relief_us": _RELIEF_US,
            "justify": Field(
                FLAG, "Whether whoever asked must say why before anybody can approve it."
            ),
            "background": Field(
                FLAG,
                "Whether whoever asked comes back for the answer; with no thresholds and no reason "
                "asked for, policy had allowed it and it is approved by itself.",
            ),
        },
        payloads={
            "hold": "everything that is needed to build the hold again",
            "outgoing": "the bytes that would leave, or the answer that would be released; only "
            "committed to",
        },
    ),
    "hold.seeded": EventType(
        "A test item was put before reviewers, who see a hold like any other. There is no request: "
        "no intent can use it, and it is never approved. `principal` is made up.",
        {
            "hold": _HOLD,
            "version": _VERSION,
            "stage": Field(one_of("request"), "What it looks like."),
            "binding": _BINDING,
            "expires_us": Field(
                NUMBER, "After this nobody can answer it.", "microseconds since 1970, UTC"
            ),
            "person": Field(PERSON, "Who made it up; they may not review it."),
            "rule": Field(TEXT, "The rule that it should be denied for."),
            "thresholds": Field(THRESHOLDS, "Who is asked."),
            "risk": Field(NUMBER, "How risky it is called.", "0 to 100"),
        },
        {
            "relief_us": _RELIEF_US,
        },
        payloads={
            "hold": "everything that is needed to build it again",
            "outgoing": "the bytes that reviewers see; only committed to",
        },
        actor=True,
    ),
    "hold.review": EventType(
        "One person answered a hold; `actor` is the reviewer, the payload `reason` says why.",
        {
            "hold": _HOLD,
            "version": _VERSION,
            "decision": Field(one_of("approve", "deny"), "What the person answered."),
            "binding": _BINDING,
        },
        {
            "person": Field(PERSON, "In whose seat the reviewer answered, if not their own."),
            "counts_for": Field(
                TEXTS, "`reviewers` of the thresholds that it counts for; without it, any."
            ),
            "step": Field(
                NUMBER, "The step that was open; without it, the first.", "ordinal from 1"
            ),
            "relief": Field(
                TEXT,
                "The group by which the reviewer answered in the place of who was asked; without "
                "it, they were asked themselves.",
            ),
        },
        optional_payloads={"reason": "why, in the reviewer's words"},
        actor=True,
    ),
    "hold.justified": EventType(
        "Whoever asked said why, as policy wanted; `actor` is that person. It is no review.",
        {"hold": _HOLD, "version": _VERSION, "binding": _BINDING},
        optional_payloads={"reason": "why, in the words of who asked"},
        actor=True,
    ),
    "hold.settled": EventType(
        "A hold has its outcome; `reviews` are the ids of the reviews that led to it.",
        {
            "hold": _HOLD,
            "version": _VERSION,
            "state": Field(one_of("approved", "denied", "expired", "withdrawn"), "The outcome."),
            "binding": _BINDING,
            "reviews": Field(TEXTS, "Ids of the events `hold.review` that led to it."),
        },
        {"cause": _CAUSE},
    ),
    "hold.released": EventType(
        "What people approved is about to be given to who asked: exactly the bytes of the payload "
        "`answer`, which are the `outgoing` of the hold.",
        {
            "hold": _HOLD,
            "version": _VERSION,
            "binding": _BINDING,
            "stage": Field(one_of("tool_call", "response"), "What was held."),
        },
        payloads={"answer": "the bytes that are given out; only committed to, or kept"},
    ),
    "hold.delivered": EventType(
        "The answer to a held exchange reached its requester.", {"hold": _HOLD}
    ),
    "backend.intent": EventType(
        "Exactly the bytes of the payload `outgoing` are about to leave for one backend.",
        {
            "session": Field(TEXT, "The worker's session, which must be open."),
            "attempt": Field(NUMBER, "Which try of this exchange it is.", "ordinal from 1"),
            "backend": _BACKEND,
            "model": _MODEL_SENT,
            "path": Field(TEXT, "Where at the backend, below its base URL."),
            "bytes": _BYTES_SENT,
            "revision": _REVISION,
        },
        {
            "hold": Field(TEXT, "The hold whose approval is used; good once."),
            "version": _VERSION,
            "binding": _BINDING,
            "charged": Field(CHARGED, "What was set aside of limits, and for whom."),
        },
        payloads={"outgoing": "the bytes that leave; kept only if they differ from the prompt"},
    ),
    "backend.outcome": _OUTCOME,
    "outcome.late": replace(
        _OUTCOME, when="An outcome that came after the intent had been given one."
    ),
    "delivery.cut": EventType(
        "The outcome was recorded, but its last bytes did not reach the client.",
        {"intent": _INTENT, "cause": _CAUSE},
    ),
    "exchange.refused": EventType(
        "An exchange ended without an intent: denied, malformed, or a part was missing.",
        {
            "code": Field(TEXT, "The error code that the client got (errors.md)."),
            "status": Field(NUMBER, "What the client got.", "HTTP status"),
            "stage": _STEP,
        },
    ),
    "exchange.checked": EventType(
        "Somebody asked what would happen to a request and was told; nothing was sent.",
        {
            "effect": Field(
                one_of("allow", "hold", "deny"),
                "What would have happened, also for what no rule but an obligation refuses.",
            )
        },
    ),
    "exchange.cancelled": EventType("The client went away before anything left.", {"stage": _STEP}),
    "exchange.appealed": EventType(
        "Somebody disagrees with how their own exchange ended; the payload `reason` says why.",
        {"appeal": Field(TEXT, "Id of the appeal, which is that of the event.")},
        payloads={"reason": "why, in their own words"},
        actor=True,
    ),
    "hold.refused": EventType(
        "`actor` was refused something at a hold; told once an hour for each person, act and code.",
        {
            "hold": Field(TEXT, "The hold."),
            "act": Field(
                one_of("read", "review", "edit", "justify", "withdraw"), "What they tried to do."
            ),
            "code": Field(TEXT, "The error code that they got (errors.md)."),
        },
        actor=True,
    ),
    "draft.answered": EventType(
        "Whoever asked said what became of the answer, which is a draft until a person takes it.",
        {
            "decision": Field(
                one_of("accepted", "edited", "rejected"), "Used as it is, changed, or not used."
            )
        },
        optional_payloads={
            "draft": "hash of the answer as it was used, in their word; only committed to",
            "final": "hash of what they made of it; only committed to",
        },
        actor=True,
    ),
    "record.read": EventType(
        "`actor` was shown content of an exchange of `principal`, for the purpose given.",
        {
            "purpose": Field(one_of("review", "audit", "own"), "Why they may see it."),
            "part": Field(TEXT, "What was shown: the name of a payload."),
        },
        {
            "hold": Field(TEXT, "The hold under review."),
            "sample": Field(TEXT, "The sample under review after the fact."),
        },
        actor=True,
    ),
}

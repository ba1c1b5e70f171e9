"""The events of standing grants: what people agreed to in advance, and each time it was used.

What a grant is for in the arguments of a tool, and why, is content and so a payload; the rest are
names and figures that the verifier compares with the decisions that a use answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from sekisho_audit.kinds import NUMBER, PERSON, TEXT, TEXTS, EventType, Field, one_of

_GRANT = Field(TEXT, "Id of the event `grant.proposed`.")
_BACKEND = Field(TEXT, "Id of the only backend that it is for.")
_COUNTS_FOR = Field(
    TEXTS, "The reviewers, roles or groups, whom the `actor` counts for among those of the rules."
)

GRANT_TYPES: Mapping[str, EventType] = {
    "grant.proposed": EventType(
        "The reviewer `actor` wants holds of some rules answered in advance, for few cases; the id "
        "of this event is the name of the grant. `principal` is the person that it is for, null if "
        "it is for a group. Nothing is granted by that.",
        {
            "rules": Field(TEXTS, "The rule packages whose holds it answers."),
            "backend": _BACKEND,
            "count": Field(NUMBER, "How often it may be used.", "uses"),
            "hours": Field(NUMBER, "How long it is good once it was confirmed.", "hours"),
            "risk_below": Field(
                NUMBER, "It answers no hold of this risk or a higher one.", "0 to 100"
            ),
            "counts_for": _COUNTS_FOR,
        },
        {
            "group": Field(TEXT, "The group that it is for."),
            "tool": Field(TEXT, "The function whose calls it is for; without it, requests."),
        },
        payloads={"terms": "as JSON: why, and which arguments of the tool it is for"},
        exchange=False,
        actor=True,
    ),
    "grant.confirmed": EventType(
        "A grant began: the reviewer `actor` confirmed what another person had proposed.",
        {"grant": _GRANT, "counts_for": _COUNTS_FOR},
        exchange=False,
        actor=True,
    ),
    "grant.revoked": EventType(
        "The reviewer `actor` ended a grant, or denied a proposed one.",
        {"grant": _GRANT},
        payloads={"reason": "why"},
        exchange=False,
        actor=True,
    ),
    "grant.ended": EventType(
        "A grant ended before its time: an operator stopped what it was for, or a rule of it is "
        "not there any more.",
        {"grant": _GRANT, "cause": Field(one_of("halted", "rule_gone"), "Why.")},
        exchange=False,
    ),
    "grant.used": EventType(
        "A grant answered a hold in place of people. Stands before the decision that it answers, "
        "and before anything is sent or given out.",
        {
            "grant": _GRANT,
            "decision": Field(TEXT, "Id of the event `policy.decision` that it answers."),
            "backend": _BACKEND,
            "number": Field(NUMBER, "Which use of the grant this is.", "ordinal from 1"),
            "remaining": Field(NUMBER, "How often it may be used after this.", "uses"),
        },
        {
            "person": Field(
                PERSON, "Who stands behind the principal, if another: no grant of theirs counts."
            ),
        },
    ),
}

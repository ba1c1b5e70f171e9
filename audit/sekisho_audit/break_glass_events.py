"""The events of break-glass: what somebody let go on in an emergency, and who looked at it after.

Why is told in a person's own words and so is a payload; which rules, how long and how often are
names and figures that the verifier compares with the decisions that a use answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from sekisho_audit.kinds import NUMBER, PERSON, TEXT, TEXTS, EventType, Field, one_of

_OPENING = Field(TEXT, "Id of the event `break_glass.opened`.")

BREAK_GLASS_TYPES: Mapping[str, EventType] = {
    "break_glass.opened": EventType(
        "In an emergency `actor` lets holds of their own requests by some rules go on, for a short "
        "time; the id of this event is the name of the opening. Another person reviews it "
        "afterwards.",
        {
            "rules": Field(TEXTS, "The rule packages whose holds it answers."),
            "minutes": Field(NUMBER, "How long it is open from here on.", "minutes"),
            "review_hours": Field(
                NUMBER, "How long after that another person has to review it.", "hours"
            ),
        },
        payloads={"reason": "why"},
        exchange=False,
        actor=True,
    ),
    "break_glass.used": EventType(
        "An opening answered a hold in place of people. Stands before the decision that it "
        "answers, and before anything is sent or given out.",
        {
            "opening": _OPENING,
            "decision": Field(TEXT, "Id of the event `policy.decision` that it answers."),
            "backend": Field(TEXT, "Id of the backend that it is sent to, or came from."),
            "number": Field(NUMBER, "Which use of the opening this is.", "ordinal from 1"),
        },
    ),
    "break_glass.ended": EventType(
        "An opening ended before its time. A switch that is set ends every one, without this.",
        {
            "opening": _OPENING,
            "cause": Field(one_of("person", "operator", "halted", "person_gone"), "Why."),
        },
        exchange=False,
    ),
    "break_glass.reviewed": EventType(
        "Another person, `actor`, looked at what was done with an opening that is over.",
        {
            "opening": _OPENING,
            "verdict": Field(one_of("justified", "not_justified"), "What they say of it."),
            "uses": Field(NUMBER, "How many uses they answer for: all there were.", "uses"),
        },
        {
            "person": Field(PERSON, "In whose place they reviewed, if another's."),
        },
        payloads={"reason": "why"},
        exchange=False,
        actor=True,
    ),
}

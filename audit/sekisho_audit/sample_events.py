"""The events of review after the fact: what was drawn, who looked at it, what they found.

A drawn exchange is called a sample. What it says is kept outside the ledger for some days, and is
no part of any event; losing it loses nothing of what was drawn and how it was judged.
"""

from __future__ import annotations

from collections.abc import Mapping

from sekisho_audit.kinds import NUMBER, PERSON, TEXT, TEXTS, EventType, Field, one_of

_SAMPLE = Field(TEXT, "Id of the event `sample.drawn`.")

SAMPLE_TYPES: Mapping[str, EventType] = {
    "sample.terms": EventType(
        "From here on exchanges are drawn on these terms; where both shares are 0, only those that "
        "break-glass let go on.",
        {
            "per_10000": Field(NUMBER, "How many of 10,000 exchanges are drawn.", "exchanges"),
            "per_10000_at_risk": Field(
                NUMBER, "How many of 10,000 of those that policy calls risky.", "exchanges"
            ),
            "risk_from": Field(NUMBER, "From this risk on they are risky.", "0 to 100"),
            "verdicts": Field(NUMBER, "How many people are asked, if they agree.", "1 or 2"),
            "keep_days": Field(NUMBER, "For how long they are asked.", "days"),
        },
        exchange=False,
    ),
    "sample.drawn": EventType(
        "An exchange was drawn for review after the fact, once something of its answer was given "
        "out. The id of this event is the name of the sample; the exchange's key decides which are "
        "drawn, so that nobody chooses and whoever is given that key can compute it again.",
        {
            "terms": Field(TEXT, "Id of the event `sample.terms` that it was drawn by."),
            "per_10000": Field(
                NUMBER,
                "The share that counted for it; 10,000 where an opening let it go on.",
                "exchanges",
            ),
            "risk": Field(NUMBER, "How risky policy called it; 0 where it named none.", "0 to 100"),
            "backend": Field(TEXT, "Id of the backend that was asked."),
            "model": Field(TEXT, "The model that was asked."),
            "rules": Field(TEXTS, "The rules that gave reasons for the decision."),
        },
        {
            "person": Field(
                PERSON, "Who stands behind the principal, if another: they may not judge it either."
            ),
            "opening": Field(
                TEXT,
                "The opening of break-glass that let it go on: it is drawn whatever the share.",
            ),
        },
    ),
    "sample.kept": EventType(
        "What became of the content of a sample, which people need to judge it.",
        {
            "sample": _SAMPLE,
            "content": Field(
                one_of("whole", "cut", "none"),
                "Kept outside the ledger, kept without what was too long or not there any more, or "
                "not kept: no room, or nowhere to keep it.",
            ),
        },
    ),
    "sample.judged": EventType(
        "The person `actor` looked at a sample and said what they found; nobody else's verdict was "
        "shown to them before.",
        {
            "sample": _SAMPLE,
            "verdict": Field(one_of("fine", "concern"), "What they found."),
            "counts_for": Field(TEXT, "The role or group by which they judge."),
        },
        optional_payloads={"reason": "why, in their own words"},
        actor=True,
    ),
    "sample.closed": EventType(
        "A sample has its outcome.",
        {
            "sample": _SAMPLE,
            "outcome": Field(
                one_of("fine", "concern", "unjudged"), "What people found; or they did not in time."
            ),
            "by": Field(
                one_of("agreement", "third", "nobody"),
                "Whoever was asked agreed, a third person decided, or nobody did.",
            ),
        },
    ),
}

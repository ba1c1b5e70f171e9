"""foretell: what would happen to a request, told to whoever would send it; nothing is sent.

The same facts, rules and obligations as for the real thing, up to the bytes that would leave. What
can change until it is sent, can change what then happens: the rules, the limits, the time of day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sekisho.errors import DeniedByPolicy
from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho.model.facts import Facts
from sekisho.model.hold import Pace
from sekisho.model.outgoing import Outgoing
from sekisho.obligations import review_response


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the rules: how long reviewers took (`lately`), what would answer a hold
    in place of people, and how many answers of whoever asks are open, where rules count them.
    """

    lately: Mapping[str, Pace] = field(default_factory=dict)
    answered_by: Literal["grant", "break_glass"] | None = None
    drafts_open: int = 0


def foretell(
    exchange: str,
    facts: Facts,
    decision: Decision,
    outgoing: Outgoing | DeniedByPolicy,
    known: Known,
    *,
    language: str = "en",
) -> dict[str, Any]:
    """The document of `/v1/check`. `outgoing` is what `prepare` made, or why it could not. Messages
    are in `language`, where rules speak it.
    """
    asked, effect = decision.obligations, decision.effect
    told: dict[str, Any] = {
        "object": "check",
        "exchange": exchange,
        "sent": False,
        "effect": effect.value,
        "reasons": [
            {
                "code": one.code,
                "message": one.said_in(language),
                "texts": dict(one.texts),
                "rule": one.rule,
            }
            for one in decision.reasons
        ],
        "backend": None,
        "changed_by": [],
        "masked": {},
        "labelled": False,
        "kept": {"level": asked.log_level, "days": asked.retain_days},
        "hold": None,
        "answer": {"read_whole": False, "holds": []},
        "justify": False,
        "answered_by": None,
        "drafts": None,
    }
    if isinstance(outgoing, DeniedByPolicy):
        why = {
            "code": outgoing.code,
            "message": outgoing.message,
            "texts": {},
            "rule": "gateway.obligations",
        }
        return {**told, "effect": Effect.DENY.value, "reasons": [*told["reasons"], why]}
    if effect is Effect.DENY:
        return told
    masked = Counter(hit.entity for hit in facts.found if hit.entity in asked.redact)
    return {
        **told,
        "backend": outgoing.backend or None,
        "changed_by": list(outgoing.rewritten),
        "masked": dict(masked),
        "labelled": asked.label_output,
        "justify": asked.justify,
        "answered_by": known.answered_by,
        "drafts": _drafts(asked.drafts_max, known.drafts_open),
        "hold": _hold(asked.hold, known.lately) if effect is Effect.HOLD and asked.hold else None,
        "answer": {
            "read_whole": review_response.apply(asked),
            "holds": [{"stage": one.stage, **_hold(one, known.lately)} for one in asked.hold_later],
        },
    }


def _hold(terms: HoldTerms, lately: Mapping[str, Pace]) -> dict[str, Any]:
    return {
        "asked": [
            {
                "reviewers": one.reviewers,
                "approve": one.approve,
                "deny": one.deny,
                "step": one.step,
                "relief": list(one.relief),
                "lately": _pace(lately.get(one.reviewers)),
            }
            for one in terms.thresholds
        ],
        "ttl_s": terms.ttl_s,
        "office_time": terms.office_time,
        "risk": terms.risk,
    }


def _drafts(most: int | None, now: int) -> dict[str, Any] | None:
    """How many answers may be open, and whether this would be refused because as many are."""
    return None if most is None else {"max": most, "open": now, "refused": now >= most}


def _pace(pace: Pace | None) -> dict[str, int] | None:
    return None if pace is None else {"count": pace.count, "median_s": pace.median_s}

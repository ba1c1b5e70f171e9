"""decide: ask the rules, and refuse what this gateway could not carry out anyway."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sekisho.model.decision import Decision, Effect, Reason
from sekisho.model.facts import Facts
from sekisho.obligations import retain_days
from sekisho.obligations.table import unsupported
from sekisho.ports import PolicyEngine

_RULE = "gateway.obligations"


async def decide(facts: Facts, engine: PolicyEngine, channels: Collection[str] = ()) -> Decision:
    """The decision about `facts`.

    A deny is returned, not raised, so that it is recorded like any other decision. An obligation
    that cannot be carried out turns it into a deny (`obligation_unsupported`); `channels` are those
    that people can be told over. Raises PolicyUnavailable if the rules cannot be asked.
    """
    decision = await engine.decide(facts.document)
    return carried_out(decision, facts.document, channels)


def carried_out(
    decision: Decision, document: Mapping[str, Any], channels: Collection[str] | None = None
) -> Decision:
    """The decision about `document` as this gateway acts on it; without `channels`, as one acts
    that has every channel.
    """
    asked, days = decision.obligations, content_days(document)
    missing = unsupported(asked, days, str(document.get("stage", "request")), channels)
    level = retain_days.apply(asked.retain_days, asked.log_level, days)
    if level not in {None, asked.log_level}:
        decision = replace(decision, obligations=replace(asked, log_level=level))
    if not missing or decision.effect is Effect.DENY:
        return decision
    reason = Reason(
        code="obligation_unsupported",
        msg=(
            f"The rules ask for {', '.join(missing)} in a way this gateway cannot carry out, "
            "so nothing was sent. Ask an operator to change the rules."
        ),
        rule=_RULE,
    )
    return replace(decision, effect=Effect.DENY, reasons=(reason, *decision.reasons))


def content_days(document: Mapping[str, Any]) -> int | None:
    """How long contents were kept at most when this was asked, None for ever.

    A document recorded before that was told is judged as it was then: nothing is too long for it.
    """
    context = document.get("context")
    days = context.get("content_days", 0) if isinstance(context, Mapping) else 0
    return days if isinstance(days, int) else None

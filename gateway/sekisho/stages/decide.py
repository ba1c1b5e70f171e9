"""decide: ask the rules, and refuse what this gateway could not carry out anyway."""

from __future__ import annotations

from dataclasses import replace

from sekisho.model.decision import Decision, Effect, Reason
from sekisho.model.facts import Facts
from sekisho.obligations.table import unsupported
from sekisho.ports import PolicyEngine

_RULE = "gateway.obligations"


async def decide(facts: Facts, engine: PolicyEngine) -> Decision:
    """The decision about `facts`.

    A deny is returned, not raised, so that it is recorded like any other decision. An obligation
    that cannot be carried out turns it into a deny (`obligation_unsupported`). Raises
    PolicyUnavailable if the rules cannot be asked.
    """
    return carried_out(await engine.decide(facts.document))


def carried_out(decision: Decision) -> Decision:
    """The decision as this gateway acts on it."""
    missing = unsupported(decision.obligations)
    if not missing or decision.effect is Effect.DENY:
        return decision
    reason = Reason(
        code="obligation_unsupported",
        msg=(
            f"The rules ask for {', '.join(missing)}, which this gateway cannot do yet, "
            "so nothing was sent. Ask an operator to change the rules."
        ),
        rule=_RULE,
    )
    return replace(decision, effect=Effect.DENY, reasons=(reason, *decision.reasons))

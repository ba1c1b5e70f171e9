"""prepare: from the decision to the exact bytes that would leave.

Where no obligation changes the body, the client's own bytes go out: nothing is parsed and written
again, so nothing can be lost or reinterpreted on the way.
"""

from __future__ import annotations

import orjson

from sekisho.errors import DeniedByPolicy
from sekisho.model.decision import Decision, Effect
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal
from sekisho.obligations.table import apply_request
from sekisho_audit.events import Event


def prepare(
    exchange: Exchange,
    principal: Principal,
    facts: Facts,
    decision: Decision,
    *,
    path: str,
    before: tuple[Event, ...],
) -> Outgoing:
    """Apply the request obligations and make the outgoing bytes.

    `path` is where the backend's profile wants this endpoint. Raises DeniedByPolicy if an
    obligation cannot be carried out on this body.
    """
    body, rewritten = exchange.body, tuple[str, ...]()
    if decision.effect is not Effect.DENY:
        changed, names = apply_request(exchange.parsed, decision.obligations)
        if changed is not None:
            body, rewritten = orjson.dumps(changed), tuple(names)
    return Outgoing(
        exchange=exchange.id,
        principal=principal.id,
        backend=facts.backend,
        model=exchange.model,
        endpoint=exchange.endpoint,
        path=path,
        body=body,
        stream=exchange.stream,
        facts=facts,
        decision=decision,
        before=before,
        rewritten=rewritten,
    )


def unchanged(outgoing: Outgoing) -> None:
    """Check that today's obligations leave approved bytes as they were approved.

    Raises DeniedByPolicy (`policy_changed`) otherwise: people approved these bytes, not others.
    """
    changed, names = apply_request(orjson.loads(outgoing.body), outgoing.decision.obligations)
    if changed is not None:
        message = (
            f"The rules changed while this request waited and now want {', '.join(names)}, "
            "which would alter what was approved. Send it again to have it reviewed anew."
        )
        raise DeniedByPolicy(message, code="policy_changed")

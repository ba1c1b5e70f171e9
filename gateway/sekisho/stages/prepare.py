"""prepare: from the decision to the exact bytes that would leave.

Where no obligation changes the body, the client's own bytes go out: nothing is parsed and written
again, so nothing can be lost or reinterpreted on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from sekisho.errors import DeniedByPolicy
from sekisho.model.catalog import Catalog
from sekisho.model.decision import Decision, Effect
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.limits import Estimate
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal
from sekisho.obligations import pin_route
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
    if exchange.assistant is not None and exchange.revision != decision.revision:
        message = f"{exchange.asked} has just been changed, so nothing was sent. Ask again."
        raise DeniedByPolicy(message, code="policy_changed")
    body, rewritten, changed = exchange.body, tuple[str, ...](), None
    if decision.effect is not Effect.DENY:
        changed, names = apply_request(exchange.parsed, decision.obligations, facts.found)
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
        estimate=estimate_of(exchange.parsed if changed is None else changed, facts),
    )


def estimate_of(body: Mapping[str, Any], facts: Facts) -> Estimate:
    """What sending `body` may use at most, in tokens: the prompt, and all the answers it asks for.

    The larger of both caps counts, since a backend may read either; 0 where there is none.
    """
    caps = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
    cap = max((one for one in caps if isinstance(one, int)), default=0)
    choices = body.get("n")
    answers = choices if isinstance(choices, int) else 1
    return Estimate(facts.document["request"]["estimated_tokens"], cap * answers)


def unchanged(outgoing: Outgoing, catalog: Catalog) -> Outgoing:
    """The approved bytes, if today's obligations leave them, and where they go, as approved.

    Raises DeniedByPolicy (`policy_changed`) otherwise: people approved these bytes, not others.
    """
    body, asked = orjson.loads(outgoing.body), outgoing.decision.obligations
    _, names = apply_request(body, asked, outgoing.facts.found)
    if asked.route is not None:
        backend = pin_route.apply(asked.route, outgoing.model, outgoing.backend, catalog)
        names += ["route"] if backend != outgoing.backend else []
    if names:
        message = (
            f"The rules changed while this request waited and now want {', '.join(names)}, "
            "which would alter what was approved. Send it again to have it reviewed anew."
        )
        raise DeniedByPolicy(message, code="policy_changed")
    return replace(outgoing, estimate=estimate_of(body, outgoing.facts))

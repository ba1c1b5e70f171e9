"""Events of an exchange, one named constructor each, so that every place that writes evidence
writes it the same way. Content goes into payloads; the data of an event holds nothing guessable.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from sekisho.model.decision import Decision, HoldTerms, Obligations
from sekisho.model.draft import DraftSaid
from sekisho.model.exchange import Exchange
from sekisho.model.ids import uuid7
from sekisho.model.outgoing import Approval, Outgoing
from sekisho.model.principal import Principal
from sekisho.model.verdict import Asked
from sekisho_audit.events import Event, Payload

REASON_CHARS_MAX = 512  # a leaf holds at most 64 KiB; a reason is a sentence or two
REASONS_MAX = 32
OBSERVED_MAX = 64
_UUID_VERSION = 0x8 << 76  # RFC 9562 section 5.8: made by our own rule
_UUID_VARIANT = 0b10 << 62
_UUID_FIXED_BITS = 0xF << 76 | 0b11 << 62


def received(exchange: Exchange, principal: Principal, stored: bytes | None) -> Event:
    """A request was read and its principal known. `stored` is what the log level lets us keep."""
    return Event(
        id=uuid7(),
        type="request.received",
        exchange=exchange.id,
        principal=principal.id,
        data={
            "endpoint": exchange.endpoint,
            "model": exchange.asked,
            "stream": exchange.stream,
            "credential": principal.credential,
            "bytes": len(exchange.body),
        },
        payloads=(Payload("prompt", exchange.body, stored),),
    )


def decided(
    exchange: str,
    principal: str,
    stage: str,
    decision: Decision,
    document: bytes,
    *,
    tool: str | None = None,
) -> Event:
    """Policy answered. `document` is the input it saw, kept sealed so that it can be replayed;
    `tool` names the function at stage `tool_call`.
    """
    named = {} if tool is None else {"tool": tool}
    return Event(
        id=uuid7(),
        type="policy.decision",
        exchange=exchange,
        principal=principal,
        data={
            "stage": stage,
            "effect": decision.effect.value,
            "reasons": [
                {"code": reason.code, "rule": reason.rule, "msg": reason.msg[:REASON_CHARS_MAX]}
                for reason in decision.reasons[:REASONS_MAX]
            ],
            "rules": [reason.rule for reason in decision.reasons[:REASONS_MAX]],
            "revision": decision.revision,
            "engine": decision.engine,
            "obligations": obligations_asked(decision.obligations),
            "took_us": decision.took_us,
            "memo": decision.memo,
            **named,
            **_observed(decision),
        },
        payloads=(Payload("input", document, document),),
    )


def asked(exchange: str, principal: str, question: Asked) -> Event:
    """Policy answered a question about an answer, or about a call in it."""
    document = orjson.dumps(question.document)
    stage, decision = question.stage, question.decision
    return decided(exchange, principal, stage, decision, document, tool=question.tool)


def _observed(decision: Decision) -> dict[str, Any]:
    if not decision.observed:
        return {}
    told = decision.observed[:OBSERVED_MAX]
    return {
        "observed": [
            {"mode": one.mode, "effect": one.effect, "code": one.code, "rule": one.rule}
            for one in told
        ]
    }


def obligations_asked(obligations: Obligations) -> dict[str, Any]:
    """Only what policy asked for, as plain data."""
    asked: dict[str, Any] = {"log_level": obligations.log_level}
    for name in ("redact", "allow_tools", "notify"):
        value = getattr(obligations, name)
        if value:
            asked[name] = list(value)
    for name in ("route", "max_tokens", "retain_days", "drafts_max"):
        value = getattr(obligations, name)
        if value is not None:
            asked[name] = value
    for name in ("label_output", "justify", "review_response"):
        if getattr(obligations, name):
            asked[name] = True
    if obligations.hold is not None:
        asked["hold"] = _terms(obligations.hold)
    if obligations.hold_later:
        asked["hold_later"] = [_terms(terms) for terms in obligations.hold_later]
    return asked


def _terms(terms: HoldTerms) -> dict[str, Any]:
    more: dict[str, Any] = {"rules": list(terms.rules)} if terms.rules else {}
    if terms.no_grant:
        more["no_grant"] = True
    if terms.office_time:
        more["office_time"] = True
    if terms.no_break_glass:
        more["no_break_glass"] = True
    return {
        **more,
        "stage": terms.stage,
        "ttl_s": terms.ttl_s,
        "risk": terms.risk,
        "thresholds": [one.told() for one in terms.thresholds],
    }


def intent(
    outgoing: Outgoing,
    session: str,
    attempt: int,
    approval: Approval | None,
    *,
    charged: Mapping[str, Any] | None = None,
) -> Event:
    """Exactly these bytes are about to leave; the payload's commitment is to all of them.

    `charged` is what was set aside for them, and for whom.
    """
    data: dict[str, Any] = {
        "session": session,
        "attempt": attempt,
        "backend": outgoing.backend,
        "model": outgoing.model,
        "path": outgoing.path,
        "bytes": len(outgoing.body),
        "revision": outgoing.decision.revision,
    }
    if approval is not None:
        data |= {
            "hold": approval.hold,
            "version": approval.version,
            "binding": approval.binding,
        }
    if charged:
        data["charged"] = dict(charged)
    keep = outgoing.rewritten and outgoing.decision.obligations.log_level == "full"
    return Event(
        id=uuid7(),
        type="backend.intent",
        exchange=outgoing.exchange,
        principal=outgoing.principal,
        data=data,
        payloads=(Payload("outgoing", outgoing.body, outgoing.body if keep else None),),
    )


def outcome(
    outgoing: Outgoing,
    intent_id: str,
    status: str,
    answer: Payload | None,
    facts: Mapping[str, Any],
    *,
    charged: Mapping[str, Any] | None = None,
) -> Event:
    """What became of an intent: released, stopped, cancelled or failed; once for each intent.

    `charged` is what it used; `facts` may hold it as well.
    """
    used = {"charged": dict(charged)} if charged else {}
    return Event(
        id=uuid7(),
        type="backend.outcome",
        exchange=outgoing.exchange,
        principal=outgoing.principal,
        data={"intent": intent_id, "status": status, **facts, **used},
        payloads=(answer,) if answer else (),
    )


def cut(outgoing: Outgoing, intent_id: str, cause: str) -> Event:
    """The outcome was recorded, but its last bytes did not reach the client."""
    return Event(
        id=uuid7(),
        type="delivery.cut",
        exchange=outgoing.exchange,
        principal=outgoing.principal,
        data={"intent": intent_id, "cause": cause},
    )


def refused(exchange: str, principal: str | None, code: str, status: int, stage: str) -> Event:
    """The exchange ended without an intent: denied, malformed, or a part was missing."""
    return Event(
        id=uuid7(),
        type="exchange.refused",
        exchange=exchange,
        principal=principal,
        data={"code": code, "status": status, "stage": stage},
    )


def checked(exchange: str, principal: str, effect: str) -> Event:
    """Somebody was told what would happen to a request; nothing was sent."""
    return Event(
        id=uuid7(),
        type="exchange.checked",
        exchange=exchange,
        principal=principal,
        data={"effect": effect},
    )


def cancelled(exchange: str, principal: str | None, stage: str) -> Event:
    """The client went away before anything left."""
    return Event(
        id=uuid7(),
        type="exchange.cancelled",
        exchange=exchange,
        principal=principal,
        data={"stage": stage},
    )


def keyed_id(key: bytes, *parts: str) -> str:
    """An event id that says what the event is about to nobody but who has the exchange's key.

    Doing a step twice then records it once, and yet nobody can try out names or reasons on an id:
    a plain hash of them would be something guessable in a leaf.
    """
    framed = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    value = int.from_bytes(hmac.digest(key, b"sekisho-id-v1|" + framed, hashlib.sha256)[:16], "big")
    return str(uuid.UUID(int=value & ~_UUID_FIXED_BITS | _UUID_VERSION | _UUID_VARIANT))


def appealed(exchange: str, principal: str, actor: str, reason: str, key: bytes) -> Event:
    """`actor` disagrees with how an exchange of `principal` ended. `key` is the exchange's own, for
    commitments; the same reason again is the same appeal.
    """
    appeal = keyed_id(key, "appeal", exchange, principal, actor, reason)
    content = reason.encode()
    return Event(
        id=appeal,
        type="exchange.appealed",
        exchange=exchange,
        principal=principal,
        actor=actor,
        data={"appeal": appeal},
        payloads=(Payload("reason", content, content),),
    )


def draft_answered(exchange: str, principal: str, actor: str, said: DraftSaid, key: bytes) -> Event:
    """`actor` says what became of an answer. `key` is the exchange's own, for commitments; the same
    said again is the same event.
    """
    hashes = {"draft": said.draft_sha256, "final": said.final_sha256}
    return Event(
        id=keyed_id(key, "draft", exchange, principal, actor, said.decision, *hashes.values()),
        type="draft.answered",
        exchange=exchange,
        principal=principal,
        actor=actor,
        data={"decision": said.decision},
        payloads=tuple(Payload(name, text.encode()) for name, text in hashes.items() if text),
    )


def read(
    exchange: str,
    principal: str,
    actor: str,
    *,
    purpose: str,
    part: str,
    hold: str | None = None,
    sample: str | None = None,
    event_id: str | None = None,
) -> Event:
    """`actor` was shown `part` of an exchange of `principal` (purpose `review`, `audit`, `own`).

    Where a person may look again and again, `event_id` (from `keyed_id`) makes one record of it.
    """
    named = {} if hold is None else {"hold": hold}
    if sample is not None:
        named["sample"] = sample
    return Event(
        id=event_id or uuid7(),
        type="record.read",
        exchange=exchange,
        principal=principal,
        actor=actor,
        data={"purpose": purpose, "part": part, **named},
    )


def hold_refused(
    exchange: str,
    principal: str,
    actor: str,
    *,
    hold: str,
    act: str,
    code: str,
    event_id: str,
) -> Event:
    """`actor` tried `act` on a hold of `principal` and got `code`; see `keyed_id` for the id."""
    return Event(
        id=event_id,
        type="hold.refused",
        exchange=exchange,
        principal=principal,
        actor=actor,
        data={"hold": hold, "act": act, "code": code},
    )


def log_read(actor: str, first: int, count: int, *, state: str | None = None) -> Event:
    """`actor` was given so many entries of the ledger from the `first` on; or, of none, a piece of
    the rules' `state` that a pruning left.
    """
    said = {} if state is None else {"state": state}
    return Event(
        id=uuid7(),
        type="log.read",
        exchange=None,
        principal=None,
        actor=actor,
        data={"first": first, "count": count, **said},
    )

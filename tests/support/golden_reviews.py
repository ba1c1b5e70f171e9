"""What a golden ledger has of people's part in it: each thing once, as the gateway writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sekisho.model.ids import uuid7
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger
from support.ledgers import (
    REVIEWER,
    STAFF,
    HeldAnswer,
    HeldExchange,
    decision,
    intent,
    outcome,
    received,
)

SESSION = "s-2"
FAR_US = 4_000_000_000_000_000  # long after 2026
SECOND, THIRD = "reviewer-2@ledger.example", "reviewer-3@ledger.example"
OPERATOR, OTHER_OPERATOR = "operator-1@ledger.example", "operator-2@ledger.example"
RULE = "sekisho.default"
ONE_REVIEW = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
TERMS = {"per_10000": 200, "per_10000_at_risk": 2_000, "risk_from": 40, "verdicts": 2}


def reviews(ledger: Ledger, expires_us: int = FAR_US) -> None:
    """Everything that people answer, agree to, look at or stop; nothing of it stands afterwards but
    what waits to be judged. Holds could be answered until `expires_us`.
    """
    ledger.open_session(SESSION, 2)
    _justified(ledger, expires_us)
    _released(ledger, expires_us)
    _edited(ledger, expires_us)
    _seeded(ledger, expires_us)
    _drafts(ledger)
    _granted(ledger)
    _sampled(ledger, _opened(ledger))
    _halted(ledger)
    ledger.close_session(SESSION, "ended")


def _said(name: str = "reason") -> tuple[Payload, ...]:
    words = name.encode()
    return (Payload(name, words, words),)


def _act(kind: str, by: str, *words: str, **data: Any) -> Event:
    """Somebody does something that belongs to no exchange."""
    said = tuple(one for word in words for one in _said(word))
    return Event(uuid7(), kind, None, None, data, by, said)


def _held_request(exchange: str, **more: Any) -> Event:
    """The rules want people to look at a request."""
    terms = {"stage": "request", "ttl_s": 60, "risk": 50, "thresholds": ONE_REVIEW}
    return decision(exchange, "hold", hold=terms, **more)


def _justified(ledger: Ledger, expires_us: int) -> None:
    """Whoever asked says why, then a reviewer approves, and it is sent."""
    held = HeldExchange(expires_us=expires_us)
    first, decided, filed = held.filing()
    decided = replace(
        decided,
        data={**decided.data, "obligations": {**decided.data["obligations"], "justify": True}},
    )
    asked = replace(filed, data={**filed.data, "justify": True})
    ledger.append_batch([first, decided, asked])
    about = {"hold": held.hold, "version": 1, "binding": held.binding}
    why = Event(uuid7(), "hold.justified", held.exchange, STAFF, about, STAFF, _said())
    review = held.review()
    ledger.append_batch([why, review, held.settled([review])])
    sent = held.intent(SESSION)
    ledger.append_batch([sent])
    ledger.append_batch([outcome(sent, body=held.body), held.delivered()])


def _released(ledger: Ledger, expires_us: int) -> None:
    """An answer waits for people, who give it out."""
    held = HeldAnswer(expires_us=expires_us)
    ledger.append_batch(held.asked(SESSION))
    ledger.append_batch(held.waiting())
    review = held.review()
    ledger.append_batch([review, held.settled([review]), held.released(), held.delivered()])


def _edited(ledger: Ledger, expires_us: int) -> None:
    """At the second step somebody changes a call; whoever was asked before is asked again."""
    held = HeldAnswer(stage="tool_call", second="compliance", expires_us=expires_us)
    ledger.append_batch(held.asked(SESSION))
    ledger.append_batch([held.judged("hold", hold=held.terms), held.outcome(), held.filed()])
    ledger.append_batch([held.review(counts_for=["reviewer"])])
    held.version, held.answer = 2, b"with other arguments"
    filed = held.filed()
    wrote = {"editor": SECOND, "narrowed": False, "step": 2}
    ledger.append_batch([replace(filed, data={**filed.data, **wrote})])
    said = [
        held.review(counts_for=["reviewer"]),
        held.review("compliance-1@ledger.example", "deny", step=2, counts_for=["compliance"]),
    ]
    ledger.append_batch([*said, held.settled(said, "denied")])


def _seeded(ledger: Ledger, expires_us: int) -> None:
    """A test item that a reviewer caught."""
    held = HeldExchange(person=OPERATOR, expires_us=expires_us)
    filed = held.filing()[-1]
    left_out = {"backend", "model", "revision"}
    data = {name: value for name, value in filed.data.items() if name not in left_out}
    made_up = replace(
        filed, id=uuid7(), type="hold.seeded", actor=OPERATOR, data={**data, "rule": RULE}
    )
    ledger.append_batch([made_up])
    review = held.review(answer="deny")
    ledger.append_batch([review, held.settled([review], "denied")])


def _drafts(ledger: Ledger) -> None:
    """An answer that waits for a word, and gets it."""
    exchange = uuid7()
    sent = intent(exchange, SESSION)
    ledger.append_batch([received(exchange), decision(exchange, drafts_max=1), sent])
    ledger.append_batch([outcome(sent)])
    hashes = tuple(Payload(name, name.encode()) for name in ("draft", "final"))
    said = {"decision": "edited"}
    ledger.append_batch([Event(uuid7(), "draft.answered", exchange, STAFF, said, STAFF, hashes)])


def _granted(ledger: Ledger) -> None:
    """Two agree to one call in advance, it is used and revoked; another one ends with its rule."""
    about: dict[str, Any] = {"rules": [RULE], "backend": "local", "count": 2, "hours": 1}
    about |= {"risk_below": 60, "counts_for": ["reviewer"], "tool": "send_mail"}
    proposed = [
        replace(_act("grant.proposed", REVIEWER, "terms", **about, **more), principal=meant)
        for meant, more in ((STAFF, {}), (None, {"group": "sales"}))
    ]
    grant, other = proposed
    for one in proposed:
        ledger.append_batch([one])
        said = {"grant": one.id, "counts_for": ["reviewer"]}
        ledger.append_batch([_act("grant.confirmed", SECOND, **said)])
    exchange = uuid7()
    sent = intent(exchange, SESSION)
    ledger.append_batch([received(exchange), decision(exchange), sent])
    terms = {"stage": "tool_call", "ttl_s": 60, "risk": 50, "thresholds": ONE_REVIEW}
    held = decision(exchange, "hold", hold=terms)
    held = replace(held, data={**held.data, "stage": "tool_call", "tool": "send_mail"})
    use = {"grant": grant.id, "decision": held.id, "backend": "local", "number": 1, "remaining": 1}
    ledger.append_batch([Event(uuid7(), "grant.used", exchange, STAFF, use), held])
    ledger.append_batch([outcome(sent)])
    ledger.append_batch([_act("grant.revoked", SECOND, "reason", grant=grant.id)])
    ended = {"grant": other.id, "cause": "rule_gone"}
    ledger.append_batch([Event(uuid7(), "grant.ended", None, None, ended)])


def _opened(ledger: Ledger) -> list[Event]:
    """Somebody breaks the glass, uses it once and is reviewed; terms of drawing are told for it.
    The outcome of the exchange and one that nobody held, both to be drawn; the terms in front.
    """
    terms = _act("sample.terms", "", **TERMS, keep_days=7)
    ledger.append_batch([replace(terms, actor=None)])
    about = {"rules": [RULE], "minutes": 15, "review_hours": 24}
    opening = _act("break_glass.opened", STAFF, "reason", **about)
    ledger.append_batch([opening])
    exchange = uuid7()
    held = _held_request(exchange)
    use = {"opening": opening.id, "decision": held.id, "backend": "local", "number": 1}
    used = Event(uuid7(), "break_glass.used", exchange, STAFF, use)
    sent = intent(exchange, SESSION)
    ledger.append_batch([received(exchange), used, held, sent])
    let_go = outcome(sent)
    ledger.append_batch([let_go])
    ended = {"opening": opening.id, "cause": "person"}
    ledger.append_batch([_act("break_glass.ended", STAFF, **ended)])
    said = {"opening": opening.id, "verdict": "justified", "uses": 1}
    ledger.append_batch([_act("break_glass.reviewed", REVIEWER, "reason", **said)])
    other = uuid7()
    sent = intent(other, SESSION)
    ledger.append_batch([received(other), decision(other), sent])
    plain = outcome(sent)
    ledger.append_batch([plain])
    return [terms, replace(let_go, data={**let_go.data, "opening": opening.id}), plain]


def _sampled(ledger: Ledger, given: list[Event]) -> None:
    """What break-glass let go is drawn whatever the share: two differ and a third decides. What
    nobody held is drawn by its share, and one has judged it.
    """
    terms, let_go, plain = given
    about = {"terms": terms.id, "backend": "local", "model": "small", "rules": [RULE]}
    opening = {"opening": let_go.data["opening"], "person": STAFF}
    whole = {**about, "per_10000": 10_000, "risk": 50, **opening}
    disputed = Event(uuid7(), "sample.drawn", let_go.exchange, STAFF, whole)
    few = {**about, "per_10000": 200, "risk": 0}
    stands = Event(uuid7(), "sample.drawn", plain.exchange, STAFF, few)
    for one in (disputed, stands):
        kept = {"sample": one.id, "content": "cut"}
        ledger.append_batch([one, Event(uuid7(), "sample.kept", one.exchange, STAFF, kept)])
    for who, verdict in ((REVIEWER, "fine"), (SECOND, "concern"), (THIRD, "concern")):
        _judge(ledger, disputed, who, verdict)
    _judge(ledger, stands, REVIEWER, "fine")
    end = {"sample": disputed.id, "outcome": "concern", "by": "third"}
    ledger.append_batch([Event(uuid7(), "sample.closed", disputed.exchange, STAFF, end)])


def _judge(ledger: Ledger, sample: Event, who: str, verdict: str) -> None:
    shown = {"purpose": "review", "part": "sample", "sample": sample.id}
    said = {"sample": sample.id, "verdict": verdict, "counts_for": "reviewer"}
    read = Event(uuid7(), "record.read", sample.exchange, STAFF, shown, who)
    judged = Event(uuid7(), "sample.judged", sample.exchange, STAFF, said, who, _said())
    ledger.append_batch([read, judged])


def _halted(ledger: Ledger) -> None:
    """An operator stops a tool; two let it go on."""
    halt = _act("halt.set", OPERATOR, "reason", scope="tool", name="send_*")
    proposed = _act("halt.lift_proposed", OPERATOR, "reason", halt=halt.id)
    lifted = _act("halt.lifted", OTHER_OPERATOR, halt=halt.id, proposed=proposed.id)
    for one in (halt, proposed, lifted):
        ledger.append_batch([one])

"""Events hold facts and commitments, content stays in payloads, and all of them are writable."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from sekisho.model import evidence
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Observed, Reason
from sekisho.model.outgoing import Approval, Outgoing
from sekisho_audit.events import Event, Payload, check_data, check_payload_names
from support.holds import CANARY, ONE_REVIEW, STAFF, exchange, outgoing

TERMS = HoldTerms("request", ONE_REVIEW, 600, 10)
KEY = b"k" * 32
RESERVED = {"tokens": 500, "spend_micros": 90, "prices": "sha256:1", "groups": ["employees"]}
USED = {"tokens": 40, "spend_micros": 7}


def _outgoing(level: str = "redacted", rewritten: tuple[str, ...] = ()) -> Outgoing:
    leaving = outgoing(exchange(), STAFF, TERMS)
    obligations = replace(leaving.decision.obligations, log_level=level)
    decision = replace(leaving.decision, obligations=obligations)
    return replace(leaving, decision=decision, rewritten=rewritten)


def _all() -> list[Event]:
    asked, leaving = exchange(), _outgoing()
    approval = Approval("hold_1", 1, "b" * 64)
    answer = Payload("answer", CANARY.encode(), None)
    facts = {"http_status": 200, "finish": "stop", "bytes": 3}
    return [
        evidence.received(asked, STAFF, asked.body),
        evidence.decided("x", "staff-7", "request", leaving.decision, CANARY.encode()),
        evidence.intent(leaving, "s1", 1, None),
        evidence.intent(leaving, "s1", 1, approval),
        evidence.outcome(leaving, "i1", "released", answer, facts),
        evidence.intent(leaving, "s1", 1, None, charged=RESERVED),
        evidence.outcome(leaving, "i1", "released", answer, facts, charged=USED),
        evidence.cut(leaving, "i1", "client_gone"),
        evidence.refused("x", None, "policy_denied", 403, "clear"),
        evidence.cancelled("x", "staff-7", "decide"),
        evidence.appealed("x", "staff-7", "staff-7", CANARY, KEY),
        evidence.read("x", "staff-7", "reviewer-1", purpose="review", part="prompt", hold="h"),
        evidence.read("x", "staff-7", "auditor-1", purpose="audit", part="answer"),
    ]


ALL = _all()


@pytest.mark.parametrize("event", ALL, ids=[f"{n}-{event.type}" for n, event in enumerate(ALL)])
def test_every_event_is_one_the_ledger_takes_and_holds_no_content(event: Event) -> None:
    """The table of the ledger accepts it; the prompt is in no field of it."""
    check_data(event.type, event.data)
    check_payload_names(event.type, [payload.name for payload in event.payloads])

    assert CANARY.encode() not in orjson.dumps(dict(event.data))


def test_the_intent_commits_to_the_exact_bytes() -> None:
    """And names what binds it: session, attempt, backend, path, rules."""
    leaving = _outgoing()
    event = evidence.intent(leaving, "s1", 2, None)

    assert leaving.body == event.payloads[0].exact
    assert ("s1", 2, "demo", len(leaving.body)) == tuple(
        event.data[name] for name in ("session", "attempt", "backend", "bytes")
    )
    assert "hold" not in event.data


@pytest.mark.parametrize(
    ("level", "rewritten", "kept"),
    [("full", ("max_tokens",), True), ("full", (), False), ("redacted", ("max_tokens",), False)],
)
def test_outgoing_bytes_are_kept_only_where_they_differ_and_may_be(
    level: str, rewritten: tuple[str, ...], kept: bool
) -> None:
    """Unchanged they are the prompt, which is kept already."""
    event = evidence.intent(_outgoing(level, rewritten), "s1", 1, None)

    assert kept == (event.payloads[0].stored is not None)


def test_only_what_policy_asked_is_written_down() -> None:
    """Defaults are no obligations."""
    assert {"log_level": "redacted"} == evidence.obligations_asked(Obligations())
    asked = evidence.obligations_asked(Obligations(max_tokens=0, hold=TERMS, justify=True))
    assert {"log_level", "max_tokens", "hold", "justify"} == set(asked)


def test_reviews_that_policy_asked_for_are_written_with_the_decision() -> None:
    """As the hold says them: the verifier compares the two."""
    hold = evidence.obligations_asked(Obligations(hold=TERMS))["hold"]

    assert [{"reviewers": "reviewer", "approve": 1, "deny": 1}] == hold["thresholds"]
    assert {"stage", "ttl_s", "risk", "thresholds"} == set(hold)


def test_what_packs_on_trial_would_have_done_is_written_down() -> None:
    """Only if there is something; as much as an event has room for."""
    seen = tuple(Observed("observe", "deny", f"code_{n}", "t.a") for n in range(100))
    silent = evidence.decided("x", "p", "request", Decision(Effect.ALLOW, (), "r"), b"{}")
    event = evidence.decided(
        "x", "p", "request", Decision(Effect.ALLOW, (), "r", observed=seen), b"{}"
    )

    assert "observed" not in silent.data
    assert 64 == len(event.data["observed"])
    check_data(event.type, event.data)
    first = {"mode": "observe", "effect": "deny", "code": "code_0", "rule": "t.a"}
    assert first == event.data["observed"][0]


def test_rules_that_say_too_much_fit_into_a_leaf() -> None:
    """A thousand reasons of a page each are cut, not refused: the deny must be recorded."""
    reasons = tuple(Reason(f"c{n}", "w" * 5000, f"rule.{n}") for n in range(1000))
    event = evidence.decided("x", "p", "request", Decision(Effect.DENY, reasons, "r"), b"{}")

    check_data(event.type, event.data)
    assert evidence.REASONS_MAX == len(event.data["reasons"])
    assert evidence.REASON_CHARS_MAX == len(event.data["reasons"][0]["msg"])


def test_what_is_charged_is_said_once() -> None:
    """Set aside in the intent, used in the outcome; without limits nothing is said."""
    leaving = _outgoing()

    assert evidence.intent(leaving, "s1", 1, None, charged=RESERVED).data["charged"] == RESERVED
    assert "charged" not in evidence.intent(leaving, "s1", 1, None, charged={}).data
    told = evidence.outcome(leaving, "i1", "released", None, {"charged": USED})
    assert told.data["charged"] == USED
    told = evidence.outcome(leaving, "i1", "released", None, {"bytes": 1}, charged=USED)
    assert (told.data["charged"], told.data["bytes"]) == (USED, 1)


def test_the_same_appeal_is_one_and_any_other_another() -> None:
    """Exchange, principal, actor and reason make the id, and none of them can be shifted."""
    first = evidence.appealed("x", "p", "a", "unfair", KEY)

    assert evidence.appealed("x", "p", "a", "unfair", KEY).id == first.id
    others = [
        evidence.appealed("y", "p", "a", "unfair", KEY),
        evidence.appealed("x", "q", "a", "unfair", KEY),
        evidence.appealed("x", "p", "b", "unfair", KEY),
        evidence.appealed("x", "p", "a", "unfair!", KEY),
        evidence.appealed("x", "pa", "", "unfair", KEY),
    ]
    assert len({first.id, *(event.id for event in others)}) == 6


def test_reason_cannot_be_tried_out_on_an_id() -> None:
    """Whoever has the ledger but not the exchange's key learns nothing from the id of an appeal."""
    known = evidence.appealed("x", "p", "a", "unfair", KEY)

    assert known.id != evidence.appealed("x", "p", "a", "unfair", b"o" * 32).id
    assert known.id == known.data["appeal"]


def test_reading_twice_is_recorded_as_often_as_asked() -> None:
    """With an id of the caller's it is one event, without one each is its own."""
    key = evidence.keyed_id(KEY, "read", "reviewer-1", "h", "1")

    def shown(event_id: str | None) -> str:
        return evidence.read("x", "p", "a", purpose="own", part="prompt", event_id=event_id).id

    assert shown(key) == shown(key) == key
    assert shown(None) != shown(None)

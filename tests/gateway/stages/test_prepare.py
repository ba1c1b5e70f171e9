from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from sekisho.errors import DeniedByPolicy
from sekisho.model.assistant import Assistant
from sekisho.model.catalog import Backend, Catalog
from sekisho.model.decision import Decision, Effect, Obligations
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts, Found
from sekisho.model.limits import Estimate
from sekisho.model.outgoing import Outgoing
from sekisho.stages.prepare import prepare, unchanged
from support.holds import STAFF

BODY = b'{ "model":"m", "messages":[{"role":"user","content":"caf\\u00e9"}], "temperature":1.0e0 }'


CATALOG = Catalog((Backend("demo", ("m",), "external"), Backend("house", ("m",), "onprem")))


def _prepared(effect: Effect, body: bytes = BODY, **asked: object) -> Outgoing:
    decision = Decision(effect, (), "sha256:0", replace(Obligations(), **asked))
    exchange = Exchange("x1", 0, "chat.completions", body, orjson.loads(body), "127.0.0.1")
    facts = Facts({"request": {"estimated_tokens": 11}}, "demo", ())
    return prepare(exchange, STAFF, facts, decision, path="/p", before=())


def test_without_obligations_the_clients_own_bytes_go_out() -> None:
    """Spaces, escapes and the spelling of numbers stay as they were."""
    leaving = _prepared(Effect.ALLOW)

    assert BODY == leaving.body
    assert () == leaving.rewritten
    assert ("demo", "/p", "staff-7") == (leaving.backend, leaving.path, leaving.principal)


def test_an_obligation_makes_another_body_and_says_so() -> None:
    """Only what it asks for differs, and the client's parsed request is not touched."""
    leaving = _prepared(Effect.ALLOW, max_tokens=5)

    assert {**orjson.loads(BODY), "max_tokens": 5} == orjson.loads(leaving.body)
    assert leaving.rewritten


def test_a_denied_body_is_not_rewritten() -> None:
    """Nothing will leave, so there is nothing to make."""
    assert BODY == _prepared(Effect.DENY, max_tokens=5).body


def test_approved_bytes_may_not_be_changed_by_todays_obligations() -> None:
    """People approved these bytes, not others."""
    capped = b'{"model":"m","messages":[],"max_tokens":5}'
    unchanged(_prepared(Effect.ALLOW, capped, max_tokens=5), CATALOG)

    leaving = replace(_prepared(Effect.ALLOW, capped, max_tokens=4), body=capped)
    with pytest.raises(DeniedByPolicy) as caught:
        unchanged(leaving, CATALOG)
    assert "policy_changed" == caught.value.code


def test_approved_bytes_go_where_people_saw_them_go() -> None:
    """A route of today that leads elsewhere ends the approval, as other bytes would."""
    leaving = _prepared(Effect.ALLOW, route="demo")
    assert unchanged(leaving, CATALOG).backend == "demo"

    with pytest.raises(DeniedByPolicy, match="route") as caught:
        unchanged(_prepared(Effect.ALLOW, route="trust:onprem"), CATALOG)
    assert "policy_changed" == caught.value.code


def test_what_was_approved_and_is_to_be_masked_today_does_not_leave() -> None:
    found = (Found(("messages", 0, "content"), 0, 3, "email"),)
    leaving = _prepared(Effect.ALLOW, redact=("email",))
    unchanged(leaving, CATALOG)

    with pytest.raises(DeniedByPolicy, match="redact"):
        unchanged(replace(leaving, facts=replace(leaving.facts, found=found)), CATALOG)


@pytest.mark.parametrize(
    ("more", "cap", "tokens"),
    [
        ({}, None, 0),
        ({"max_tokens": 5, "max_completion_tokens": 9}, None, 9),
        ({"max_tokens": 5, "n": 3}, None, 15),
        ({"max_tokens": 500}, 7, 7),
        ({}, 7, 7),
    ],
)
def test_what_sending_may_use_at_most(more: dict[str, int], cap: int | None, tokens: int) -> None:
    """As the bytes that leave ask for it, capped or not, for all the answers together."""
    body = orjson.dumps({"model": "m", "messages": [], **more})
    leaving = _prepared(Effect.ALLOW, body, max_tokens=cap)

    assert Estimate(11, tokens) == leaving.estimate
    assert (
        leaving.estimate == unchanged(replace(leaving, estimate=Estimate(0, 0)), CATALOG).estimate
    )


@pytest.mark.parametrize("effect", list(Effect))
def test_an_assistant_of_other_rules_is_not_sent(effect: Effect) -> None:
    """What was judged has to be what was put in: both by one revision."""
    clerk = Assistant("clerk", "m", "Be brief.", frozenset({"a"}))
    exchange = Exchange("x1", 0, "chat.completions", BODY, orjson.loads(BODY), "127.0.0.1")
    facts = Facts({"request": {"estimated_tokens": 11}}, "demo", ())
    decision = Decision(effect, (), "sha256:2", Obligations())

    for revision, leaves in (("sha256:2", True), ("sha256:1", False)):
        asked = replace(exchange, assistant=clerk, revision=revision)
        if leaves:
            assert BODY == prepare(asked, STAFF, facts, decision, path="/p", before=()).body
            continue
        with pytest.raises(DeniedByPolicy) as caught:
            prepare(asked, STAFF, facts, decision, path="/p", before=())
        assert "policy_changed" == caught.value.code

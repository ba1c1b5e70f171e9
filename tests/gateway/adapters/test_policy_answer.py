"""What rules answered: the same reading for every engine."""

from __future__ import annotations

from sekisho.adapters.policy_answer import failed, no_result, read_result
from sekisho.model.decision import Effect

DENY = {
    "schema": "sekisho.decision/v1",
    "effect": "deny",
    "reasons": [{"code": "x", "msg": "X.", "rule": "r"}],
    "obligations": {},
}


def test_a_decision_is_stamped() -> None:
    """Revision, engine and time come from the adapter, the rest from the rules."""
    decision = read_result(DENY, "sha256:1", engine="e", took_us=7)

    assert ("sha256:1", "e", 7) == (decision.revision, decision.engine, decision.took_us)
    assert ["x"] == [reason.code for reason in decision.reasons]


def test_rules_cannot_name_their_revision() -> None:
    """A key that the contract does not have makes it no decision at all."""
    decision = read_result({**DENY, "revision": "sha256:2"}, "sha256:1", engine="e", took_us=0)

    assert ("policy_malformed", "sha256:1") == (decision.reasons[0].code, decision.revision)


def test_no_decision_is_a_deny_that_says_which_it_was() -> None:
    """Both ways of giving none have one code and two texts."""
    for decision, said in (
        (no_result("sha256:1", engine="e", took_us=0), "no decision"),
        (failed("sha256:1", engine="e", took_us=0), "not be evaluated"),
    ):
        assert (Effect.DENY, "policy_undefined") == (decision.effect, decision.reasons[0].code)
        assert said in decision.reasons[0].msg

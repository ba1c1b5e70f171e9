"""Allow clears, hold waits, deny refuses; an approval clears only under today's rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.clearance import Clearance
from sekisho.errors import DeniedByPolicy
from sekisho.holding.terms import satisfied
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason, Threshold
from sekisho.model.facts import Facts
from sekisho.model.hold import Hold
from sekisho.model.outgoing import Outgoing
from sekisho.stages.clear import Held, clear, clear_approved

ONE = (Threshold("reviewer", 1, 1),)
TWO = (Threshold("reviewer", 2, 1),)
REASON = Reason("label_secret", "Take the passage out.", "default.content.labels")


def _outgoing(effect: Effect, thresholds: tuple[Threshold, ...] = ()) -> Outgoing:
    terms = HoldTerms("request", thresholds, 60, 50) if thresholds else None
    decision = Decision(effect, (REASON,), "sha256:0", Obligations(hold=terms))
    return Outgoing(
        "x", "staff-7", "b", "m", "chat.completions", "/p", b"{}", False,
        Facts({}, "b", ()), decision, (),
    )  # fmt: skip


def _hold(thresholds: tuple[Threshold, ...], *, justify: bool = False) -> Hold:
    return Hold(
        id="h", exchange="x", version=1, stage="request", principal="staff-7", person="staff-7",
        groups=(), roles=(), endpoint="chat.completions", model="m", backend="b", stream=False,
        revision="r", rules=(), reasons=(), thresholds=thresholds, risk=50, created_us=0,
        expires_us=0, wait_until_us=0, binding="bb", outgoing=b"{}", facts=b"{}",
        received_event="e", justify=justify,
    )  # fmt: skip


def _justify(outgoing: Outgoing) -> Outgoing:
    obligations = replace(outgoing.decision.obligations, justify=True)
    return replace(outgoing, decision=replace(outgoing.decision, obligations=obligations))


def test_allow_clears_at_once() -> None:
    """No approval is named, because none was needed."""
    cleared = clear(_outgoing(Effect.ALLOW))

    assert isinstance(cleared, Clearance)
    assert cleared.approval is None


def test_hold_does_not_clear() -> None:
    """The terms of the hold come back instead."""
    held = clear(_outgoing(Effect.HOLD, ONE))

    assert isinstance(held, Held)
    assert ONE == held.terms.thresholds


def test_a_hold_without_terms_is_a_deny() -> None:
    """Nobody could ever answer it."""
    with pytest.raises(DeniedByPolicy) as caught:
        clear(_outgoing(Effect.HOLD))

    assert "policy_malformed" == caught.value.code


def test_deny_says_rule_and_reason() -> None:
    """The message is what the employee reads."""
    with pytest.raises(
        DeniedByPolicy, match=r"Take the passage out\. \(rule default.content.labels\)"
    ):
        clear(_outgoing(Effect.DENY))


def test_deny_without_a_reason_still_says_what_to_do() -> None:
    """A careless rule must not leave the employee with an empty message."""
    outgoing = _outgoing(Effect.DENY)
    outgoing = replace(outgoing, decision=replace(outgoing.decision, reasons=()))

    with pytest.raises(DeniedByPolicy, match="Ask an operator"):
        clear(outgoing)


@pytest.mark.parametrize(
    ("effect", "now", "then", "approvals"),
    [
        (Effect.ALLOW, (), ONE, 1),
        (Effect.HOLD, ONE, ONE, 1),
        (Effect.HOLD, ONE, TWO, 2),
    ],
)
def test_an_approval_that_satisfies_todays_rules_clears(
    effect: Effect, now: tuple[Threshold, ...], then: tuple[Threshold, ...], approvals: int
) -> None:
    """The clearance names the approval it rests on."""
    cleared = clear_approved(_outgoing(effect, now), _hold(then), approvals)

    assert isinstance(cleared, Clearance)
    assert cleared.approval is not None
    assert ("h", 1, "bb") == (
        cleared.approval.hold, cleared.approval.version, cleared.approval.binding,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "then", "approvals"),
    [
        (TWO, ONE, 1),
        (ONE, ONE, 0),
        ((Threshold("compliance", 1, 1),), ONE, 1),
        ((*ONE, Threshold("compliance", 1, 1)), ONE, 1),
    ],
    ids=["more reviews", "no reviews", "other reviewers", "one group more"],
)
def test_rules_that_now_want_more_are_not_satisfied(
    now: tuple[Threshold, ...], then: tuple[Threshold, ...], approvals: int
) -> None:
    """An approval under old rules is not stretched over new ones: people are asked anew."""
    held = clear_approved(_outgoing(Effect.HOLD, now), _hold(then), approvals)

    assert isinstance(held, Held)
    assert satisfied(replace(held.terms, thresholds=now), held.terms.thresholds, 99)
    assert satisfied(replace(held.terms, thresholds=then), held.terms.thresholds, 99)


def test_a_newer_deny_wins_over_an_approval() -> None:
    """People approved it; the rules of today still refuse it."""
    with pytest.raises(DeniedByPolicy):
        clear_approved(_outgoing(Effect.DENY), _hold(ONE), 5)


def test_deny_speaks_every_language_that_some_reason_speaks() -> None:
    """A reason that has only English is told in English among the others."""
    reasons = (
        Reason("a", "Closed.", "t.a", {"zh": "已关闭。"}),
        Reason("b", "Too long.", "t.b"),
    )
    outgoing = _outgoing(Effect.DENY)
    outgoing = replace(outgoing, decision=replace(outgoing.decision, reasons=reasons))

    with pytest.raises(DeniedByPolicy) as caught:
        clear(outgoing)
    assert "Closed. (rule t.a) Too long. (rule t.b)" == caught.value.message
    assert {"zh": "已关闭。 (rule t.a) Too long. (rule t.b)"} == caught.value.texts


def test_an_allowed_request_that_wants_a_reason_does_not_clear() -> None:
    """It waits, and asks no reviewer."""
    held = clear(_justify(_outgoing(Effect.ALLOW)))

    assert isinstance(held, Held)
    assert () == held.terms.thresholds


def test_a_hold_that_wants_a_reason_keeps_its_reviewers() -> None:
    """The reason comes on top; without reviewers it is as malformed as without."""
    held = clear(_justify(_outgoing(Effect.HOLD, ONE)))

    assert isinstance(held, Held)
    assert ONE == held.terms.thresholds
    with pytest.raises(DeniedByPolicy) as caught:
        clear(_justify(_outgoing(Effect.HOLD)))
    assert "policy_malformed" == caught.value.code


@pytest.mark.parametrize("again", [True, False], ids=["asked again", "not any more"])
def test_a_recorded_reason_satisfies_todays_rules(again: bool) -> None:
    outgoing = _outgoing(Effect.ALLOW)
    outgoing = _justify(outgoing) if again else outgoing

    cleared = clear_approved(outgoing, _hold((), justify=True), 0, justified=True)

    assert isinstance(cleared, Clearance)
    assert cleared.approval


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.HOLD])
@pytest.mark.parametrize("asked_then", [True, False])
def test_a_reason_that_was_not_given_is_missing(effect: Effect, asked_then: bool) -> None:
    """Rules that now want one; or a hold that is called approved without it."""
    held = clear_approved(_justify(_outgoing(effect, ONE)), _hold(ONE, justify=asked_then), 1)

    assert isinstance(held, Held)
    assert ONE == held.terms.thresholds


def test_a_reason_does_not_stand_for_reviews() -> None:
    """Rules that now hold it want people."""
    again = clear_approved(
        _justify(_outgoing(Effect.HOLD, ONE)), _hold((), justify=True), 0, justified=True
    )

    assert isinstance(again, Held)
    assert ONE == again.terms.thresholds


def test_rules_that_now_hold_it_and_name_nobody_refuse_it() -> None:
    """Nobody could be asked."""
    outgoing = _outgoing(Effect.HOLD, ONE)
    terms = HoldTerms("request", (), 60, 50)
    decision = replace(outgoing.decision, obligations=Obligations(hold=terms))
    with pytest.raises(DeniedByPolicy) as caught:
        clear_approved(replace(outgoing, decision=decision), _hold(ONE), 1)

    assert "policy_malformed" == caught.value.code


def test_a_newer_deny_wins_over_a_reason() -> None:
    with pytest.raises(DeniedByPolicy) as caught:
        clear_approved(_justify(_outgoing(Effect.DENY)), _hold((), justify=True), 0, justified=True)

    assert "policy_denied" == caught.value.code

"""Answers that wait for people: held as policy asked, given out once, and only as approved."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.standing import RuleBroken
from support.scribe import Scribe, broken, decide, opened, state

ONE = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
TWO = [{"reviewers": "reviewer", "approve": 2, "deny": 1}]
SECURITY = [{"reviewers": "security", "approve": 1, "deny": 2}]
NAMED = {"hold": "h", "version": 1, "binding": "b"}
OUTGOING = [{"name": "hold", "commit": "aa"}, {"name": "outgoing", "commit": "bb"}]
ANSWER = [{"name": "answer", "commit": "bb"}]


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def later(scribe: Scribe, *terms: tuple[str, Any], effect: str = "allow", **hold: Any) -> None:
    """Policy answers about the request, and asks for holds of later stages."""
    asked = [{"stage": stage, "thresholds": thresholds} for stage, thresholds in terms]
    decide(scribe, "x", effect, hold_later=asked, **hold)


def judge(scribe: Scribe, stage: str, effect: str = "allow", **obligations: Any) -> None:
    """Policy answers about the answer, or a tool call in it."""
    told = {"stage": stage, "effect": effect, "obligations": obligations}
    scribe.write("policy.decision", "x", **told)


def wants(scribe: Scribe, stage: str, thresholds: Any, **more: Any) -> None:
    """Policy asks for a hold of what it was asked about."""
    judge(scribe, stage, "hold", hold={"stage": stage, "thresholds": thresholds}, **more)


def send(scribe: Scribe, **more: Any) -> str:
    """The request leaves; the id of its intent."""
    return str(scribe.write("backend.intent", "x", session="s-1", **more)["id"])


def ended(scribe: Scribe, intent: str, status: str = "released", **more: Any) -> str | None:
    """The code with which an outcome is refused, or None."""
    try:
        scribe.write("backend.outcome", "x", intent=intent, status=status, **more)
    except RuleBroken as error:
        scribe.book.roll_back()
        return error.code
    return None


def filing(thresholds: Any = ONE, stage: str = "response", **more: Any) -> dict[str, Any]:
    terms = {"stage": stage, "expires_us": 9, "backend": "b", "thresholds": thresholds}
    return {**NAMED, **terms, **more}


def file(scribe: Scribe, thresholds: Any = ONE, stage: str = "response", **more: Any) -> str | None:
    """The code with which a hold of the answer is refused, or None."""
    leaf = scribe.leaf("hold.filed", "x", **filing(thresholds, stage, **more)) | {"pl": OUTGOING}
    return attempt(scribe, leaf)


def attempt(scribe: Scribe, leaf: dict[str, Any]) -> str | None:
    before = state(scribe.book)
    try:
        scribe.take(leaf)
    except RuleBroken as error:
        scribe.book.roll_back()
        assert state(scribe.book) == before
        return error.code
    return None


def held(scribe: Scribe, thresholds: Any = ONE, stage: str = "response") -> str:
    """An answer that waits, with its hold; the id of its intent."""
    decide(scribe, "x")
    intent = send(scribe)
    wants(scribe, stage, thresholds)
    assert ended(scribe, intent, "held") is None
    assert file(scribe, thresholds, stage) is None
    return intent


def review(scribe: Scribe, who: str, decision: str = "approve", **named: Any) -> str:
    told = {**NAMED, **named, "decision": decision}
    leaf = scribe.leaf("hold.review", "x", **told) | {"actor": who}
    scribe.take(leaf)
    return str(leaf["id"])


def settle(scribe: Scribe, *reviews: str, how: str = "approved", **named: Any) -> None:
    told = {**NAMED, **named, "state": how, "reviews": list(reviews)}
    scribe.write("hold.settled", "x", **told)


def approved(scribe: Scribe, thresholds: Any = ONE, stage: str = "response") -> str:
    """An answer that people let pass."""
    intent = held(scribe, thresholds, stage)
    settle(scribe, review(scribe, "p-2"))
    return intent


def release(scribe: Scribe, stage: str = "response", pl: Any = ANSWER, **more: Any) -> str | None:
    """The code with which the release is refused, or None."""
    named = {name: more.pop(name) for name in ("principal", "exchange") if name in more}
    leaf = scribe.leaf("hold.released", "x", **{**NAMED, "stage": stage, **more})
    return attempt(scribe, leaf | {"pl": pl} | named)


# -- an ordinary outcome


@pytest.mark.parametrize("stage", ["tool_call", "response", "a stage that nobody knows"])
@pytest.mark.parametrize("effect", ["hold", "deny"])
def test_answer_that_policy_did_not_let_pass_is_not_released(
    scribe: Scribe, stage: str, effect: str
) -> None:
    """Whatever it says of the next call; to stop it is always possible."""
    decide(scribe, "x")
    intent = send(scribe)
    judge(scribe, stage, effect)
    judge(scribe, stage)
    wanted = "denied_release" if effect == "deny" else "unapproved_release"
    assert ended(scribe, intent) == wanted
    assert ended(scribe, intent, "stopped") is None
    late = scribe.leaf("outcome.late", "x", intent=intent, status="released")
    assert attempt(scribe, late) == wanted


def test_answer_that_was_to_be_held_is_not_released(scribe: Scribe) -> None:
    """The decision about the request says so; a later word about it does not take it back."""
    later(scribe, ("response", ONE))
    decide(scribe, "x")
    intent = send(scribe)
    judge(scribe, "response")
    assert ended(scribe, intent) == "unapproved_release"
    assert ended(scribe, intent, "released", http_status=200) == "unapproved_release"
    assert ended(scribe, intent, "failed") is None


def test_hold_of_a_later_stage_in_a_decision_to_hold_counts_too(scribe: Scribe) -> None:
    """As the first packs said it; the request itself passes."""
    decide(scribe, "x", "hold", hold={"stage": "response", "thresholds": TWO})
    intent = send(scribe)
    assert ended(scribe, intent) == "unapproved_release"
    assert ended(scribe, intent, "held") is None
    assert file(scribe, ONE) == "undecided_hold"
    assert file(scribe, TWO) is None


def test_error_of_a_backend_is_no_answer_that_was_foreseen(scribe: Scribe) -> None:
    """Nobody reviews what a backend says of its own trouble, unless policy was asked about it."""
    later(scribe, ("response", ONE), ("tool_call", ONE))
    assert ended(scribe, send(scribe), http_status=429) is None
    intent = send(scribe)
    judge(scribe, "response", "deny")
    assert ended(scribe, intent, http_status=429) == "denied_release"


def test_hold_of_tool_calls_needs_a_tool_call(scribe: Scribe) -> None:
    """An answer without any is released; with one, whatever policy says of it, it is not."""
    later(scribe, ("tool_call", ONE))
    assert ended(scribe, send(scribe)) is None
    intent = send(scribe)
    judge(scribe, "tool_call", tool="look")
    assert ended(scribe, intent) == "unapproved_release"


def test_another_answer_is_judged_by_itself(scribe: Scribe) -> None:
    """What was said of the first is not said of the second; what was foreseen is."""
    decide(scribe, "x")
    first = send(scribe)
    judge(scribe, "tool_call", "deny")
    assert ended(scribe, first, "stopped") is None
    assert ended(scribe, send(scribe)) is None


def test_second_intent_does_not_wash_off_what_was_said_of_the_first(scribe: Scribe) -> None:
    """As long as the first has no outcome nobody knows whose answer it is."""
    decide(scribe, "x")
    first = send(scribe)
    judge(scribe, "tool_call", "deny")
    send(scribe)
    assert ended(scribe, first) == "denied_release"


def test_decisions_before_the_intent_are_about_no_answer(scribe: Scribe) -> None:
    decide(scribe, "x")
    judge(scribe, "response", "deny")
    assert ended(scribe, send(scribe)) is None


def test_function_is_named_with_a_tool_call_only(scribe: Scribe) -> None:
    told = {"effect": "allow", "obligations": {}, "tool": "look"}
    scribe.write("policy.decision", "x", stage="tool_call", **told)
    for stage in ("request", "response"):
        assert broken(scribe, "policy.decision", "x", stage=stage, **told) == "bad_decision"


# -- filing


def test_hold_of_an_answer_follows_its_outcome(scribe: Scribe) -> None:
    """Not the decision alone, nor the intent, nor another outcome."""
    later(scribe, ("response", ONE))
    assert file(scribe) == "unanswered_hold"
    intent = send(scribe)
    assert file(scribe) == "unanswered_hold"
    assert ended(scribe, intent, "unknown") is None
    assert file(scribe) == "unanswered_hold"
    late = scribe.leaf("outcome.late", "x", intent=intent, status="held")
    assert attempt(scribe, late) is None
    assert file(scribe) == "unanswered_hold"


ASKED_IN_ALL = {
    "both stages": ([*TWO, *SECURITY], "response"),
    "more than asked": (
        [*TWO, *SECURITY, {"reviewers": "law", "approve": 1, "deny": 1}],
        "response",
    ),
}
TOO_FEW = {
    "one stage": (TWO, "response"),
    "the other": (SECURITY, "response"),
    "fewer approvals": ([*ONE, *SECURITY], "response"),
    "more denials": ([{**TWO[0], "deny": 2}, *SECURITY], "response"),
    "the earlier stage": ([*TWO, *SECURITY], "tool_call"),
    "nobody": ([], "response"),
}


def both_stages(scribe: Scribe) -> None:
    """A call that policy holds, another that it holds more, and an answer to be held."""
    later(scribe, ("response", SECURITY))
    intent = send(scribe)
    wants(scribe, "tool_call", ONE)
    wants(scribe, "tool_call", [{**TWO[0], "deny": 3}])
    judge(scribe, "tool_call")
    assert ended(scribe, intent, "held") is None


@pytest.mark.parametrize("story", ASKED_IN_ALL)
def test_one_hold_asks_for_all(scribe: Scribe, story: str) -> None:
    """Of the same reviewers the most approvals and the fewest denials, at the later stage."""
    both_stages(scribe)
    assert file(scribe, *ASKED_IN_ALL[story]) is None


@pytest.mark.parametrize("story", TOO_FEW)
def test_hold_with_less_than_was_asked_is_refused(scribe: Scribe, story: str) -> None:
    both_stages(scribe)
    assert file(scribe, *TOO_FEW[story]) == "undecided_hold"


def test_hold_foreseen_for_tool_calls_is_of_their_stage(scribe: Scribe) -> None:
    later(scribe, ("tool_call", TWO))
    intent = send(scribe)
    judge(scribe, "tool_call")
    assert ended(scribe, intent, "held") is None
    assert file(scribe, TWO, "response") == "undecided_hold"
    assert file(scribe, ONE, "tool_call") == "undecided_hold"
    assert file(scribe, TWO, "tool_call") is None


def test_tool_call_can_ask_for_a_hold_of_the_answer(scribe: Scribe) -> None:
    decide(scribe, "x")
    intent = send(scribe)
    judge(scribe, "tool_call", hold_later=[{"stage": "response", "thresholds": TWO}])
    assert ended(scribe, intent) == "unapproved_release"
    assert ended(scribe, intent, "held") is None
    assert file(scribe, ONE) == "undecided_hold"
    assert file(scribe, TWO) is None


ODD = [
    None,
    "response",
    {},
    [None],
    [{"stage": "request", "thresholds": ONE}],
    [{"stage": "later", "thresholds": ONE}],
    [{"stage": ["response"], "thresholds": ONE}],
    [{"stage": "response", "thresholds": "reviewer"}],
    [{"stage": "response", "thresholds": [{"reviewers": "reviewer"}]}],
    [{"stage": "response", "thresholds": [{**ONE[0], "approve": True}]}],
    [{"stage": "response", "thresholds": [{**ONE[0], "approve": 0}]}],
    [{"stage": "response", "thresholds": [*ONE, 7]}],
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("about", ["request", "tool_call"])
def test_what_does_not_read_was_asked_for_all_the_same(
    scribe: Scribe, odd: Any, about: str
) -> None:
    """Nothing of it is released, and no hold is enough."""
    decide(scribe, "x")
    if about == "request":
        decide(scribe, "x", hold_later=odd)
    intent = send(scribe)
    if about == "tool_call":
        judge(scribe, "tool_call", hold_later=odd)
    assert ended(scribe, intent) == "unapproved_release"
    wants(scribe, "response", ONE)  # together with what reads
    assert ended(scribe, intent, "held") is None
    assert file(scribe, [*TWO, *SECURITY]) == "undecided_hold"


def test_hold_at_a_stage_that_was_or_is_none_is_of_the_stage_asked_about(scribe: Scribe) -> None:
    """A decision to hold holds something."""
    decide(scribe, "x", "hold", hold={"stage": "elsewhere"})
    assert broken(scribe, "backend.intent", "x", session="s-1") == "unapproved_intent"
    decide(scribe, "y")
    intent = scribe.write("backend.intent", "y", session="s-1")["id"]
    told = {"stage": "response", "effect": "hold", "obligations": {"hold": {"stage": "request"}}}
    scribe.write("policy.decision", "y", **told)
    out = {"intent": intent, "status": "released"}
    assert broken(scribe, "backend.outcome", "y", **out) == "unapproved_release"


def test_denied_answer_is_not_shown_to_people_for_approval(scribe: Scribe) -> None:
    """Deny beats hold."""
    decide(scribe, "x")
    intent = send(scribe)
    wants(scribe, "tool_call", ONE)
    judge(scribe, "tool_call", "deny")
    assert ended(scribe, intent, "held") == "denied_release"


def test_answer_has_one_hold(scribe: Scribe) -> None:
    """Filed again in a higher version only, under the same name and for no less."""
    held(scribe, TWO)
    assert file(scribe, TWO, hold="other") == "hold_taken"
    assert file(scribe, TWO) == "stale_hold"
    assert file(scribe, ONE, version=2) == "undecided_hold"
    assert file(scribe, TWO, version=2) is None


def test_hold_of_a_request_is_none_of_its_answer(scribe: Scribe) -> None:
    """Nor is it filed again as one, though the version is higher; nor the other way round."""
    intent = held_request(scribe)
    wants(scribe, "response", ONE)
    assert ended(scribe, intent, "held") is None
    assert file(scribe, version=2) == "hold_taken"
    assert file(scribe, hold="g") is None
    assert file(scribe, ONE, "request", hold="g", version=2) == "hold_taken"


def held_request(scribe: Scribe) -> str:
    """A request that people let pass, sent; the id of its intent."""
    decide(scribe, "x", "hold", hold={"stage": "request", "thresholds": ONE})
    leaf = scribe.leaf("hold.filed", "x", **filing(ONE, "request"))
    scribe.take(leaf | {"pl": [{"name": "outgoing", "commit": "aa"}]})
    settle(scribe, review(scribe, "p-2"))
    sent = scribe.leaf("backend.intent", "x", session="s-1", backend="b", **NAMED)
    scribe.take(sent | {"pl": [{"name": "outgoing", "commit": "aa"}]})
    return str(sent["id"])


def test_hold_is_in_the_name_of_who_asked(scribe: Scribe) -> None:
    """In another name the requester could review it."""
    decide(scribe, "x")
    assert ended(scribe, send(scribe), "held") is None
    leaf = scribe.leaf("hold.filed", "x", **filing()) | {"pl": OUTGOING, "principal": "p-3"}
    assert attempt(scribe, leaf) == "undecided_hold"


def test_hold_that_nobody_asked_for_is_filed_all_the_same(scribe: Scribe) -> None:
    """More than policy wanted; then it holds like any other."""
    decide(scribe, "x")
    intent = send(scribe)
    assert ended(scribe, intent, "held") is None
    assert file(scribe) is None
    assert release(scribe) == "unapproved_release"


def test_answer_that_was_held_is_not_released_with_another_outcome(scribe: Scribe) -> None:
    """Neither by a late one, nor by sending again, whether people approved it or not."""
    intent = approved(scribe)
    late = scribe.leaf("outcome.late", "x", intent=intent, status="released")
    assert attempt(scribe, late) == "unapproved_release"
    assert ended(scribe, send(scribe)) == "unapproved_release"


def test_answer_that_waits_and_has_no_hold_is_told(scribe: Scribe) -> None:
    """A writer may be killed between the two; only a whole request is refused."""
    decide(scribe, "x")
    leaf = scribe.leaf("backend.outcome", "x", intent=send(scribe), status="held")
    assert attempt(scribe, leaf) is None
    assert scribe.book.unfiled() == ["x"]
    with pytest.raises(RuleBroken) as caught:
        scribe.book.check_request([leaf])
    assert caught.value.code == "unfiled_hold"
    assert file(scribe) is None
    assert scribe.book.unfiled() == []
    scribe.book.check_request([leaf])


# -- releasing


@pytest.mark.parametrize("stage", ["tool_call", "response"])
def test_approved_answer_is_given_out_once(scribe: Scribe, stage: str) -> None:
    """Then, and not before, it can have reached its requester."""
    approved(scribe, stage=stage)
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"
    judge(scribe, stage)
    assert release(scribe, stage) is None
    assert release(scribe, stage) == "duplicate_release"
    scribe.write("hold.delivered", "x", hold="h")
    assert file(scribe, ONE, stage, version=2) == "hold_taken"


CHANGED: dict[str, dict[str, Any]] = {
    "other bytes": {"pl": [{"name": "answer", "commit": "cc"}]},
    "no bytes": {"pl": []},
    "bytes by another name": {"pl": [{"name": "outgoing", "commit": "bb"}]},
    "another binding": {"binding": "c"},
    "another version": {"version": 2},
    "another stage": {"stage": "tool_call"},
    "another's name": {"principal": "p-2"},
    "nobody's name": {"principal": None},
}


@pytest.mark.parametrize("story", CHANGED)
def test_only_what_was_approved_is_given_out(scribe: Scribe, story: str) -> None:
    approved(scribe)
    assert release(scribe, **CHANGED[story]) == "unapproved_release"
    assert release(scribe) is None


def test_hold_of_another_exchange_is_not_released(scribe: Scribe) -> None:
    approved(scribe)
    decide(scribe, "y")
    assert release(scribe, exchange="y") == "unknown_hold"
    assert release(scribe, hold="g") == "unknown_hold"


@pytest.mark.parametrize("how", ["denied", "expired", "withdrawn"])
def test_answer_of_a_hold_that_was_not_approved_stays(scribe: Scribe, how: str) -> None:
    held(scribe)
    assert release(scribe) == "unapproved_release"
    said = [review(scribe, "p-2", "deny")] if how == "denied" else []
    settle(scribe, *said, how=how)
    assert release(scribe) == "unapproved_release"
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"


def test_answer_is_approved_by_as_many_as_were_asked_and_not_by_who_asked(scribe: Scribe) -> None:
    """A hold of an answer is reviewed as any other."""
    held(scribe, TWO)
    one = review(scribe, "p-2")
    told = {**NAMED, "state": "approved", "reviews": [one]}
    assert broken(scribe, "hold.settled", "x", **told) == "unreviewed_approval"
    own = scribe.leaf("hold.review", "x", **NAMED, decision="approve") | {"actor": "p-1"}
    assert attempt(scribe, own) == "self_review"
    settle(scribe, one, review(scribe, "p-3"))
    assert release(scribe) is None


def test_approval_of_an_earlier_version_is_worth_nothing(scribe: Scribe) -> None:
    """An edit makes a new one, with other bytes."""
    approved(scribe)
    assert file(scribe, ONE, version=2) is None
    assert release(scribe) == "unapproved_release"
    assert release(scribe, version=2) == "unapproved_release"
    settle(scribe, review(scribe, "p-2", version=2), version=2)
    assert release(scribe) == "unapproved_release"
    assert release(scribe, version=2) is None


def test_approval_of_a_request_gives_out_no_answer(scribe: Scribe) -> None:
    """With whatever stage is said, before and after its intent."""
    intent = held_request(scribe)
    same = [{"name": "answer", "commit": "aa"}]
    for stage in ("request", "response"):
        assert release(scribe, stage, same) == "unapproved_release"
    assert ended(scribe, intent) is None
    assert release(scribe, "request", same) == "unapproved_release"


def test_approval_of_an_answer_sends_no_request(scribe: Scribe) -> None:
    approved(scribe)
    sent = scribe.leaf("backend.intent", "x", session="s-1", backend="b", **NAMED)
    assert attempt(scribe, sent | {"pl": OUTGOING}) == "unapproved_intent"


AGAIN: dict[str, tuple[str, Any, str | None]] = {
    "as before": ("hold", ONE, None),
    "let pass": ("allow", None, None),
    "denied": ("deny", None, "denied_release"),
    "one more of them": ("hold", TWO, "unapproved_release"),
    "others": ("hold", SECURITY, "unapproved_release"),
    "nothing that reads": ("hold", "reviewer", "unapproved_release"),
}


@pytest.mark.parametrize("story", AGAIN)
def test_policy_asked_again_wants_no_more(scribe: Scribe, story: str) -> None:
    """One call that it lets pass does not undo what it says of another."""
    approved(scribe, ONE, "tool_call")
    effect, thresholds, code = AGAIN[story]
    asked = {} if thresholds is None else {"hold": {"stage": "tool_call", "thresholds": thresholds}}
    judge(scribe, "tool_call", effect, **asked)
    judge(scribe, "tool_call")
    assert release(scribe, "tool_call") == code


def test_policy_that_now_holds_the_answer_is_not_satisfied_by_its_calls(scribe: Scribe) -> None:
    """Who was asked about calls was not asked about the answer."""
    approved(scribe, ONE, "tool_call")
    judge(scribe, "tool_call", hold_later=[{"stage": "response", "thresholds": ONE}])
    assert release(scribe, "tool_call") == "unapproved_release"


def test_another_intent_does_not_wash_off_a_denial(scribe: Scribe) -> None:
    """Nor a batch that was rolled back."""
    approved(scribe)
    judge(scribe, "response", "deny")
    assert ended(scribe, send(scribe), "failed") is None
    assert release(scribe) == "denied_release"


def test_held_request_whose_answer_waits_is_not_delivered_yet(scribe: Scribe) -> None:
    """Two holds of one exchange: neither is delivered before people let the answer pass."""
    intent = held_request(scribe)
    wants(scribe, "response", ONE)
    assert ended(scribe, intent, "held") is None
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"
    assert file(scribe, hold="g") is None
    settle(scribe, review(scribe, "p-2", hold="g"), hold="g")
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"
    assert release(scribe, hold="g") is None
    for hold in ("h", "g"):
        scribe.write("hold.delivered", "x", hold=hold)

"""What of an answer may be given back, by what the rules say of it and of its calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.content.scan import Scanner
from sekisho.errors import Halted, PolicyUnavailable, Unavailable
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Threshold
from sekisho.model.facts import Facts
from sekisho.model.outgoing import Outgoing
from sekisho.model.verdict import UNTOUCHED, Verdict
from sekisho.stages.guard import ARGUMENTS_BYTES_MAX, CALLS_MAX, Guard, reads_whole
from support.holds import ONE_REVIEW, TWO_REVIEWS
from support.line import ALLOW, Rules, decision
from support.rules import document
from support.switch import Switch, halt

CALLS_HELD = HoldTerms("tool_call", ONE_REVIEW, 600, 10)
ANSWER_HELD = HoldTerms("response", TWO_REVIEWS, 60, 80)
WHOLE = decision(Effect.ALLOW, review_response=True)
DENY = decision(Effect.DENY)


def answer(*names: str, text: str = "four", arguments: str = '{"id": 7}') -> dict[str, Any]:
    """An answer that calls these functions."""
    calls = [{"id": n, "function": {"name": n, "arguments": arguments}} for n in names]
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    return {"id": "c", "choices": [{"index": 0, "message": message, "logprobs": {"x": text}}]}


def judge(
    said: Any,
    rules: Rules,
    asked: Decision = ALLOW,
    *,
    seen: bool = False,
    switch: Switch | None = None,
) -> Verdict:
    """The verdict about an answer to a request that was decided as `asked`."""
    guard = _guard(rules, asked, switch)
    return asyncio.run(guard.calls_of(said) if seen else guard.whole(said))


def _guard(rules: Rules, asked: Decision, switch: Switch | None = None) -> Guard:
    facts = Facts(document(approval__state="approved", approval__by=["reviewer-1"]), "b", ())
    leaving = Outgoing(
        "x1", "staff-7", "b", "m", "chat.completions", "/p", b"{}", False, facts, asked, ()
    )

    async def ask(about: Facts) -> Decision:
        return await rules.decide(about.document)

    return Guard(leaving, Scanner({"secret": ["strictly confidential"]}), ask, switch or Switch())


def test_an_answer_without_calls_costs_no_question() -> None:
    """Unless the request's decision wants it read."""
    rules = Rules()

    assert UNTOUCHED == judge(answer(), rules)
    assert not rules.asked


def test_each_call_is_asked_about_as_itself() -> None:
    """Name, arguments and content are the call's; the request and who asks stay; the approval of
    the request is none of the call.
    """
    rules = Rules()

    verdict = judge(
        answer("crm.write", "kb.find", arguments='{"to": "li.wei@corp.example"}'), rules
    )

    assert Effect.ALLOW is verdict.effect
    assert ["tool_call", "tool_call"] == [one["stage"] for one in rules.asked]
    first = rules.asked[0]
    said = {"to": "li.wei@corp.example"}
    assert {"name": "crm.write", "arguments": said, "whole": True} == first["tool"]
    assert {"email": 1} == first["content"]["entities"]
    assert {"state": "none", "by": []} == first["approval"]
    assert document()["request"] == first["request"]


def test_long_arguments_are_not_passed_on() -> None:
    """The rules are told that they do not see them."""
    rules = Rules()

    judge(answer("a", arguments='{"x": "%s"}' % ("y" * ARGUMENTS_BYTES_MAX)), rules)

    assert {"name": "a", "arguments": {}, "whole": False} == rules.asked[0]["tool"]


def test_one_call_that_is_denied_takes_all_along() -> None:
    """Nothing of the turn is given on; the notice says which and why."""
    rules = Rules(later={"tool_call:crm.write": DENY})

    verdict = judge(answer("kb.find", "crm.write"), rules)

    assert (Effect.DENY, "tool_call_denied") == (verdict.effect, verdict.cause)
    assert "crm.write: not allowed. Because. (rule rule.a)" in verdict.notice
    assert "kb.find" not in verdict.notice


@pytest.mark.parametrize("said", [answer("a", arguments="{"), answer(*["a"] * (CALLS_MAX + 1))])
@pytest.mark.parametrize("seen", [False, True])
def test_what_cannot_be_judged_is_not_asked_about(said: Any, seen: bool) -> None:
    """Malformed arguments, or more calls than anybody would look at."""
    rules = Rules()

    verdict = judge(said, rules, seen=seen)

    assert (Effect.DENY, "tool_call_malformed") == (verdict.effect, verdict.cause)
    assert verdict.notice
    assert not rules.asked


def test_what_people_have_to_see_is_held_on_terms_that_meet_all() -> None:
    """Of the request's decision, of each call's, of the answer's."""
    held = decision(Effect.HOLD, hold=HoldTerms("tool_call", (Threshold("legal", 1, 1),), 30, 5))
    asked = decision(Effect.ALLOW, hold_later=(CALLS_HELD, ANSWER_HELD))

    verdict = judge(answer("a"), Rules(later={"tool_call": held}), asked)

    assert Effect.HOLD is verdict.effect
    everybody = (Threshold("legal", 1, 1), *TWO_REVIEWS)
    assert HoldTerms("response", everybody, 30, 80) == verdict.terms


def test_terms_for_calls_hold_no_answer_without_any() -> None:
    """But the rules are asked about it."""
    rules = Rules()

    verdict = judge(answer(), rules, decision(Effect.ALLOW, hold_later=(CALLS_HELD,)))

    assert Effect.ALLOW is verdict.effect
    assert ["response"] == [one["stage"] for one in rules.asked]


def test_the_answers_own_words_are_judged() -> None:
    """Labels and kinds are those of the answer."""
    rules = Rules(later={"response": DENY})

    verdict = judge(answer(text="strictly confidential"), rules, WHOLE)

    assert (Effect.DENY, "answer_denied") == (verdict.effect, verdict.cause)
    assert ["secret"] == rules.asked[0]["content"]["labels"]
    assert verdict.refused is not None


def test_what_the_rules_want_masked_is_masked_before_anybody_sees_it() -> None:
    """With it go the probabilities, which would spell it."""
    masks = decision(Effect.HOLD, redact=("email",), hold=ANSWER_HELD)

    verdict = judge(answer(text="ask li.wei@corp.example"), Rules(later={"response": masks}), WHOLE)

    assert Effect.HOLD is verdict.effect
    assert verdict.rewritten is not None
    (choice,) = verdict.rewritten["choices"]
    assert "ask [EMAIL]" == choice["message"]["content"]
    assert "li.wei" not in str(verdict.rewritten)
    assert "c" == verdict.rewritten["id"]


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        (Rules(later={"tool_call": decision(Effect.HOLD, hold=CALLS_HELD)}), ALLOW),
        (Rules(), decision(Effect.ALLOW, hold_later=(CALLS_HELD,))),
    ],
)
def test_a_stream_under_way_cannot_wait_for_people(rules: Rules, asked: Decision) -> None:
    """Its call is withheld, and who asked is told how to get it reviewed."""
    verdict = judge(answer("a"), rules, asked, seen=True)

    assert (Effect.DENY, "tool_call_unreviewed") == (verdict.effect, verdict.cause)
    assert "without streaming" in verdict.notice


def test_something_in_the_place_of_a_call_is_withheld() -> None:
    """A stream stopped for a call that then cannot be read as one."""
    verdict = judge(answer(), Rules(), seen=True)

    assert (Effect.DENY, "tool_call_malformed") == (verdict.effect, verdict.cause)


def test_without_rules_nothing_is_given_back() -> None:
    """I5."""
    rules = Rules(later={"tool_call": PolicyUnavailable("late", cause="late")})

    with pytest.raises(PolicyUnavailable):
        judge(answer("a"), rules)


def test_what_cannot_be_looked_through_is_not_given_back() -> None:
    """The text stands in no error."""
    deep: Any = "canary"
    for _ in range(200):
        deep = [deep]
    said = answer()
    said["choices"][0]["message"]["content"] = deep

    with pytest.raises(Unavailable) as caught:
        judge(said, Rules(), WHOLE)

    assert "scanner_failed" == caught.value.code
    assert "canary" not in str(caught.value)


def test_what_was_decided_is_told_with_the_function() -> None:
    """One event a question, with the input that was asked."""
    guard = _guard(Rules(), WHOLE)
    verdict = asyncio.run(guard.whole(answer("a")))

    events = guard.events(verdict)

    assert [("tool_call", "a"), ("response", None)] == [
        (event.data["stage"], event.data.get("tool")) for event in events
    ]
    assert all(event.payloads[0].name == "input" for event in events)


def test_when_an_answer_is_read_whole() -> None:
    """Where policy says so, or sets terms for later."""
    assert not reads_whole(ALLOW)
    assert reads_whole(WHOLE)
    asked = Obligations(hold_later=(CALLS_HELD,))
    assert reads_whole(Decision(Effect.ALLOW, (), "r", asked))


def test_a_call_of_a_halted_tool_is_withheld_unasked() -> None:
    """However it is spelled, with what else is called beside it; the reason is told."""
    for seen in (False, True):
        rules, switch = Rules(), Switch()
        switch.set(halt("tool", "crm.*"))

        verdict = judge(answer("kb.find", "CRM.write"), rules, seen=seen, switch=switch)

        assert (Effect.DENY, "halted") == (verdict.effect, verdict.cause)
        assert "An operator stopped the tool crm.*: There is a leak." in verdict.notice
        assert not rules.asked


def test_rules_are_told_what_stands_now() -> None:
    """Not what stood when the request was decided."""
    rules, switch = Rules(), Switch()
    switch.set(halt())

    judge(answer("kb.find"), rules, switch=switch)

    assert [True] == [one["context"]["halt"] for one in rules.asked]


async def test_an_answer_goes_on_as_long_as_nothing_stops_it() -> None:
    """Its team, model and backend are what is asked about."""
    rules, switch = Rules(), Switch()
    guard = _guard(rules, ALLOW, switch)
    await guard.go_on()

    for scope, name in (("team", "employees"), ("model", "m"), ("backend", "b"), ("all", "")):
        switch.set(halt(scope, name))
        with pytest.raises(Halted):
            await guard.go_on()

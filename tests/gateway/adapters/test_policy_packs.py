"""Modes, the ladder and the sectors: every slip in them is told, none does nothing in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_data import NotPolicyData, read_data
from sekisho.adapters.policy_packs import unlisted
from sekisho.errors import PolicyRejected
from sekisho.model.decision import Decision, Effect
from support.rules import SHIPPED, answer, bundle, call, document

SHIPPED_DATA = (SHIPPED / "data.yaml").read_text("utf-8")
SECTORS = ("government", "finance", "healthcare")


def said(old: str, new: str) -> str:
    """What the shipped data.yaml is refused with, once `old` is `new`."""
    assert old in SHIPPED_DATA
    with pytest.raises(NotPolicyData) as caught:
        read_data(SHIPPED_DATA.replace(old, new, 1).encode())
    return "\n".join(text for _, text in caught.value.faults)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("default: enforce", "default: enforced", "modes.default"),
        ('finance: "off"', "finance: off", "modes.finance"),
        ("ladder: []", 'ladder: [{for: "group:a", step: 4}]', "ladder.0.step"),
        ("ladder: []", 'ladder: [{for: "group:A", step: 1}]', "did you mean group:a?"),
        ("ladder: []", 'ladder: [{for: "team:a", step: 1}]', "ladder.0.for"),
        ("ladder: []", 'ladder: [{for: "group:a:b", step: 1}]', "ladder.0.for"),
        ("ladder: []", 'ladder: [{for: "group:a", step: 1, tools: ["x"]}]', "on step 3 only"),
        ("groups:\n", "groups:\n  a: {models: [], hours: {from: 9, to: 9}}\n", "before to"),
        ("groups:\n", "groups:\n  a: {models: [], hours: {to: 9}}\n", "from"),
        ("groups:\n", "groups:\n  a: {models: [], hours: {from: 1, to: 9, days: [x]}}\n", "days"),
        ("denied:\n    secret:\n", "denied:\n    review: {zh: x}\n    secret:\n", "en"),
        ('"state_secret", "secret"', '"state_secrt"', "did you mean state_secret?"),
        ('inside_information: ["inv', 'inside_infrmation: ["inv', "no line of words"),
        ('["clinicians"]', '["Clinicians"]', "did you mean clinicians?"),
        ('masked_entities: ["card"]', 'masked_entities: ["cards"]', "did you mean card?"),
        ("retain_days: 2190", "retain_days: 0", "retain_days"),
        ("client_groups: []", 'client_groups: ["Sales"]', "did you mean sales?"),
        ("answers_reviewed: true", 'answers_reviewed: "yes"', "answers_reviewed"),
    ],
)
def test_slips(old: str, new: str, text: str) -> None:
    """Each names its place, or what was probably meant."""
    assert text in said(old, new)


def test_a_sector_in_force_has_to_say_something() -> None:
    """A pack whose data is not there would let everything through."""
    cut = SHIPPED_DATA[SHIPPED_DATA.index("sectors:") : SHIPPED_DATA.index("# How much may be")]
    source = SHIPPED_DATA.replace(cut, "").replace('finance: "off"', "finance: observe")
    with pytest.raises(NotPolicyData) as caught:
        read_data(source.encode())
    assert "modes.finance: the pack finance reads sectors.finance" in str(caught.value)


def test_packs_and_modes_fit() -> None:
    """A pack without a mode is asked nothing, a mode without a pack is a slip."""
    assert not list(unlisted(["a"], {"a": "enforce"}))
    ((pack, text),) = unlisted(["a", "b"], {"a": "enforce"})
    assert (pack, True) == ("b", "has no mode" in text)
    ((name, text),) = unlisted(["government"], {"government": "off", "goverment": "warn"})
    assert ("goverment", True) == (name, "did you mean government?" in text)


def test_a_bundle_with_a_pack_in_no_mode_is_refused(tmp_path: Path) -> None:
    """Rules that nobody asks are found when they are put in, not when they are needed."""
    made = bundle(tmp_path, packs__team__a="package packs.team.a\n\nx := 1\n")
    data = made / "data.yaml"
    data.write_text(data.read_text("utf-8").replace('  team: "enforce"\n', ""), "utf-8")

    with pytest.raises(PolicyRejected) as caught:
        read_bundle(made)
    assert "packs/team/a.rego:1:1: the pack team has no mode" in str(caught.value)


async def decided(folder: Path, mode: str, **facts: object) -> Decision:
    """What the shipped rules say with every sector in this mode."""
    changes = {f'{sector}: "off"': f"{sector}: {mode}" for sector in SECTORS}
    (decision,) = await answers(folder, changes, document(**facts))
    return decision


async def answers(
    folder: Path, changes: Mapping[str, str], *asked: dict[str, Any]
) -> list[Decision]:
    """What the shipped rules say, with these changes in data.yaml."""
    made = bundle(folder)
    text = (made / "data.yaml").read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (made / "data.yaml").write_text(text, "utf-8")
    engine = EmbeddedOPA(made, deadline_ms=10_000, engines=1)
    await engine.start()
    try:
        return [await engine.decide(one) for one in asked]
    finally:
        await engine.close()


PATIENT = {
    "content__labels": ["patient"],
    "request__tools": ["chart.write"],
    "context__content_days": None,
}


async def test_observe_is_seen_and_changes_nothing(tmp_path: Path) -> None:
    """Beside an allow stands what every sector would have done."""
    decision = await decided(tmp_path, "observe", **PATIENT)

    assert (Effect.ALLOW, False) == (decision.effect, decision.obligations.justify)
    assert decision.obligations.route is None
    seen = {(one.mode, one.effect, one.code) for one in decision.observed}
    assert {
        ("observe", "deny", "not_treating"),
        ("observe", "deny", "tools_near_patients"),
        ("observe", "obligation", "route"),
    } <= seen


async def test_warn_wants_a_reason(tmp_path: Path) -> None:
    """The person hears why, in each language, and is not refused."""
    decision = await decided(tmp_path, "warn", **PATIENT)

    assert (Effect.ALLOW, True) == (decision.effect, decision.obligations.justify)
    reasons = {reason.code: reason for reason in decision.reasons}
    assert {"not_treating", "tools_near_patients"} == reasons.keys()
    assert "患者" in reasons["not_treating"].said_in("zh")


async def test_enforce_refuses(tmp_path: Path) -> None:
    """The same rules, in force."""
    decision = await decided(tmp_path, "enforce", **PATIENT)

    assert Effect.DENY is decision.effect
    assert {"not_treating", "tools_near_patients"} == {one.code for one in decision.reasons}


async def test_off_says_nothing(tmp_path: Path) -> None:
    """As shipped."""
    decision = await decided(tmp_path, '"off"', **PATIENT)

    assert (Effect.ALLOW, ()) == (decision.effect, decision.observed)


def test_a_bundle_knows_its_rules_as_decisions_name_them() -> None:
    """Standing grants end with them. Neither the fold nor functions nor tests are rules."""
    rules = read_bundle(SHIPPED).rules

    assert {"default.ladder", "default.holds", "default.tools"} <= rules
    assert not [one for one in rules if one.endswith("_test") or one.startswith(("lib", "sekisho"))]


@pytest.mark.parametrize("step", [1, 2])
async def test_a_step_on_which_people_approve_each_call(tmp_path: Path, step: int) -> None:
    """The request may go, and says on which terms its calls are held; each call then is."""
    asked = document(request__tools=["crm.read"], request__mode="copilot")
    ladder = {"ladder: []": f'ladder: [{{for: "group:employees", step: {step}}}]'}
    plain, request, called = await answers(tmp_path, ladder, document(), asked, call("crm.read"))

    assert (Effect.ALLOW, ()) == (plain.effect, plain.obligations.hold_later)
    assert (Effect.ALLOW, None) == (request.effect, request.obligations.hold)
    assert [("tool_call", 86_400)] == [(t.stage, t.ttl_s) for t in request.obligations.hold_later]
    assert Effect.HOLD is called.effect
    [later] = request.obligations.hold_later
    assert later.rules == ("default.ladder",)
    assert replace(later, rules=()) == called.obligations.hold
    assert ["tool_call_held"] == [reason.code for reason in called.reasons]
    assert {step == 1} == {one.obligations.label_output for one in (plain, request, called)}


@pytest.mark.parametrize(
    ("row", "code"),
    [("step: 0", "tool_calls_off"), ('step: 3, tools: ["kb.*"]', "tool_not_on_list")],
)
async def test_a_call_that_the_ladder_leaves_out(tmp_path: Path, row: str, code: str) -> None:
    """The tools are taken out of the request; a model that calls one all the same is refused."""
    asked = document(request__tools=["crm.read", "kb.find"], request__mode="copilot")
    ladder = {"ladder: []": f'ladder: [{{for: "group:employees", {row}}}]'}
    request, called = await answers(tmp_path, ladder, asked, call("crm.read"))

    assert Effect.ALLOW is request.effect
    assert "crm.read" not in (request.obligations.allow_tools or ())
    assert (Effect.DENY, [code]) == (called.effect, [reason.code for reason in called.reasons])


async def test_calls_as_shipped(tmp_path: Path) -> None:
    """One that was offered is free; one that was not, or that holds a secret, is refused; one too
    long to look into waits for a person.
    """
    long = {"name": "kb.write", "arguments": {}, "whole": False}
    free, stray, secret, blind = await answers(
        tmp_path,
        {},
        call("crm.read"),
        call("crm.delete", request__tools=["crm.read"]),
        call("crm.read", content__entities={"credential_aws": 1}),
        call("kb.write", tool=long),
    )
    assert (Effect.ALLOW, ()) == (free.effect, free.reasons)
    assert ["tool_not_offered"] == [reason.code for reason in stray.reasons]
    assert ["credential_found"] == [reason.code for reason in secret.reasons]
    assert (Effect.HOLD, "tool_call_long") == (blind.effect, blind.reasons[0].code)


async def test_a_supervisor_reads_words_to_clients_twice(tmp_path: Path) -> None:
    """The request is held and its answer will be; a plain question whose answer has the label is
    held as well, if the answer is read whole.
    """
    changes = {'finance: "off"': "finance: enforce", "client_groups: []": "client_groups: [sales]",
               'supervisors: "reviewer"': 'supervisors: "principals"',
               "retain_days: 2190": "retain_days: 1"}  # fmt: skip
    advice: dict[str, Any] = {"content__labels": ["client_advice"]}
    sales: dict[str, Any] = {"principal__groups": ["sales"]}
    asked, plain, answered = await answers(
        tmp_path, changes, document(**advice), document(**sales), answer(**advice, **sales)
    )
    assert ["response"] == [terms.stage for terms in asked.obligations.hold_later]
    assert (Effect.HOLD, Effect.ALLOW) == (asked.effect, plain.effect)
    assert (False, True) == (asked.obligations.review_response, plain.obligations.review_response)
    assert answered.obligations.hold is not None
    assert ["principals"] == [one.reviewers for one in answered.obligations.hold.thresholds]
    assert ["client_answer"] == [reason.code for reason in answered.reasons]


CLERK = """
  clerk:
    model: model-1
    instructions: "Answer letters in ten sentences."
    groups: ["employees"]
    labels: ["review"]
    step: 0
"""


async def test_an_assistant_of_the_rules(tmp_path: Path) -> None:
    """It is there when its revision is, with its labels; its groups may use it, on its step."""
    made = bundle(tmp_path)
    text = (made / "data.yaml").read_text("utf-8").replace("assistants: {}", f"assistants:{CLERK}")
    (made / "data.yaml").write_text(text, "utf-8")
    engine = EmbeddedOPA(made, deadline_ms=10_000, engines=1)
    assert engine.assistants.named("assistant/clerk") is None
    await engine.start()
    try:
        clerk = engine.assistants.named("assistant/clerk")
        assert clerk is not None
        assert (engine.revision, ("review",)) == (engine.assistants.revision, clerk.labels)
        own = await engine.decide(document(request__assistant="clerk", request__tools=["x"]))
        other = await engine.decide(
            document(request__assistant="clerk", principal__groups=["sales"])
        )
    finally:
        await engine.close()

    assert (Effect.ALLOW, ()) == (own.effect, own.obligations.allow_tools)
    assert ["assistant_not_allowed"] == [reason.code for reason in other.reasons]


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ("  Clerk: {model: m, instructions: x, groups: [a]}", "assistants.Clerk"),
        ("  clerk: {model: m, groups: [a]}", "instructions"),
        ('  clerk: {model: m, instructions: "", groups: [a]}', "instructions"),
        ("  clerk: {model: m, instructions: x, groups: []}", "groups"),
        ("  clerk: {model: m, instructions: x, groups: [A]}", "did you mean a?"),
        ("  clerk: {model: m, instructions: x, groups: [a], labels: [reviw]}", "mean review?"),
        ('  clerk: {model: "a b", instructions: x, groups: [a]}', "model"),
        ("  clerk: {model: m, instructions: x, groups: [a], step: 9}", "step"),
    ],
)
def test_slips_in_an_assistant(new: str, text: str) -> None:
    """An assistant nobody can use, or whose labels lead to nothing, is a fault."""
    assert text in said("assistants: {}", f"assistants:\n{new}")

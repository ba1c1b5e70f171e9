"""One decision by a directory, as the gateway would give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters import policy_eval
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_eval import evaluate, input_faults
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.decision import Effect
from support.rules import RUNAWAY, SHIPPED, bundle, document


async def test_the_same_as_the_gateway() -> None:
    """Effect, reasons, obligations and revision are those of the running engine."""
    engine = EmbeddedOPA(SHIPPED)
    await engine.start()
    try:
        for asked in (document(), document(content__labels=["secret"]), document(stage="response")):
            found = evaluate(SHIPPED, asked, why=False)
            theirs = await engine.decide(asked)
            assert (theirs.effect, theirs.reasons, theirs.obligations, theirs.revision) == (
                found.decision.effect, found.decision.reasons,
                found.decision.obligations, found.decision.revision,
            )  # fmt: skip
            assert found.explanation is None
    finally:
        await engine.close()


def test_why() -> None:
    """The explanation is of this decision."""
    found = evaluate(SHIPPED, document(content__labels=["secret"]), why=True)

    assert found.explanation is not None
    assert "Label denied" in {one.title for one in found.explanation.fired}


def test_rules_that_contradict_each_other(tmp_path: Path) -> None:
    """A deny without an answer, also with an explanation."""
    source = "package packs.team.x\n\nx := 1 if input.stage\n\nx := 2 if input.exchange\n\n"
    source += 'deny contains {"code": "a", "msg": "A."} if x == 3\n'
    found = evaluate(bundle(tmp_path, packs__team__x=source), document(), why=True)

    assert (Effect.DENY, "policy_undefined", None) == (
        found.decision.effect, found.decision.reasons[0].code, found.answer,
    )  # fmt: skip
    assert found.explanation is not None
    assert () == found.explanation.fired


def test_a_bundle_that_does_not_load(tmp_path: Path) -> None:
    """Its faults are raised."""
    with pytest.raises(PolicyRejected):
        evaluate(bundle(tmp_path, lib__a="package lib.a\nx := \n"), document(), why=False)


def test_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision without an end is an error, not a command without an end."""
    monkeypatch.setattr(policy_eval, "TIME_S_MAX", 0.5)
    source = RUNAWAY.replace('input.request.model == "runaway"', "true")

    with pytest.raises(PolicyUnavailable):
        evaluate(bundle(tmp_path, packs__team__runaway=source), document(), why=False)


def test_what_takes_too_long_is_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace has a step for everything that happens: memory for it has to end somewhere."""
    monkeypatch.setattr(policy_eval, "TRACED_US_MAX", -1)
    found = evaluate(SHIPPED, document(), why=True)

    assert (Effect.ALLOW, None) == (found.decision.effect, found.explanation)


def test_what_does_not_fit_the_contract() -> None:
    """Missing, wrong and unknown members are told by name; the decision is given all the same."""
    asked = document(request__stream="yes")
    del asked["context"]
    asked["prompt"] = "text"

    told = input_faults(asked)

    assert {"input.request.stream", "input.context", "input.prompt"} == {
        text.split(": ")[0] for text in told
    }
    found = evaluate(SHIPPED, asked, why=False)
    assert (told, Effect.DENY) == (found.input_faults, found.decision.effect)
    assert () == input_faults(document())

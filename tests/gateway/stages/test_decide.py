"""Ask the rules; refuse what this gateway could not carry out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sekisho.errors import PolicyUnavailable
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason, Threshold
from sekisho.model.facts import Facts
from sekisho.stages.decide import decide

FACTS = Facts(document={"stage": "request"}, backend="backend-1", found=())
HOLD = HoldTerms("request", (Threshold("reviewer", 1, 1),), 60, 50)


class Engine:
    """Answers what it is told to."""

    revision = "sha256:1"

    def __init__(self, answer: Decision | Exception) -> None:
        self.answer = answer
        self.asked: list[Mapping[str, Any]] = []

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        self.asked.append(document)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def decision(effect: Effect, **obligations: Any) -> Decision:
    """An answer with these obligations."""
    return Decision(effect, (Reason("x", "X.", "r"),), "sha256:1", Obligations(**obligations))


@pytest.mark.parametrize("effect", list(Effect))
async def test_the_answer_comes_back(effect: Effect) -> None:
    """A deny too: the line records it before it is said."""
    engine = Engine(decision(effect, hold=HOLD, max_tokens=5))

    assert engine.answer is await decide(FACTS, engine)
    assert [FACTS.document] == engine.asked


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.HOLD])
async def test_an_obligation_nobody_carries_out(effect: Effect) -> None:
    """It becomes a deny that names it, beside the reasons the rules gave."""
    made = await decide(FACTS, Engine(decision(effect, notify=("x",), route="trust:house")))

    assert Effect.DENY is made.effect
    assert ["obligation_unsupported", "x"] == [reason.code for reason in made.reasons]
    assert "route, notify" in made.reasons[0].msg


@pytest.mark.parametrize("stage", ["tool_call", "response", "later", None, 7])
async def test_a_hold_of_another_stage(stage: Any) -> None:
    """Its terms are not those of what is asked about, so nobody is asked in its name."""
    asked = replace(FACTS, document={"stage": stage})
    made = await decide(asked, Engine(decision(Effect.HOLD, hold=HOLD)))

    assert (Effect.DENY, True) == (made.effect, "hold.stage" in made.reasons[0].msg)


@pytest.mark.parametrize("stage", ["tool_call", "response"])
async def test_a_hold_of_a_later_stage(stage: str) -> None:
    """It comes back as it is when that stage is asked about, and as `hold_later` before."""
    terms = replace(HOLD, stage=stage)
    engine = Engine(decision(Effect.HOLD, hold=terms))
    assert engine.answer is await decide(replace(FACTS, document={"stage": stage}), engine)
    engine = Engine(decision(Effect.ALLOW, hold_later=(terms,), review_response=True))
    assert engine.answer is await decide(FACTS, engine)


async def test_a_deny_stays_as_it_is() -> None:
    """Nothing is added to a deny; its obligations do not matter any more."""
    engine = Engine(decision(Effect.DENY, redact=("email",)))

    assert engine.answer is await decide(FACTS, engine)


async def test_no_answer() -> None:
    """An engine that cannot be asked ends the exchange."""
    with pytest.raises(PolicyUnavailable):
        await decide(FACTS, Engine(PolicyUnavailable("late")))


@pytest.mark.parametrize(
    ("context", "level"),
    [({"content_days": 30}, "full"), ({}, "full"), (None, "full")],
    ids=["short enough", "told before there was this fact", "no context at all"],
)
async def test_an_end_of_contents_that_is_kept(context: Any, level: str) -> None:
    """The ledger's own ceiling is as short, or nobody said."""
    engine = Engine(decision(Effect.ALLOW, retain_days=30, log_level="full"))
    made = await decide(replace(FACTS, document={"context": context}), engine)

    assert (Effect.ALLOW, level) == (made.effect, made.obligations.log_level)


@pytest.mark.parametrize("ceiling", [31, None])
async def test_an_end_of_contents_that_cannot_be_kept(ceiling: int | None) -> None:
    """Nothing is sent that would be kept for longer."""
    engine = Engine(decision(Effect.ALLOW, retain_days=30))
    made = await decide(replace(FACTS, document={"context": {"content_days": ceiling}}), engine)

    assert (Effect.DENY, True) == (made.effect, "retain_days" in made.reasons[0].msg)


async def test_contents_that_are_not_to_be_kept() -> None:
    """Nought days is no content in the ledger at all."""
    engine = Engine(decision(Effect.ALLOW, retain_days=0, log_level="full"))
    made = await decide(replace(FACTS, document={"context": {"content_days": None}}), engine)

    assert (Effect.ALLOW, "metadata") == (made.effect, made.obligations.log_level)

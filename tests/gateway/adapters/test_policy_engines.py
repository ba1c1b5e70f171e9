"""Three engines, one answer: OPA in this process, OPA beside it, and one that is not OPA.

`SEKISHO_OPA_URL` puts a real OPA server in the place of the stand-in; docs/howto/opa-server.md says
how it has to be set up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.bundle import Bundle, build, read_bundle
from sekisho.adapters.opa_channel import OpaPlace
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.opa_server import ServerOPA
from sekisho.adapters.policy_answer import read_result
from sekisho.model.decision import Decision
from support.asked import grid, random_inputs
from support.real_opa import served
from support.rules import SHIPPED, bundle, document
from support.second_opinion import Lacking, SecondOpinion

RANDOM = 200
REGORUS_LACKS: frozenset[str] = frozenset()
"""Builtins that shipped rules call and regorus does not have. Rules that need one are decided by
OPA alone here: name it, and its rule, in the change that adds it.
"""
PACKS = sorted(path.name for path in (SHIPPED / "packs").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def place() -> Iterator[OpaPlace]:
    with served(SHIPPED) as found:
        yield found


@pytest.fixture(scope="module")
def inputs() -> list[dict[str, Any]]:
    return [*grid(), *random_inputs(RANDOM)]


def bare(decision: Decision) -> Decision:
    """Without what differs between engines by nature."""
    return replace(decision, engine="", took_us=0)


async def test_embedded_and_server(place: OpaPlace, inputs: list[dict[str, Any]]) -> None:
    """Every input gets the same effect, reasons in the same order, obligations and revision."""
    embedded = EmbeddedOPA(SHIPPED, deadline_ms=5000)
    server = ServerOPA(SHIPPED, place, deadline_ms=5000)
    await embedded.start()
    await server.start()
    differing = []
    for asked in inputs:
        ours, theirs = await embedded.decide(asked), await server.decide(asked)
        if bare(ours) != bare(theirs):
            differing.append((asked, ours, theirs))
    await embedded.close()
    await server.close()

    assert [] == differing
    assert len(inputs) > 500


def test_the_inputs_reach_far(inputs: list[dict[str, Any]]) -> None:
    """Equal answers say little if all are the same: each effect is among them, and many codes."""
    with build(read_bundle(SHIPPED)) as engine:
        answers = [engine.eval_document("sekisho.decision", asked) for asked in inputs]

    assert {"allow", "hold", "deny"} == {answer["effect"] for answer in answers}
    codes = {reason["code"] for answer in answers for reason in answer["reasons"]}
    assert {"input_not_understood", "stage_not_supported"} <= codes
    assert len(codes) >= 10


def opinions(made: Bundle, path: str, inputs: list[dict[str, Any]]) -> set[str]:
    """Asks OPA and regorus; the builtins that regorus lacked. Fails where they differ."""
    second, lacked, differing = SecondOpinion(made), set(), []
    with build(made) as engine:
        for asked in inputs:
            ours = engine.eval_document(path, asked)
            try:
                theirs = second.ask(path, asked)
            except Lacking as error:
                lacked.add(error.name)
                continue
            if ours != theirs:
                differing.append((asked, ours, theirs))
    assert [] == differing
    return lacked


def test_a_second_opinion_on_decisions(inputs: list[dict[str, Any]]) -> None:
    """Another engine decides every input as OPA does; builtins that it lacks are named."""
    assert opinions(read_bundle(SHIPPED), "sekisho.decision", inputs) == REGORUS_LACKS


@pytest.mark.parametrize("pack", PACKS)
def test_a_second_opinion_on_every_rule(pack: str, inputs: list[dict[str, Any]]) -> None:
    """Beneath the fold too, where a deny of one rule hides what another says."""
    assert opinions(read_bundle(SHIPPED), f"packs.{pack}", inputs[::3]) <= REGORUS_LACKS


def test_a_second_opinion_with_people_in_the_data(
    tmp_path: Path, inputs: list[dict[str, Any]]
) -> None:
    """With principals, caps and words of one's own."""
    other = bundle(tmp_path)
    people = (
        "\nprincipals:\n"
        "  staff-7: {models: ['model-*'], max_tokens: 100}\n"
        "  a.b: {models: ['none'], max_tokens: 7, blocked: true}\n"
    )
    data = (other / "data.yaml").read_text("utf-8")
    assert 1 == data.count("\nprincipals: {}\n")
    (other / "data.yaml").write_text(data.replace("\nprincipals: {}\n", people), "utf-8")
    assert opinions(read_bundle(other), "sekisho.decision", inputs[::2]) <= REGORUS_LACKS


def test_the_second_opinion_can_disagree() -> None:
    """A rule that regorus is known to count differently is seen, so equal answers mean something;
    and a builtin that it lacks is told by name.
    """
    made = read_bundle(SHIPPED)
    lacking = 'package packs.team.odd\n\ndeny contains {"code": crypto.sha256("a"), "msg": "X."}\n'
    odd = replace(made, modules=(*made.modules, replace(made.modules[0], path="a", source=lacking)))
    with pytest.raises(Lacking, match=r"crypto\.sha256"):
        SecondOpinion(odd).ask("sekisho.decision", document())
    shut = {**made.data, "groups": {}}
    decided = read_result(
        SecondOpinion(replace(made, data=shut)).ask("sekisho.decision", document()),
        made.revision, engine="regorus", took_us=0,
    )  # fmt: skip
    assert "deny" == decided.effect

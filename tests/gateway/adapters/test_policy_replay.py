from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.policy_replay import compare, explain
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.replays import Recorded
from sekisho_audit.events import Event
from support.replays import decided
from support.rules import RUNAWAY, SHIPPED, bundle

CLOSED = """package packs.team.closed

deny contains {"code": "closed", "msg": "Closed."} if "sales" in input.principal.groups
"""


def recorded(events: list[tuple[Event, bytes]]) -> list[Recorded]:
    return [
        Recorded(n, event.exchange or "", 0, event.data, seen)
        for n, (event, seen) in enumerate(events)
    ]


async def test_a_recorded_decision_comes_out_again_byte_for_byte() -> None:
    """Under its own revision nothing changes, and what stands in the ledger is what is said."""
    found = recorded(await decided(SHIPPED))

    base, other, report = await compare(found, SHIPPED, SHIPPED)

    assert base == other == found[0].revision
    assert report["decisions"] == len(found)
    assert {"request", "tool_call", "response"} == {one.said["stage"] for one in found}
    assert report["unlike"] == 0
    assert not any(report["changed"].values())


HELD_LATER = """package packs.team.later

hold contains {"code": "look", "msg": "Look.", "stage": "tool_call"} if {
	count(input.request.tools) > 0
}
"""


async def test_calls_that_would_be_held(tmp_path: Path) -> None:
    """Seen at the request, which goes, and at the call, which then waits; a denied one stays so."""
    found = recorded(await decided(SHIPPED))

    _, _, report = await compare(found, SHIPPED, bundle(tmp_path, packs__team__later=HELD_LATER))

    assert report["unlike"] == 0
    held = {stage: counts["held"] for stage, counts in report["stages"].items()}
    assert held == {"request": 1, "tool_call": 1}
    assert report["changed"] == {"denied": 0, "held": 2, "freed": 0, "other": 0}
    assert report["rules"]["team.later"]["held"] == 1


async def test_a_forged_record_is_found() -> None:
    """Somebody wrote another effect than that revision ever gave."""
    found = recorded(await decided(SHIPPED, [{"content__labels": ["secret"]}]))
    forged = Recorded(
        0, found[0].exchange, 0, {**found[0].said, "effect": "allow"}, found[0].document
    )

    _, _, report = await compare([forged], SHIPPED, SHIPPED)

    assert report["unlike"] == 2  # asked by both, which are one here


async def test_who_is_newly_denied(tmp_path: Path) -> None:
    """By group and rule, with the exchange; inputs that are gone are counted, not guessed."""
    found = recorded(await decided(SHIPPED))
    gone = Recorded(99, "exchange-99", 0, found[0].said)

    base, other, report = await compare(
        [*found, gone], SHIPPED, bundle(tmp_path, packs__team__closed=CLOSED)
    )

    assert base != other
    assert report["unread"] == 1
    assert report["groups"].keys() <= {"sales", "employees"}
    sales = report["groups"]["sales"]
    assert sales["denied"] + sales["other"] == 1
    assert report["rules"]["team.closed"][("denied" if sales["denied"] else "other")] == 1


async def test_rules_that_never_end_fail_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not hang it."""
    monkeypatch.setattr("sekisho.adapters.policy_replay.DEADLINE_MS", 50)
    found = recorded(await decided(SHIPPED, [{"request__model": "runaway"}]))
    with pytest.raises(PolicyUnavailable):
        await compare(found, SHIPPED, bundle(tmp_path, packs__team__runaway=RUNAWAY))


async def test_why_a_decision_was_made() -> None:
    """The rules that fired, with their places; not those that did not."""
    [one] = recorded(await decided(SHIPPED, [{"content__labels": ["secret"]}]))

    told = explain(one, read_bundle(SHIPPED))

    assert told.same
    assert told.explanation is not None
    fired = {one.rule: one for one in told.explanation.fired}
    assert "packs.default.models.allow" in fired
    assert fired["packs.default.content.deny"].file == "packs/default/content.rego"
    assert [one.title for one in told.explanation.fired if one.rule.endswith(".deny")] == [
        "Label denied"
    ]
    assert told.said["reasons"][0]["code"] == "label_denied"


@pytest.mark.parametrize("document", [None, b"[1]", b"{"])
def test_what_is_no_input_is_not_explained(document: bytes | None) -> None:
    """A payload that is gone or damaged gives no explanation, rather than a wrong one."""
    with pytest.raises(PolicyRejected):
        explain(Recorded(0, "exchange-0", 0, {}, document), read_bundle(SHIPPED))

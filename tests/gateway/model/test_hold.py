"""What a view of a hold says by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.model.hold import WAITING, Hold, HoldState, HoldView, Justification

HOLD = Hold(
    id="h", exchange="x", version=1, stage="request", principal="staff-7", person="staff-7",
    groups=(), roles=(), endpoint="chat.completions", model="m", backend="b", stream=False,
    revision="r", rules=(), reasons=(), thresholds=(), risk=0, created_us=0, expires_us=0,
    wait_until_us=0, binding="b", outgoing=b"", facts=b"", received_event="e",
)  # fmt: skip
SAID = Justification("j", "h", 1, "staff-7", "for the audit", "b", 0)


@pytest.mark.parametrize(
    ("asked", "said", "waits"),
    [(False, None, False), (True, None, True), (True, SAID, False), (False, SAID, False)],
)
def test_what_waits_for_a_reason(asked: bool, said: Justification | None, waits: bool) -> None:
    """Asked for and not given; nothing else."""
    view = HoldView(replace(HOLD, justify=asked), HoldState.PENDING, (), justification=said)
    assert view.unjustified is waits


def test_only_what_can_still_change_by_itself_is_waited_for() -> None:
    """No end of a hold, and no answer that is there."""
    ended = {"denied", "expired", "withdrawn", "ready", "failed", "unknown", "delivered"}
    assert set(HoldState) - WAITING == ended

"""What doctor says of anchors: how old, how often failed, what to do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sekisho.adapters.diagnosis_anchors import anchors

MADE = {
    "name": "w1", "kind": "witness", "state": "made", "size": 9, "failures": 0, "why": "",
    "made_us": 0,
}  # fmt: skip


def said(**changed: Any) -> tuple[bool, str, str]:
    [finding] = anchors([{**MADE, **changed}])
    assert finding.part == "anchor w1"
    return finding.ok, finding.said, finding.mend


def test_what_was_anchored_is_well() -> None:
    ok, text, mend = said(made_us=time.time_ns() // 1000 - 90_000_000)
    assert (ok, mend) == (True, "")
    assert text.startswith("witness, 9 events anchored 9")


def test_what_waits_is_well() -> None:
    """A busy start, an idle ledger."""
    assert said(state="waiting")[:2] == (True, "witness, nothing anchored since auditd started")


@pytest.mark.parametrize(
    ("why", "mend"),
    [("disk: /nas is not there", "mount"), ("ahead: more", "witness is right"), ("odd", "howto")],
)
def test_what_fails_says_what_to_do(why: str, mend: str) -> None:
    ok, text, todo = said(state="failing", failures=4, why=why)
    assert not ok
    assert "4 times in a row" in text
    assert why in text
    assert mend in todo


def test_what_auditd_does_not_say_is_left_out() -> None:
    """An older one, or an odd answer."""
    for odd in (None, "anchors", 7, ["w1"], []):
        assert list(anchors(odd)) == []

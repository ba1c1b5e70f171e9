"""Policy's answer as a value."""

from __future__ import annotations

from sekisho.model.decision import Reason


def test_a_reason_in_the_language_of_the_reader() -> None:
    """English is what there always is."""
    reason = Reason("closed", "We are closed.", "team.hours", {"ja": "閉まっています。"})

    assert "閉まっています。" == reason.said_in("ja")
    assert "We are closed." == reason.said_in("zh") == reason.said_in("en")

"""Names that stand for a model with instructions."""

from __future__ import annotations

from sekisho.model.assistant import NO_ASSISTANTS, Assistant, Assistants

CLERK = Assistant("clerk", "m", "Be brief.", frozenset({"sales", "desk"}))
LAB = Assistant("lab", "m", "Be exact.", frozenset({"lab"}))
ALL = Assistants("sha256:1", {"clerk": CLERK, "lab": LAB})


def test_by_the_name_that_a_request_has() -> None:
    """Only with the prefix, only the whole name."""
    assert CLERK is ALL.named("assistant/clerk")
    for other in ("clerk", "assistant/cler", "assistant/", "Assistant/clerk"):
        assert ALL.named(other) is None
    assert NO_ASSISTANTS.named("assistant/clerk") is None


def test_what_groups_may_use() -> None:
    """One group in common is enough."""
    assert ["assistant/clerk"] == ALL.for_groups(frozenset({"desk", "other"}))
    assert [] == ALL.for_groups(frozenset())

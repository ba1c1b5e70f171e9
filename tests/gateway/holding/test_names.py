"""Derived ids: alike where a step is repeated, different wherever anything differs."""

from __future__ import annotations

import uuid

from sekisho.holding import names


def test_ids_are_uuids_of_our_own_kind() -> None:
    """Version 8, RFC variant: nobody takes one for a random or a time-based id."""
    parsed = uuid.UUID(names.settled_event("hold_1", 1))
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


def test_the_same_step_has_the_same_id_and_no_other_has() -> None:
    """Derivation is by all parts, and moving a character from one part to the next changes it."""
    ids = [
        names.filed_event("hold_1"),
        names.delivered_event("hold_1"),
        names.settled_event("hold_1", 1),
        names.settled_event("hold_1", 2),
        names.review_event(b"k", "hold_1", 1, "a"),
        names.review_event(b"k", "hold_1", 1, "b"),
        names.review_event(b"k", "hold_11", 1, "a"),
        names.review_event(b"other", "hold_1", 1, "a"),
        names.decision_id("hold_1", 1, "review", "a", "approve"),
        names.decision_id("hold_1", 1, "review", "a", "deny"),
        names.decision_id("hold_1", 1, "review", "aa", "pprove"),
    ]
    assert len(set(ids)) == len(ids)
    assert names.settled_event("hold_1", 1) == names.settled_event("hold_1", 1)


def test_hold_ids_are_recognised() -> None:
    """Only what we could have made passes; what has other characters never reaches the store."""
    assert names.is_hold_id(names.new_hold_id())
    for odd in ("", "hold_", "hold_" + "g" * 32, "hold_" + "0" * 33, names.new_hold_id() + "\n"):
        assert not names.is_hold_id(odd)
    assert names.new_hold_id() != names.new_hold_id()

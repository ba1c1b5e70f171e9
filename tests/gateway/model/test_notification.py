"""Notifications have ids that two makers derive alike, and no room for content."""

from __future__ import annotations

import uuid
from dataclasses import fields

from sekisho.model.notification import (
    RULE_CHARS_MAX,
    RULES_TOLD_MAX,
    Notification,
    NotSent,
    notification_id,
    told_rules,
)


def test_the_id_is_made_from_what_it_is_about() -> None:
    """The same again, another for anything else, also where parts run into one another."""
    one = notification_id("filed", "hold_1", "1", "desk")
    assert one == notification_id("filed", "hold_1", "1", "desk")
    assert uuid.UUID(one).version == 8
    assert len({one, notification_id("filed", "hold_11", "", "desk"), notification_id("x")}) == 3
    assert notification_id("ab", "c") != notification_id("a", "bc")


def test_there_is_no_field_for_content_or_a_person() -> None:
    """Whoever adds one has to think about this list."""
    assert {one.name for one in fields(Notification)} == {
        *("id", "channel", "moment", "rules", "stage", "risk", "state"),
        *("hold", "exchange", "opening", "uses", "created_us", "expires_us"),
    }


def test_rules_are_named_within_bounds() -> None:
    """However many spoke, and however they are called."""
    told = told_rules(["x" * 1000] * 100)
    assert len(told) == RULES_TOLD_MAX
    assert {len(rule) for rule in told} == {RULE_CHARS_MAX}


def test_a_failure_says_its_cause_alone() -> None:
    """Which is a word of ours."""
    failed = NotSent("timeout", retry_after_s=3)
    assert (str(failed), failed.retry_after_s, failed.final) == ("timeout", 3, False)

"""Ids of events sort by the time they were given."""

from __future__ import annotations

import re

from sekisho_audit.ids import uuid7
from sekisho_audit.kinds import UUID7
from sekisho_audit.leaves import month_of


def test_ids_are_uuids_of_version_7() -> None:
    """No two are equal, and each says when it was given."""
    made = [uuid7(1_790_000_000_000 + number) for number in range(50)]
    assert all(re.fullmatch(UUID7, one) for one in made)
    assert made == sorted(made)
    assert month_of(made[0]) == "2026-09"
    assert uuid7(1) != uuid7(1)

"""Contents are kept no longer than policy allows, or nothing is sent."""

from __future__ import annotations

import pytest

from sekisho.obligations.retain_days import apply


@pytest.mark.parametrize(
    ("days", "level", "ceiling", "kept"),
    [
        (None, "full", None, "full"),
        (None, "redacted", 180, "redacted"),
        (180, "full", 180, "full"),
        (365, "redacted", 180, "redacted"),
        (179, "full", 180, None),
        (365, "full", None, None),
        (0, "full", 180, "metadata"),
        (0, "redacted", None, "metadata"),
        (30, "metadata", None, "metadata"),
    ],
)
def test_what_is_kept(days: int | None, level: str, ceiling: int | None, kept: str | None) -> None:
    """The ceiling has to be as short as policy asks; where nothing is kept, nothing is too long."""
    assert kept == apply(days, level, ceiling)

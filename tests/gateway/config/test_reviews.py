from __future__ import annotations

import pytest
from pydantic import ValidationError

from sekisho.config import ReviewSettings


def test_the_defaults_slow_down_who_does_not_read() -> None:
    """What docs/howto/review.md says."""
    usual = ReviewSettings()

    assert (usual.dwell_s, usual.words_per_s) == (3, 50)
    assert (usual.decisions_warn, usual.decisions_max, usual.pause_s) == (30, 60, 600)


def test_who_is_paused_was_warned() -> None:
    """A warning above the limit would never be seen."""
    with pytest.raises(ValidationError, match="decisions_warn must not be above"):
        ReviewSettings(decisions_warn=61)

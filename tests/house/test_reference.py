"""What can be set and what can go wrong is documented, because the pages come from the code."""

from __future__ import annotations

from support import reference
from support.advice import WHAT_TO_DO

HOW = "run `python -m support.reference` in tests/ with the project's interpreter"


def test_every_setting_is_documented() -> None:
    """docs/reference/settings.md is what the code says."""
    assert reference.SETTINGS_PAGE.read_text() == reference.settings_page(), HOW


def test_every_error_code_is_documented() -> None:
    """docs/reference/errors.md is what the code says."""
    assert reference.ERRORS_PAGE.read_text() == reference.errors_page(), HOW


def test_every_error_code_says_what_to_do() -> None:
    """Whoever sees only a code finds the next step in tests/support/advice.py; no line is stale."""
    assert WHAT_TO_DO.keys() == reference.codes()
    assert all(text.endswith((".", "?")) and "|" not in text for text in WHAT_TO_DO.values())


def test_every_setting_says_why() -> None:
    """A knob without a reason is turned by guessing."""
    rows = [line for line in reference.settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert not [row for row in rows if row.rstrip(" |").endswith("`")]

"""What the time of a request is called where people work."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from sekisho.model.office import Office, training

NOON_MONDAY_US = 1_763_985_600_000_000  # 2025-11-24 12:00 UTC
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("hours_later", "open_"),
    [(0, True), (6.99, True), (7, False), (20, True), (19.9, False), (24 * 5, False)],
)
def test_office_hours(hours_later: float, open_: bool) -> None:
    """Open from 8 to 19, Monday to Friday."""
    assert open_ is Office().facts(NOON_MONDAY_US + int(hours_later * HOUR_US))["office_hours"]


def test_elsewhere() -> None:
    """Noon in London is evening in Tokyo; four hours later it is another day there."""
    tokyo = Office(zone=ZoneInfo("Asia/Tokyo"))
    assert tokyo.facts(NOON_MONDAY_US) == {
        "time_ns": NOON_MONDAY_US * 1000,
        "office_hours": False,
        "weekday": "mon",
        "hour": 21,
        "content_days": None,
    }
    assert tokyo.facts(NOON_MONDAY_US + 4 * HOUR_US)["weekday"] == "tue"


def test_summer_time_moves_the_hour() -> None:
    """A zone, no fixed offset: the same UTC hour is another one in July."""
    berlin = Office(zone=ZoneInfo("Europe/Berlin"))
    july_us = 1_783_080_000_000_000  # 2026-07-03 12:00 UTC
    assert berlin.facts(NOON_MONDAY_US)["hour"] == 13
    assert berlin.facts(july_us)["hour"] == 14


@pytest.mark.parametrize(
    ("until_s", "word"),
    [(None, "none"), (NOON_MONDAY_US // 1_000_000 + 1, "valid"), (0, "over")],
)
def test_training(until_s: int | None, word: str) -> None:
    """A word that changes once, beside the number."""
    assert training(until_s, NOON_MONDAY_US) == word


def test_a_training_is_over_at_its_second() -> None:
    """Until means until, not through."""
    assert training(NOON_MONDAY_US // 1_000_000, NOON_MONDAY_US) == "over"

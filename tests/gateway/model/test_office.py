"""What the time of a request is called where people work."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.model.office import DAYS, Office, training

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


def us(text: str) -> int:
    """A moment, as in `2026-12-24 17:00 +0100`."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M %z").timestamp()) * 1_000_000


TOKYO = Office(
    zone=ZoneInfo("Asia/Tokyo"),
    closed_on=frozenset({date(2026, 12, 31), date(2027, 1, 1)}),
    open_on=frozenset({date(2027, 1, 2)}),
)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-12-21 09:00 +0900", 2, "2026-12-21 11:00 +0900"),
        ("2026-12-21 03:00 +0900", 2, "2026-12-21 10:00 +0900"),
        ("2026-12-21 18:00 +0900", 2, "2026-12-22 09:00 +0900"),
        ("2026-12-21 18:00 +0900", 1, "2026-12-21 19:00 +0900"),
        ("2026-12-25 18:30 +0900", 1, "2026-12-28 08:30 +0900"),  # over a weekend
        ("2026-12-30 18:30 +0900", 1, "2027-01-02 08:30 +0900"),  # holidays, then an open Saturday
        ("2026-12-26 12:00 +0900", 0, "2026-12-28 08:00 +0900"),  # no time at all, on a Saturday
    ],
)
def test_office_time_ends_when_the_office_was_open_for_so_long(
    start: str, hours: float, end: str
) -> None:
    """By the clocks and the calendar of the house."""
    assert us(end) == TOKYO.after(us(start), hours * 3600)


def test_an_open_day_is_one_for_the_rules_too() -> None:
    """And a holiday is none."""
    assert TOKYO.facts(us("2027-01-02 12:00 +0900"))["office_hours"]
    assert not TOKYO.facts(us("2026-12-31 12:00 +0900"))["office_hours"]


def test_an_office_that_never_opens_keeps_nobody_for_ever() -> None:
    """The time ends after the most days whatever the calendar says."""
    closed = Office(days=frozenset(), wait_days_max=10)
    assert NOON_MONDAY_US + 10 * 24 * HOUR_US == closed.after(NOON_MONDAY_US, 60)
    slow = Office(wait_days_max=2)
    assert NOON_MONDAY_US + 2 * 24 * HOUR_US == slow.after(NOON_MONDAY_US, 10**6)


@st.composite
def offices(draw: st.DrawFn) -> Office:
    """Open at any hours on any days in zones with and without summer time, with holidays."""
    opens = draw(st.integers(0, 23))
    days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
    return Office(
        opens * 60,
        draw(st.integers(opens + 1, 24)) * 60,
        frozenset(draw(st.sets(st.sampled_from(DAYS)))),
        ZoneInfo(
            draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]))
        ),
        closed_on=frozenset(draw(st.sets(days, max_size=40))),
        wait_days_max=5,
    )


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - drawn as UTC
    st.integers(0, 60 * 60),
    offices(),
)
def test_office_time_is_what_a_clock_on_the_wall_counts(
    start: datetime, minutes: int, office: Office
) -> None:
    """Minute by minute, also over changes to summer time and back."""
    moment = start.replace(second=0, microsecond=0, tzinfo=UTC)
    last = moment + timedelta(days=5)
    found = office.after(int(moment.timestamp()) * 1_000_000, minutes * 60)

    left = minutes
    while moment < last and left > 0:
        left -= bool(office.facts(int(moment.timestamp()) * 1_000_000)["office_hours"])
        moment += timedelta(minutes=1)
    expected = int(moment.timestamp()) * 1_000_000
    if minutes == 0:
        assert found >= expected  # it ends with the next opening
    else:
        assert expected == found

"""What is kept how long: ceilings that cannot be misread, and shelves that say class and time."""

from __future__ import annotations

import pytest

from sekisho_audit.events import TYPES
from sekisho_audit.retention import (
    CLASSES,
    CONTENT,
    TABLE,
    BadRetention,
    Retention,
    class_of,
    class_on,
    day_from,
    day_of,
    day_text,
    first_day,
    fits,
    parse,
    shelf,
)

NOVEMBER_30_LAST_S = 1_796_083_199  # 2026-11-30 23:59:59 UTC


def test_ceilings_as_they_are_given() -> None:
    """What is not named has its default; what is kept has to be called so."""
    assert parse("content=30") == Retention({**Retention().days, "content": 30})
    said = parse("content=2,input=36500,reason=keep, query=365,leaves=184")
    assert dict(said.days) == {"content": 2, "input": 36_500, "reason": None, "query": 365}
    assert (said.leaves_days, Retention().leaves_days) == (184, 2_555)
    assert all(days is not None for days in Retention().days.values())


@pytest.mark.parametrize(
    "text",
    [
        *("", "content", "content=", "content=0", "content=1", "content=-1", "content=36501"),
        *("content=forever", "content=9e3", "content=٣٠", "content=999999999999", "prompt=30"),
        *("content=30,content=31", "leaves=183", "leaves=keep", "content=30;input=30"),
    ],
)
def test_what_could_mean_for_ever_is_refused(text: str) -> None:
    """Nothing, nought and words that nobody agreed on are no ceilings."""
    with pytest.raises(BadRetention, match="days"):
        parse(text)


def test_every_payload_has_one_class() -> None:
    """Those of the table are payloads of their types; what is not in it is content."""
    for kind, name in TABLE:
        assert name in {**TYPES[kind].payloads, **TYPES[kind].optional_payloads}, (kind, name)
    assert set(TABLE.values()) | {CONTENT} == set(CLASSES)
    assert class_of("request.received", "prompt") == CONTENT
    assert class_of("request.received", "reason") == CONTENT
    assert class_of("no.such.type", "x") == CONTENT


def test_what_rules_compare_is_of_one_class() -> None:
    """A commitment is keyed by its shelf: the bytes that leave must be comparable."""
    assert class_of("hold.filed", "outgoing") == class_of("backend.intent", "outgoing")
    exported = {class_of("audit.export", name) for name in ("query", "purpose", "ticket")}
    assert len(exported) == 1


def test_a_shelf_says_epoch_and_class() -> None:
    """Months and days turn in UTC; class content is not spelled out."""
    last = NOVEMBER_30_LAST_S
    assert shelf(CONTENT, last, daily=False) == "2026-11"
    assert shelf(CONTENT, last + 1, daily=True) == "2026-12-01"
    assert shelf("reason", last, daily=True) == "2026-11-30/reason"
    for which in CLASSES:
        for daily in (False, True):
            where = shelf(which, last, daily=daily)
            assert class_on(where) == which
            assert first_day(where) == day_from("2026-11-30" if daily else "2026-11-01")


@pytest.mark.parametrize(
    "where", ["", "2026-13", "2026-02-30", "2026-11/content", "2026-11/other", "10889-08", "x"]
)
def test_what_is_no_shelf_of_ours_begins_never(where: str) -> None:
    """So nothing on it is ever over."""
    assert first_day(where) is None


def test_a_payload_fits_its_shelf_only() -> None:
    """Its month or day, and its class; the month alone as before there were classes."""
    when = ("2026-11", "2026-11-30")
    review = ("hold.review", "reason")
    for where in ("2026-11", "2026-11-30", "2026-11/reason", "2026-11-30/reason"):
        assert fits(where, *review, *when)
    for where in ("2026-10/reason", "2026-11-29/reason", "2026-11/query", "2026-11/", "/reason"):
        assert fits(where, *review, *when) is (where == "2026-11/")
    assert not fits("2026-11/reason", "request.received", "prompt", *when)


def test_days_are_those_of_utc() -> None:
    assert day_text(day_of(NOVEMBER_30_LAST_S * 1_000_000 + 999_999)) == "2026-11-30"
    assert day_text(day_of((NOVEMBER_30_LAST_S + 1) * 1_000_000)) == "2026-12-01"
    assert day_from(day_text(12_345)) == 12_345
    assert day_from("someday") is None

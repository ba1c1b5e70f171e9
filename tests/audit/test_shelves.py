"""Which shelf a key stands on, as events say it; hostile and odd events do no harm."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_audit.retention import CLASSES, Retention, day_from
from sekisho_audit.shelves import LegalHold, Shelves
from support.random_events import BY_KIND

DAY_S = 86_400
START_S = 20_000 * DAY_S  # 2024-10-04


def begun(ts_s: int, days: dict[str, Any], up_to: str = "", event: str = "e-1") -> dict[str, Any]:
    rows = [
        {"class": which, "days": days.get(which, "keep"), "keys": 0, "held": 0, "up_to": up_to}
        for which in CLASSES
    ]
    return {"id": event, "ts": ts_s * 1_000_000, "data": {"classes": rows}}


def test_without_a_word_the_defaults_hold() -> None:
    shelves = Shelves()
    assert shelves.days == dict(Retention().days)
    assert shelves.of("request.received", "prompt", START_S) == "2024-10"
    assert shelves.of("hold.review", "reason", START_S) == "2024-10/reason"
    assert shelves.begun is None


def test_days_are_epochs_from_the_next_second_until_they_are_not() -> None:
    """Within a second nothing changes, or two events of one exchange would disagree."""
    shelves = Shelves()
    assert shelves.of("audit.search", "query", START_S + 9) == "2024-10/query"
    shelves.begin(begun(START_S + 9, {"query": 92}), ())
    shelves.begin(begun(START_S + 99, {"query": 93}), ())
    found = [shelves.of("audit.search", "query", START_S + at) for at in (9, 10, 99, 100)]
    assert found == ["2024-10/query", "2024-10-04/query", "2024-10-04/query", "2024-10/query"]
    assert shelves.of("request.received", "prompt", START_S + 10) == "2024-10"


def test_what_is_over_stays_over() -> None:
    """By the ceiling of today, or by the word of a run under an older one."""
    shelves = Shelves()
    shelves.begin(begun(START_S, {"content": 30}, "2024-08-01"), ())
    shelves.begin(begun(START_S, {"content": 300}, "2023-12-09"), ())
    now_us = START_S * 1_000_000
    over = [shelves.is_over(where, now_us) for where in ("2024-08", "2024-08-02", "2023-11")]
    assert over == [True, False, True]
    assert not shelves.is_over("no shelf", now_us)
    first = day_from("2024-08-02")
    assert first is not None
    assert shelves.is_over("2024-08-02", (first + 300) * DAY_S * 1_000_000)
    assert not shelves.is_over("2024-08-02", (first + 300) * DAY_S * 1_000_000 - 1)


def test_a_run_is_finished_by_its_own_word_only() -> None:
    shelves, hold = Shelves(), LegalHold("p-1", None)
    shelves.begin(begun(START_S, {"content": 30}, "2024-08-01"), (hold,))
    assert shelves.begun is not None
    assert shelves.spared == {hold}
    shelves.finish({"data": {"begun": "another"}})
    assert shelves.begun.event == "e-1"
    shelves.finish({"data": {"begun": "e-1"}})
    assert shelves.begun is None


def test_the_memory_of_shelves_is_bounded() -> None:
    """Ids come from workers: any second may be asked for."""
    shelves = Shelves()
    for second in range(10_000):
        assert shelves.of("request.received", "prompt", second * DAY_S).startswith(("19", "2"))
    assert len(shelves._known) <= 4_096


@settings(max_examples=60, deadline=None)
@given(rows=BY_KIND["retained"], at=st.integers(0, 2**48))
def test_any_words_of_an_event_are_taken(rows: list[dict[str, Any]], at: int) -> None:
    """What fits the table of types never stops the writer."""
    shelves = Shelves()
    shelves.begin({"id": "e-1", "ts": at, "data": {"classes": rows}}, ())
    assert shelves.of("request.received", "prompt", at // 1_000_000)
    assert shelves.is_over("2024-10", at) in {True, False}

"""Calls around the gate: found by name and by count, and never made up."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import reconcile
from sekisho_audit.reconcile import SLACK_US, Call, Comparison, _calls, calls_in, compare
from sekisho_audit.usage_export import Used
from support.ledgers import decision, intent, open_ledger, outcome, received

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
START_US = 20_000 * DAY_US


def call(at_us: int, request: str | None = None, **more: Any) -> Call:
    said: dict[str, Any] = {
        "start_us": at_us - 9,
        "end_us": at_us,
        "model": "gpt-4o",
        "status": "released",
        "request": request,
        "input_tokens": 10,
        "output_tokens": 5,
        **more,
    }
    return Call(**said)


def day(requests: int, **more: Any) -> Used:
    said: dict[str, Any] = {"model": "gpt-4o", **more}
    return Used(START_US, START_US + DAY_US, requests, **said)


def compared(rows: list[Used], *calls: Call) -> Comparison:
    found = Comparison(first_us=START_US, last_us=START_US + 2 * DAY_US)
    return compare(rows, calls, found)


def test_calls_are_found_by_the_backends_own_id() -> None:
    rows = [
        Used(START_US + 5, START_US + 5, 1, "a", "gpt-4o"),
        Used(START_US + 5, START_US + 5, 1, "b", "gpt-4o", 7, 8, Decimal("0.02"), "usd"),
        Used(START_US + 5, START_US + 5, 1, "a", "gpt-4o", cost=Decimal("0.01"), currency="usd"),
    ]
    found = compared(rows, call(START_US, "a"), call(START_US, "c"))
    assert (found.matched, found.around_calls) == (1, 2)
    assert [one.request for one in found.around] == ["b", "a"]
    assert found.around_cost == {"USD": Decimal("0.03")}


def test_counts_are_compared_where_no_id_is_given() -> None:
    rows = [day(5, input_tokens=50, output_tokens=25, cost=Decimal(1), currency="usd")]
    found = compared(rows, *(call(START_US + HOUR_US) for _ in range(3)))
    assert (found.matched, found.around_calls) == (3, 2)
    [one] = found.around
    assert (one.input_tokens, one.output_tokens, one.cost) == (20, 10, Decimal("0.4"))
    found = compared(rows, *(call(START_US + HOUR_US) for _ in range(5)))
    assert (found.matched, found.around) == (5, [])


def test_the_same_number_of_calls_with_more_tokens_is_found() -> None:
    """Whoever adds to what left through the gate is counted by the backend."""
    found = compared([day(1, input_tokens=900)], call(START_US + HOUR_US))
    assert [(one.calls, one.input_tokens) for one in found.around] == [(0, 890)]
    unknown = call(START_US + HOUR_US, input_tokens=None, output_tokens=None)
    assert not compared([day(1, input_tokens=900)], unknown).around


def test_moments_are_counted_by_the_hour_and_edges_count_for_both() -> None:
    rows = [
        Used(START_US + minute * 60_000_000, START_US + minute * 60_000_000, 1)
        for minute in (1, 59)
    ]
    assert compared(rows, call(START_US + 1), call(START_US + HOUR_US + SLACK_US)).around == []
    far = call(START_US + HOUR_US + SLACK_US + 1)
    assert compared(rows, call(START_US + 1), far).around_calls == 1


def test_dated_models_are_those_that_were_asked_for() -> None:
    rows = [day(1, model="gpt-4o-2024-08-06"), day(1, model="gpt-4o-mini-2024-07-18")]
    mini = call(START_US + HOUR_US, model="gpt-4o-mini")
    assert compared(rows, call(START_US + HOUR_US), mini).around == []
    assert compared([day(1, model="gpt-4o1")], call(START_US + HOUR_US)).around_calls == 1
    assert compared([day(2, model=None)], call(START_US + HOUR_US), mini).around == []


def test_costs_alone_are_around_where_the_ledger_has_no_call_at_all() -> None:
    cost = Used(START_US, START_US + DAY_US, None, cost=Decimal(3), currency="usd")
    assert compared([cost], call(START_US + HOUR_US)).around == []
    found = compared([cost])
    assert found.around_cost == {"USD": Decimal(3)}
    assert len(found.around) == 1


def test_what_the_export_does_not_have_is_told_by_status() -> None:
    calls = [call(START_US + HOUR_US), call(START_US + HOUR_US, status="unknown")]
    assert compared([day(1)], *calls).lacking == {"unknown": 1}
    named = [Used(START_US, START_US, 1, "a"), Used(START_US + DAY_US, START_US + DAY_US, 1, "b")]
    found = compared(named, call(START_US, "a"), call(START_US + HOUR_US, "x"), call(START_US, "b"))
    assert found.lacking == {"released": 1}


def test_times_that_the_ledger_does_not_reach_over_are_not_judged() -> None:
    early = Used(START_US - DAY_US, START_US + HOUR_US, 4, cost=Decimal(2), currency="usd")
    late = Used(START_US + 3 * DAY_US, START_US + 4 * DAY_US, 3)
    found = compared([early, late])
    assert (found.around, found.outside, found.later) == ([], 7, True)
    assert found.outside_cost == {"USD": Decimal(2)}
    assert not compared([early]).later
    assert compare([early], [], Comparison()).outside == 4


def test_only_so_many_findings_are_kept_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "FINDINGS_MAX", 3)
    rows = [Used(START_US, START_US, 1, f"r-{number}") for number in range(9)]
    found = compared(rows, call(START_US, "a"))
    assert (len(found.around), found.around_calls) == (3, 9)


def test_machines_get_costs_that_nothing_rounded() -> None:
    found = compared([day(3, cost=Decimal("0.1"), currency="usd")])
    assert found.as_dict()["around_cost"] == {"USD": "0.1"}
    assert found.as_dict()["around"][0]["cost"] == "0.1"


def leaf(kind: str, identifier: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "id": identifier, "ts": START_US, "data": data}


def _ended(keys: int) -> list[dict[str, Any]]:
    kept = {"class": "reason", "days": "keep", "keys": 0, "held": 1}
    up_to = f"2026-11-0{keys}"
    return [{"class": "content", "days": 30, "keys": keys, "held": 0, "up_to": up_to}, kept]


def test_what_never_left_or_never_ended_is_no_call() -> None:
    sent = [leaf("backend.intent", str(n), backend="b", model="m") for n in range(4)]
    ends = [
        leaf("backend.outcome", "x", intent="0", status="failed", cause="never_sent"),
        leaf("backend.outcome", "y", intent="1", status="unknown"),
        leaf("outcome.late", "z", intent="1", status="released"),
        leaf("backend.outcome", "w", intent="2", status="released", usage={"prompt_tokens": "x"}),
        leaf("erasure.begun", "e"),
        leaf("erasure.done", "f"),
        *(leaf("retention.applied", str(keys), classes=_ended(keys)) for keys in (2, 0, 3)),
    ]
    found = Comparison()
    calls = list(_calls([*sent, *ends], None, set(), found))
    assert [one.status for one in calls] == ["unknown", "released"]
    assert (found.never_sent, found.open_calls, calls[1].input_tokens) == (1, 1, None)
    assert found.erasures == 1
    assert found.ended == {"content": {"keys": 5, "up_to": "2026-11-03"}}
    backends: set[str] = set()
    assert list(_calls([*sent, *ends], "another", backends, Comparison())) == []
    assert "another" not in backends


def test_calls_are_read_from_a_ledger(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    ended = outcome(sent)
    named = {**ended.data, "backend_request": "req_1", "usage": {"prompt_tokens": 3}}
    ledger.append_batch([ended.__class__(ended.id, ended.type, exchange, ended.principal, named)])
    ledger.close()
    found = Comparison()
    [one] = calls_in(ledger.directory, "local", found)
    assert (one.request, one.model, one.input_tokens) == ("req_1", "small", 3)
    assert found.first_index == 0
    assert found.first_us is not None

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.model.limits import (
    DIMENSIONS,
    MICROS,
    Limit,
    LimitTable,
    Metric,
    Row,
    Spender,
    Window,
    as_money,
    matches,
    micros,
    window_name,
)

NAMES = st.text("ab:[", min_size=1, max_size=3)
PATTERNS = st.text("ab*?[", min_size=1, max_size=3)


def row(pattern: str, amount: int, metric: Metric = Metric.REQUESTS_PER_MIN) -> Row:
    return Row("model", pattern, metric, amount)


def model_limits(table: LimitTable, model: str) -> dict[Metric, int]:
    found = table.limits_of(Spender("staff-7", frozenset(), model, "b-1"))
    return {limit.metric: limit.amount for limit in found if limit.dimension == "model"}


def test_all_dimensions_apply_and_all_groups_are_charged() -> None:
    """A limit for each thing that the exchange falls under, each with its own name."""
    table = LimitTable([Row(one, "*", Metric.CONCURRENT, 3) for one in DIMENSIONS])

    found = table.limits_of(Spender("staff-7", frozenset({"b", "a"}), "m", "x", "helper"))

    names = [("principal", "staff-7"), ("group", "a"), ("group", "b"), ("assistant", "helper")]
    names += [("model", "m"), ("backend", "x")]
    assert tuple(Limit(*name, Metric.CONCURRENT, 3) for name in names) == found


def test_without_an_assistant_its_rows_do_nothing() -> None:
    """An exchange without assistant or backend is charged to none."""
    table = LimitTable([Row("assistant", "*", Metric.CONCURRENT, 3)])

    assert () == table.limits_of(Spender("staff-7", frozenset(), "m", ""))


def test_an_exact_row_wins_wherever_it_stands() -> None:
    """For the metrics it sets; the others come from the first pattern that fits."""
    rows = [row("gpt-*", 5), row("*", 9), row("gpt-4", 1)]
    table = LimitTable([*rows, row("*", 7, Metric.CONCURRENT)])

    assert {Metric.REQUESTS_PER_MIN: 1, Metric.CONCURRENT: 7} == model_limits(table, "gpt-4")
    assert {Metric.REQUESTS_PER_MIN: 5, Metric.CONCURRENT: 7} == model_limits(table, "gpt-5")
    assert {Metric.REQUESTS_PER_MIN: 9, Metric.CONCURRENT: 7} == model_limits(table, "other")


@given(st.lists(st.tuples(PATTERNS, st.integers(1, 99)), max_size=6), NAMES)
def test_specificity(rows: list[tuple[str, int]], name: str) -> None:
    """Exact before pattern, then the order of the list, and nothing else."""
    exact = [n for p, n in rows if p == name and not {"*", "?"} & set(p)]
    fitting = [n for p, n in rows if {"*", "?"} & set(p) and matches(p, name)]

    got = model_limits(LimitTable([row(*one) for one in rows]), name)

    expected = (exact or fitting)[:1]
    assert expected == list(got.values())


@given(NAMES)
def test_a_name_without_stars_fits_itself_alone(name: str) -> None:
    """Brackets mean nothing: they stand in model names."""
    assert matches(name, name)
    assert not matches(name, name + "x")
    assert matches(name + "*", name + "x")
    assert matches(name + "?", name + "x")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(50, 50 * MICROS), (2.5, 2_500_000), ("2.50", 2_500_000), (0.1, 100_000), (1e-06, 1)],
)
def test_money(amount: float | str, expected: int) -> None:
    """What stands in the file is what is counted, to the millionth."""
    assert expected == micros(amount)


@pytest.mark.parametrize(
    "amount", [-1, 1_000_000_000, 1e-07, "1.0000001", "x", float("nan"), float("inf"), "", "-0.5"]
)
def test_what_is_no_money(amount: float | str) -> None:
    """Too small, too large, negative or no number at all."""
    with pytest.raises(ValueError, match="must"):
        micros(amount)


@given(st.integers(0, 999_999_999_999_999))
def test_money_survives_a_float_and_a_text(amount: int) -> None:
    """Up to the largest amount a YAML number comes back exactly, and so does its text."""
    assert amount == micros(float(Decimal(amount) / MICROS))
    assert amount == micros(as_money(amount))


def test_money_as_people_write_it() -> None:
    """No float's noise, no zeros at the end."""
    assert ["0", "3", "12.5", "-0.000001"] == [
        as_money(amount) for amount in (0, 3_000_000, 12_500_000, -1)
    ]


def test_windows_are_named_as_the_ledger_names_them() -> None:
    """By the UTC time at which they begin."""
    start_us = 1_795_521_840_000_000
    assert ["m2026-11-24T12:04", "d2026-11-24", "M2026-11"] == [
        window_name(one, start_us) for one in (Window.MINUTE, Window.DAY, Window.MONTH)
    ]

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.limit_charge import (
    CHARS_PER_TOKEN_MAX,
    GROUPS_MAX,
    TOKENS_BELIEVED_MAX,
    LeasedCharge,
    headers_of,
    refusal,
    standing_of,
    tokens_used,
)
from sekisho.adapters.limit_leases import Leases, Plan
from sekisho.model.limits import Estimate, Metric
from sekisho.model.prices import UsageRules
from support.limit_world import rules, spender

NOW_S, ENDS_S = 100.0, 130.5
CAPPED = Estimate(100, 50)
OPEN = Estimate(100, 0)


def planned(usage: UsageRules, left: int, *groups: str) -> tuple[Leases, Plan]:
    """A spender with so much left of everything, a tenth of it leased."""
    leases = Leases()
    plan = leases.plan(spender("staff-7", *groups), usage.limits)
    for counter in plan.counters:
        leases.granted(
            counter,
            epoch="e",
            start=0,
            until_s=ENDS_S,
            grant=left // 10,
            left=left - left // 10,
            size=0,
            share=32,
        )
    return leases, plan


def charge_of(leases: Leases, plan: Plan, usage: UsageRules) -> LeasedCharge:
    amounts = (1, 5, 5, 1)
    leased = leases.take(plan, amounts, NOW_S)
    assert leased is not None
    return LeasedCharge(
        leases, plan, leased, amounts, Estimate(3, 2), prices=usage.prices, now_s=lambda: NOW_S
    )


@pytest.mark.parametrize(
    ("usage", "chars", "expected"),
    [
        ({"prompt_tokens": 90, "completion_tokens": 20}, 60, (90, 20)),
        ({"input_tokens": 90, "output_tokens": 20}, 60, (90, 20)),
        ({"prompt_tokens": 90, "completion_tokens": 20, "total_tokens": 150}, 60, (90, 60)),
        ({"prompt_tokens": 24, "completion_tokens": 20}, 60, (100, 20)),
        ({"prompt_tokens": 90, "completion_tokens": 0}, 60, (90, 50)),
        ({"prompt_tokens": 90, "completion_tokens": 0}, 0, (90, 0)),
        ({"prompt_tokens": -1, "completion_tokens": -1}, 30, (100, 30)),
        ({"prompt_tokens": True, "completion_tokens": 1.5}, 30, (100, 30)),
        ({"prompt_tokens": "9", "completion_tokens": None}, 30, (100, 30)),
        ({"completion_tokens": TOKENS_BELIEVED_MAX + 1}, 30, (100, 30)),
        (None, 30, (100, 30)),
        (None, 0, (100, 0)),
        (None, 400, (100, 50)),
        (None, 16_000, (100, 1000)),
    ],
)
def test_what_a_backend_says_is_believed_within_reason(
    usage: dict[str, Any] | None, chars: int, expected: tuple[int, int]
) -> None:
    """The table at the top of the module, row by row."""
    assert expected == tokens_used(usage, CAPPED, chars)


def test_a_cut_answer_without_cap_costs_its_characters() -> None:
    """A Chinese character is about a token."""
    assert (100, 400) == tokens_used(None, OPEN, 400)


USAGES = st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens"]),
    st.one_of(st.integers(), st.floats(), st.none(), st.booleans(), st.text(max_size=3)),
)


@given(USAGES, st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10**6))
def test_no_lie_makes_it_free_or_endless(
    usage: dict[str, Any], prompt: int, cap: int, chars: int
) -> None:
    """At least a quarter of the estimated prompt and a sixteenth of the characters, at most what
    the largest context window holds or what came back.
    """
    used = tokens_used(usage, Estimate(prompt, cap), chars)

    assert used[0] * 4 >= prompt
    assert used[1] * CHARS_PER_TOKEN_MAX >= chars
    assert 0 <= used[0] <= max(TOKENS_BELIEVED_MAX, prompt)
    assert 0 <= used[1] <= max(TOKENS_BELIEVED_MAX, chars)


def test_what_the_record_gets() -> None:
    """Tokens, money, the revision of the prices and for whom, limited groups first."""
    usage = rules({"for": "group:z-limited", "requests_per_min": 10})
    many = [f"g-{number:03}" for number in range(100)]
    leases, plan = planned(usage, 100, "z-limited", *many)
    charge = charge_of(leases, plan, usage)

    reserved = charge.reserved
    assert (5, 5, usage.prices.revision) == (
        reserved["tokens"],
        reserved["spend_micros"],
        reserved["prices"],
    )
    assert ["z-limited", *many[: GROUPS_MAX - 1]] == reserved["groups"]
    assert {"tokens": 5, "spend_micros": 5, "prices": usage.prices.revision} == charge.used(
        {"prompt_tokens": 3, "completion_tokens": 2}, 4
    )


def test_it_ends_once() -> None:
    """A second settlement changes nothing, whatever it says."""
    usage = rules({"for": "principal:*", "tokens_per_min": 1000})
    leases, plan = planned(usage, 100)
    charge = charge_of(leases, plan, usage)

    charge.settle({"tokens": 2, "spend_micros": 2}, 1)
    charge.settle(None, None)

    assert 8 == plan.counters[0].lease.free
    assert 0 == plan.counters[0].open


def test_headers_as_clients_know_them() -> None:
    """One's own limits and the least that is left, with the time until they begin again."""
    usage = rules(
        {"for": "principal:*", "requests_per_min": 500, "tokens_per_min": 1000, "spend_per_day": 1}
    )
    _, plan = planned(usage, 400)

    assert {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "400",
        "x-ratelimit-reset-requests": "31s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "400",
        "x-ratelimit-reset-tokens": "31s",
        "x-sekisho-budget-remaining-day": "0.0004",
    } == headers_of(plan, NOW_S)


def test_of_others_only_what_is_left_is_told() -> None:
    """Neither a group's limit nor its name stands in a header."""
    usage = rules({"for": "group:*", "requests_per_min": 500})
    _, plan = planned(usage, 400, "sales")

    told = headers_of(plan, NOW_S)

    assert {"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"} == set(told)
    assert "500" not in str(told)


def test_nothing_left_is_zero() -> None:
    """A debt is not shown as a negative number."""
    usage = rules({"for": "principal:*", "requests_per_min": 5, "spend_per_month": 1})
    _, plan = planned(usage, -30)

    assert "0" == headers_of(plan, NOW_S)["x-ratelimit-remaining-requests"]
    assert "0" == headers_of(plan, NOW_S)["x-sekisho-budget-remaining-month"]
    assert 0 == standing_of(plan).requests_left


def test_a_refusal_names_the_limit_that_lasts_longest() -> None:
    """To come back in a minute would be no use when the month is over."""
    usage = rules(
        {"for": "principal:*", "requests_per_min": 5, "concurrent": 1},
        {"for": "group:sales", "spend_per_month": 1},
    )
    _, plan = planned(usage, 0, "sales")

    error = refusal(plan, list(plan.counters), (1, 9, 9, 1), NOW_S)

    assert (429, "budget_exhausted", 31) == (error.status, error.code, error.retry_after_s)
    assert "spending per month for the group sales" in error.message
    assert "1000000" not in error.message
    assert "0" == error.headers["x-ratelimit-remaining-requests"]


@pytest.mark.parametrize(
    ("metric", "code", "wait_s"),
    [
        (Metric.REQUESTS_PER_MIN, "limit_reached", 31),
        (Metric.CONCURRENT, "too_many_requests_at_once", 1),
    ],
)
def test_codes(metric: Metric, code: str, wait_s: int) -> None:
    """Each kind has its own, and says when to come back."""
    usage = rules({"for": "principal:*", metric.value: 5})
    _, plan = planned(usage, 0)

    error = refusal(plan, list(plan.counters), (1, 9, 9, 1), NOW_S)

    assert (code, wait_s) == (error.code, error.retry_after_s)
    assert error.message.startswith("Your limit on ")
    assert "(5) is reached" in error.message


def test_money_and_time_are_told_as_people_read_them() -> None:
    """With the currency; the header goes on in seconds."""
    usage = rules({"for": "principal:*", "spend_per_day": 12.5})
    _, plan = planned(usage, 0)

    error = refusal(plan, list(plan.counters), (1, 9, 9, 1), ENDS_S - 16_116, "EUR")

    assert "(12.5 EUR) is reached" in error.message
    assert "Try again in 4 h 29 min, or" in error.message
    assert 16_116 == error.retry_after_s
    assert "EUR" == error.headers["x-sekisho-budget-currency"]


def test_what_never_fits_is_told_as_such() -> None:
    """Coming back does not help a request larger than the limit, whichever else is short."""
    usage = rules({"for": "principal:*", "tokens_per_min": 50, "spend_per_month": 1})
    _, plan = planned(usage, 0)

    error = refusal(plan, list(plan.counters), (1, 51, 9, 1), NOW_S)

    assert ("limit_reached", None) == (error.code, error.retry_after_s)
    assert "Your limit on tokens per minute (50) is smaller than" in error.message
    assert "may use (51)" in error.message
    assert "max_tokens" in error.message
    assert "Try again" not in error.message


def test_a_budget_of_nothing_is_never_waited_for() -> None:
    """No shorter request would fit either: only an operator helps."""
    _, plan = planned(rules({"for": "group:sales", "spend_per_day": 0}), 0, "sales")

    error = refusal(plan, list(plan.counters), (1, 9, 9, 1), NOW_S)

    assert ("budget_exhausted", None) == (error.code, error.retry_after_s)
    assert "for the group sales lets nothing through" in error.message
    assert "max_tokens" not in error.message


def test_standing() -> None:
    """The least left, and the budget nearest to its end in tens of percent."""
    usage = rules(
        {"for": "principal:*", "requests_per_min": 500, "spend_per_day": 1},
        {"for": "group:sales", "requests_per_min": 300, "spend_per_day": 0.5},
    )
    _, plan = planned(usage, 260_000, "sales")

    standing = standing_of(plan)

    assert (260_000, None) == (standing.requests_left, standing.tokens_left)
    assert (70, 740_000) == (standing.day_percent, standing.day_micros)
    assert (0, 0) == (standing.month_percent, standing.month_micros)


def test_a_budget_of_nothing_is_spent() -> None:
    """No division by zero on the way."""
    usage = rules({"for": "principal:*", "spend_per_day": 0})
    _, plan = planned(usage, 0)

    assert 100 == standing_of(plan).day_percent

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.adapters.limit_leases import NOTHING, Amounts, Counter, Lease, Leases, Plan, left_by
from sekisho.errors import LimitsUnavailable
from sekisho.model.limits import Metric
from support.limit_world import rules, spender

DAY, NOW_S, ENDS_S = 86_400_000_000, 100.0, 200.0
LIMITS = rules(
    {"for": "principal:*", "requests_per_min": 100, "tokens_per_min": 1000, "concurrent": 8},
    {"for": "group:*", "spend_per_day": 1},
).limits


def join(leases: Leases, counter: Counter, grant: int, **told: int | str) -> None:
    """What the store answers when it gives `grant`."""
    answer = {"epoch": "e1", "start": 0, "left": 10_000, "size": 0, **told}
    leases.granted(counter, until_s=ENDS_S, grant=grant, share=32, **answer)  # type: ignore[arg-type]


def joined(grant: int = 100, **told: int | str) -> tuple[Leases, Plan]:
    """One spender with as much of everything."""
    leases = Leases()
    plan = leases.plan(spender("staff-7", "sales"), LIMITS)
    for counter in plan.counters:
        join(leases, counter, grant, **told)
    return leases, plan


def taken(leases: Leases, plan: Plan, amounts: Amounts) -> tuple[Lease, ...]:
    got = leases.take(plan, amounts, NOW_S)
    assert got is not None
    return got


def of(plan: Plan, metric: Metric) -> Counter:
    return next(one for one in plan.counters if one.limit.metric is metric)


def frees(plan: Plan) -> list[int]:
    return [counter.lease.free for counter in plan.counters]


@pytest.mark.parametrize(
    "amounts", [(101, 1, 1, 1), (1, 101, 1, 1), (1, 1, 101, 1), (1, 1, 1, 101)]
)
def test_all_or_none(amounts: Amounts) -> None:
    """If one counter has too little, nothing is taken from the others."""
    leases, plan = joined(100)

    assert leases.take(plan, amounts, NOW_S) is None
    assert [100] * 4 == frees(plan)


def test_nothing_is_taken_from_a_lease_that_is_over() -> None:
    """A unit of the last minute is no unit of this one."""
    leases, plan = joined()

    assert leases.take(plan, (1, 1, 1, 1), ENDS_S) is None


def test_what_is_not_used_is_free_again() -> None:
    """And places always come back."""
    leases, plan = joined()
    got = taken(leases, plan, (1, 50, 60, 1))

    leases.settle(got, (1, 50, 60, 1), (1, 20, 10, 0), 7)

    assert [99, 80, 100, 90] == frees(plan)
    assert [100] * 4 == [counter.lease.claim for counter in plan.counters]


def test_nothing_sent_costs_nothing() -> None:
    """Not even a request."""
    leases, plan = joined()
    got = taken(leases, plan, (1, 50, 60, 1))

    leases.settle(got, (1, 50, 60, 1), NOTHING, None)

    assert [100] * 4 == frees(plan)


def test_debt_is_claimed_and_told() -> None:
    """Used beyond all that was leased: the claim grows, nothing becomes negative."""
    leases, plan = joined()
    got = taken(leases, plan, (1, 50, 60, 1))

    leases.settle(got, (1, 50, 60, 1), (1, 180, 60, 0), 7)

    tokens = of(plan, Metric.TOKENS_PER_MIN)
    assert (0, 180) == (tokens.lease.free, tokens.lease.claim)
    assert tokens in leases.dirty


def test_a_forced_exchange_goes_into_debt() -> None:
    """It repeats one that was let through; what it needs is claimed."""
    leases, plan = joined(10)

    leases.force(plan, (1, 50, 5, 1))

    tokens = of(plan, Metric.TOKENS_PER_MIN)
    assert (0, 50) == (tokens.lease.free, tokens.lease.claim)


def test_free_units_near_a_limit_are_told_at_once() -> None:
    """Somebody else is refused for them."""
    kicks: list[bool] = []
    leases, plan = joined()
    leases.on_urgent = lambda: kicks.append(True)
    places = of(plan, Metric.CONCURRENT)
    join(leases, places, 0, left=0)
    got = taken(leases, plan, (1, 1, 1, 1))

    leases.settle(got, (1, 1, 1, 1), (1, 1, 1, 0), 1)
    leases.trim(places, NOW_S)

    assert [True] == kicks
    assert (0, 0) == (places.lease.free, places.lease.claim)


class TestLoss:
    """The store began anew and its counters come from the ledger."""

    def lose_and_join(self, leases: Leases, plan: Plan, size: int) -> Counter:
        leases.lost()
        for counter in plan.counters:
            if not counter.lease.joined:
                join(leases, counter, 0, epoch="e2", size=size)
        return of(plan, Metric.TOKENS_PER_MIN)

    @pytest.mark.parametrize(("index", "claimed"), [(4, 0), (5, 30), (None, 30)])
    def test_in_flight(self, index: int | None, claimed: int) -> None:
        """Settled after: charged in full, unless the ledger's sum has its outcome already."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        tokens = self.lose_and_join(leases, plan, 5)

        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), index)

        assert (claimed, 0) == (tokens.lease.claim, tokens.lease.free)
        assert 100 == of(plan, Metric.CONCURRENT).lease.free

    @pytest.mark.parametrize(("index", "claimed"), [(4, 0), (5, 30)])
    def test_settled_before_it_was_noticed(self, index: int, claimed: int) -> None:
        """The same for charges settled on a lease that was lost already."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), index)

        tokens = self.lose_and_join(leases, plan, 5)

        assert claimed == tokens.lease.claim

    def test_settled_between_noticing_and_joining(self) -> None:
        """It waits for the size of the new sum."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        leases.lost()
        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), 5)
        tokens = of(plan, Metric.TOKENS_PER_MIN)
        join(leases, tokens, 0, epoch="e2", size=5)

        assert 30 == tokens.lease.claim

    def test_twice(self) -> None:
        """A charge owed to the second sum is owed to the third only if that has it not."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), 5)
        assert 30 == self.lose_and_join(leases, plan, 5).lease.claim
        assert 30 == self.lose_and_join(leases, plan, 5).lease.claim
        assert 0 == self.lose_and_join(leases, plan, 6).lease.claim

    def test_confirmed_charges_are_forgotten(self) -> None:
        """Once the store was whole after them, any later sum of the ledger has them."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), 5)
        leases.asking_whole()
        leases.is_whole()

        assert 0 == self.lose_and_join(leases, plan, 6).lease.claim

    def test_another_window(self) -> None:
        """What belongs to a minute that is over is not owed to this one."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        leases.lost()
        tokens = of(plan, Metric.TOKENS_PER_MIN)
        join(leases, tokens, 0, epoch="e2", start=60_000_000)

        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), 9)

        assert 0 == tokens.lease.claim

    def test_one_counter_alone(self) -> None:
        """A counter that somebody deleted is made again like all."""
        leases, plan = joined()
        got = taken(leases, plan, (1, 50, 60, 1))
        leases.settle(got, (1, 50, 60, 1), (1, 30, 10, 0), 5)
        tokens = of(plan, Metric.TOKENS_PER_MIN)

        join(leases, tokens, 3, epoch="e2", size=5)

        assert (33, 3) == (tokens.lease.claim, tokens.lease.free)
        assert 100 == of(plan, Metric.REQUESTS_PER_MIN).lease.claim


def test_a_minute_ends_under_way() -> None:
    """Counted when it began; what it used beyond that is owed now."""
    leases, plan = joined()
    got = taken(leases, plan, (1, 50, 60, 1))
    tokens, requests = of(plan, Metric.TOKENS_PER_MIN), of(plan, Metric.REQUESTS_PER_MIN)
    join(leases, tokens, 0, start=60_000_000)
    join(leases, requests, 0, start=60_000_000)

    leases.settle(got, (1, 50, 60, 1), (1, 80, 10, 0), 9)

    assert (30, 0) == (tokens.lease.claim, requests.lease.claim)


@pytest.mark.parametrize(("size", "claimed"), [(9, 10), (10, 0)])
def test_a_day_ends_under_way(size: int, claimed: int) -> None:
    """The ledger charges it to the day in which it ended, so does the counter."""
    leases, plan = joined()
    got = taken(leases, plan, (1, 50, 60, 1))
    spend = of(plan, Metric.SPEND_PER_DAY)
    join(leases, spend, 0, start=DAY, size=size)

    leases.settle(got, (1, 50, 60, 1), (1, 80, 10, 0), 9)

    assert claimed == spend.lease.claim


def test_too_many_unconfirmed_charges() -> None:
    """While the store is silent only so many are remembered; then nothing may be let in."""
    leases = Leases(recent_max=3)
    plan = leases.plan(spender("staff-7", "sales"), LIMITS)
    for counter in plan.counters:
        join(leases, counter, 100)
    for index in range(3):
        assert not leases.full
        leases.settle(taken(leases, plan, (1, 1, 1, 1)), (1, 1, 1, 1), (1, 1, 1, 0), index)

    assert leases.full
    leases.asking_whole()
    assert leases.full
    leases.is_whole()
    assert not leases.full


def test_names_by_the_thousand() -> None:
    """Idle counters leave and are given back; those in use stay; the number is bounded."""
    leases = Leases(counters_max=40)
    plan = leases.plan(spender("staff-0"), LIMITS)
    for counter in plan.counters:
        join(leases, counter, 10)
    taken(leases, plan, (1, 1, 1, 1))
    for number in range(1, 200):
        leases.plan(spender(f"staff-{number}"), LIMITS)
        leases.drop_unjoined()

    assert len(leases.counters) <= 40
    assert leases.plan(spender("staff-0"), LIMITS).counters == plan.counters


def test_counters_in_use_are_never_dropped() -> None:
    """If all are, the next name is refused."""
    leases = Leases(counters_max=3)
    plan = leases.plan(spender("staff-0"), LIMITS)
    for counter in plan.counters:
        join(leases, counter, 10)
    taken(leases, plan, (1, 1, 1, 1))

    with pytest.raises(LimitsUnavailable):
        leases.plan(spender("staff-1"), LIMITS)


def test_a_counter_that_leaves_comes_back_with_its_claim() -> None:
    """Otherwise its use would be forgotten in the store."""
    leases = Leases(counters_max=3)
    first = leases.plan(spender("staff-0"), LIMITS)
    for counter in first.counters:
        join(leases, counter, 10)
    leases.plan(spender("staff-1"), LIMITS)
    assert leases.leaving

    again = leases.plan(spender("staff-0"), LIMITS)

    assert first.counters == again.counters
    assert [10] * 3 == [counter.lease.claim for counter in again.counters]


def test_other_rules_give_other_limits() -> None:
    """A swapped bundle counts at once; what was used stays used."""
    leases, plan = joined()
    taken(leases, plan, (1, 1, 1, 1))
    others = rules({"for": "principal:staff-7", "requests_per_min": 5}).limits

    swapped = leases.plan(spender("staff-7", "sales"), others)

    assert [of(plan, Metric.REQUESTS_PER_MIN)] == list(swapped.counters)
    assert 5 == swapped.counters[0].amount
    assert (1, 0) == (swapped.counters[0].lease.claim, swapped.counters[0].lease.free)
    assert leases.take(swapped, (1, 1, 1, 1), NOW_S) is None


def test_idle_leases_go_back() -> None:
    """From the second sweep without any exchange, all that is free."""
    leases, plan = joined()
    taken(leases, plan, (1, 10, 10, 1))
    tokens = of(plan, Metric.TOKENS_PER_MIN)

    assert not leases.sweep(tokens, NOW_S)
    assert leases.sweep(tokens, NOW_S)
    assert (0, 10) == (tokens.lease.free, tokens.lease.claim)
    assert not leases.sweep(tokens, NOW_S)


def test_places_that_ran_out_are_not_free() -> None:
    """The store has given them to others; those in use are still claimed."""
    leases, plan = joined()
    taken(leases, plan, (1, 10, 10, 3))
    places = of(plan, Metric.CONCURRENT)

    leases.trim(places, ENDS_S)

    assert (0, 3) == (places.lease.free, places.lease.claim)


def test_what_can_be_forgotten() -> None:
    """Counters whose window is long over, without exchanges, debts or places."""
    leases, plan = joined()
    got = taken(leases, plan, (1, 1, 1, 1))
    tokens, places = of(plan, Metric.TOKENS_PER_MIN), of(plan, Metric.CONCURRENT)
    assert not leases.removable(tokens, ENDS_S + 10)
    leases.settle(got, (1, 1, 1, 1), (1, 1, 1, 0), 1)

    assert not leases.removable(tokens, ENDS_S)
    assert leases.removable(tokens, ENDS_S + 10)
    assert not leases.removable(places, ENDS_S + 10)
    leases.forget([tokens.key])
    assert leases.plan(plan.spender, LIMITS).counters != plan.counters


def test_least_left() -> None:
    """Over all counters of a metric, what is in the store and what is leased."""
    leases, plan = joined()
    join(leases, of(plan, Metric.TOKENS_PER_MIN), 0, left=7)

    assert 107 == left_by(plan)[Metric.TOKENS_PER_MIN][1]


@dataclass
class Step:
    """One exchange, or a grant, a loss, a trim."""

    what: str
    tokens: int
    used: int


class Life:
    """A worker's leases through any sequence of steps, and what they should come to."""

    def __init__(self) -> None:
        self.leases, self.plan = joined(100)
        self.tokens = of(self.plan, Metric.TOKENS_PER_MIN)
        self.under_way: list[tuple[tuple[Lease, ...], Amounts]] = []
        self.outcomes: list[int] = []  # tokens by their place in the ledger
        self.size = 0
        self.confirmed = 0

    def begin(self, step: Step) -> None:
        amounts = (1, step.tokens, step.tokens, 1)
        got = self.leases.take(self.plan, amounts, NOW_S)
        if got is not None:
            self.under_way.append((got, amounts))

    def force(self, step: Step) -> None:
        amounts = (1, step.tokens, step.tokens, 1)
        self.under_way.append((self.leases.force(self.plan, amounts), amounts))

    def end(self, step: Step) -> None:
        if self.under_way:
            got, aside = self.under_way.pop(step.tokens % len(self.under_way))
            self.outcomes.append(step.used)
            spent = (1, step.used, step.used, 0)
            self.leases.settle(got, aside, spent, len(self.outcomes) - 1)

    def grant(self, step: Step) -> None:
        join(self.leases, self.tokens, step.tokens, epoch=self.tokens.lease.epoch, size=self.size)

    def lose(self, step: Step) -> None:
        """The new sum was made some outcomes ago, but after the store was last seen whole."""
        self.size = max(self.size, self.confirmed, len(self.outcomes) - step.used % 5)
        self.leases.lost()
        for counter in self.plan.counters:
            if not counter.lease.joined:
                join(self.leases, counter, 10, epoch=f"e{step.used}", size=self.size)

    def trim(self, step: Step) -> None:
        self.leases.trim(self.tokens, NOW_S)

    def whole(self, step: Step) -> None:
        self.leases.asking_whole()
        self.leases.is_whole()
        self.confirmed = len(self.outcomes)


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ["begin", "begin", "end", "end", "grant", "lose", "trim", "force", "whole"]
        ),
        st.integers(0, 60),
        st.integers(0, 90),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=300)
def test_the_claim_is_what_is_used_set_aside_and_free(steps: list[Step]) -> None:
    """Through any sequence: free is never negative, and the rest of the claim is exactly what this
    lease has open and what was used since the sum of the ledger it began with.
    """
    life = Life()
    for step in steps:
        getattr(life, step.what)(step)
        lease = life.tokens.lease
        aside = sum(aside[1] for got, aside in life.under_way if lease in got)
        assert lease.free >= 0
        assert lease.claim - lease.free == aside + sum(life.outcomes[life.size :])

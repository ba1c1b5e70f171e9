"""Limits shared by all workers through Redis or Valkey: `Limiter` of ports.py.

Units are leased in batches: what is needed or 1/lease_share of what is left, whichever is larger,
never more than is left; where an eighth of what is left covers it, enough for eight exchanges. So
most exchanges cost no round trip, and near a limit leases are small.

How far a limit L can be exceeded in one window, whatever fails:

    used <= L + open leases at each loss of the store
              + for each exchange in flight at a loss: all that it uses
              + for each other exchange: what it uses beyond its estimate

Without a loss only the last line remains: nothing is granted beyond L, and an exchange uses more
than was set aside only if the prompt was estimated too low, it had no cap on its answer, or the
backend ignored the cap; that debt is taken from what is left. With caps, "open leases plus in
flight times max_tokens" bounds the rest. A loss is a restart, a failover, a wiped store or a worker
that died. Forced exchanges (an attempt repeated) count as debt.

After a loss every counter begins again with what the ledger says was used, and charges that are not
in that sum are owed: sums do not drift (adapters/limit_leases.py). Each ledger brings its own sums,
so replicas with a ledger each rejoin within a tick; what a replica that is gone had used is not
known until it is back.

While the store is silent, exchanges covered by leases go on until the window ends (places: until
the lease ends); all others are refused (503). Nothing runs uncounted, and everything kept is
bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from sekisho.adapters.limit_charge import LeasedCharge, refusal, standing_of
from sekisho.adapters.limit_keeping import Keeper
from sekisho.adapters.limit_leases import NOTHING, Amounts, Counter, Lease, Leases, Plan
from sekisho.adapters.limit_rounds import Need, Rounds, Sums
from sekisho.adapters.redis_leases import COUNTERS_A_CALL, LeaseStore, RunChanged, unavailable
from sekisho.errors import LimitReached, LimitsUnavailable
from sekisho.model.limits import Estimate, Spender, Standing
from sekisho.model.prices import UsageRules

RESERVE_DEADLINE_S = 1.0
SILENT_S = 0.25  # after a failure others are refused at once for so long, instead of queueing
WAITING_MAX = 4_096  # exchanges that wait for a lease
ROUNDS_MAX = 5  # a lost store, its new run, a window that ends meanwhile
FORGET_S = 60.0
LOW = 3  # a lease that is good for less than three times what is wanted now is filled up
PEEK: Amounts = (1, 1, 1, 1)
_log = structlog.get_logger("sekisho.limits")


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How limits are counted; see LimitSettings. `forget_s` is when a silent worker is dead: longer
    than auditd waits before it closes what a worker left open.
    """

    lease_share: int = 32
    lease_s: float = 5.0
    answer_tokens: int = 1024
    forget_s: float = FORGET_S


class _Waiter:
    """An exchange that needs the store. `leased` is what it got."""

    __slots__ = ("amounts", "forced", "future", "leased", "peek", "plan")

    def __init__(self, plan: Plan, amounts: Amounts, *, forced: bool, peek: bool) -> None:
        self.plan = plan
        self.amounts = amounts
        self.forced = forced
        self.peek = peek
        self.leased: tuple[Lease, ...] = ()
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(self, leased: tuple[Lease, ...] = ()) -> None:
        self.leased = leased
        self.future.set_result(None)

    def fail(self, error: LimitReached | LimitsUnavailable) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class RedisLimiter:
    """See Limiter and the module's docstring. `start` before use, `close` at the end."""

    def __init__(
        self,
        client: Redis,
        ledger: Sums,
        rules: Callable[[], UsageRules],
        terms: LeaseTerms | None = None,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rules` gives those in force; it is asked for each exchange."""
        self._terms = terms or LeaseTerms()
        self._rules = rules
        self._now_s = now_s
        self.leases = Leases()
        share = self._terms.lease_share
        lease_us = int(self._terms.lease_s * 1_000_000)
        self._store = LeaseStore(client, ledger.origin, lease_us=lease_us, share=share)
        self._rounds = Rounds(self.leases, self._store, ledger, share=share, now_s=now_s)
        self.keeper = Keeper(
            self.leases,
            self._rounds,
            lease_s=self._terms.lease_s,
            forget_s=self._terms.forget_s,
            now_s=now_s,
        )
        self.leases.on_urgent = self.keeper.kick
        self._waiting: list[_Waiter] = []
        self._serving: asyncio.Task[None] | None = None
        self._silent_until_s = float("-inf")

    def start(self) -> None:
        """Begin to keep the leases."""
        self.keeper.start()

    async def close(self) -> None:
        """Give everything back and drop all connections."""
        await self.keeper.close()
        if self._serving is not None:
            await asyncio.wait([self._serving], timeout=RESERVE_DEADLINE_S)
        await self._store.close()

    async def standing(self, asking: Spender) -> Standing:
        """See Limiter."""
        plan = self.leases.plan(asking, self._rules().limits)
        now_s = self._now_s()
        if any(counter.lease.until_s <= now_s for counter in plan.counters):
            await self._wait(_Waiter(plan, PEEK, forced=False, peek=True))
        return standing_of(plan)

    async def reserve(
        self, asking: Spender, estimate: Estimate, *, forced: bool = False
    ) -> LeasedCharge:
        """See Limiter."""
        rules = self._rules()
        plan = self.leases.plan(asking, rules.limits)
        price = rules.prices.of(asking.model)
        prompt = estimate.prompt_tokens
        answer = estimate.answer_tokens or self._terms.answer_tokens
        amounts = (1, prompt + answer, price.cost_micros(prompt, answer), 1)
        if plan.counters and self.leases.full:
            raise unavailable()
        leased = self.leases.take(plan, amounts, self._now_s())
        if leased is None:
            leased = await self._wait(_Waiter(plan, amounts, forced=forced, peek=False))
        return LeasedCharge(
            self.leases, plan, leased, amounts, estimate, prices=rules.prices, now_s=self._now_s
        )

    async def _wait(self, waiter: _Waiter) -> tuple[Lease, ...]:
        """Until the store has answered for `waiter`. Raises LimitReached, LimitsUnavailable."""
        if self._now_s() < self._silent_until_s or len(self._waiting) >= WAITING_MAX:
            raise unavailable()
        self._waiting.append(waiter)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve_all(), name="limit rounds")
        try:
            async with asyncio.timeout(RESERVE_DEADLINE_S):
                await waiter.future
        except TimeoutError as error:
            self._give_up(waiter)
            raise unavailable() from error
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise
        return waiter.leased

    def _give_up(self, waiter: _Waiter) -> None:
        """Nobody waits for it any more; what it has got already goes back."""
        waiter.future.cancel()
        if waiter.leased:
            self.leases.settle(waiter.leased, waiter.amounts, NOTHING, None)

    async def _serve_all(self) -> None:
        """Serve whoever waits, in order, as many at once as one call holds."""
        while self._waiting:
            batch = self._next_batch()
            try:
                await self._serve(batch)
            except Exception as error:  # noqa: BLE001 - the next exchanges must be served again
                if not isinstance(error, LimitsUnavailable):
                    _log.error("leasing broke", error=type(error).__name__)
                    error = unavailable()
                self._silent_until_s = self._now_s() + SILENT_S
                rest, self._waiting = self._waiting, []
                for waiter in (*batch, *rest):
                    waiter.fail(LimitsUnavailable(error.message))
            finally:
                for waiter in batch:
                    waiter.fail(unavailable())

    def _next_batch(self) -> Sequence[_Waiter]:
        taken, counters = 0, 0
        for waiter in self._waiting:
            counters += len(waiter.plan.counters)
            if taken and counters > COUNTERS_A_CALL:
                break
            taken += 1
        batch = self._waiting[:taken]
        del self._waiting[:taken]
        return batch

    async def _serve(self, batch: Sequence[_Waiter]) -> None:
        for _ in range(ROUNDS_MAX):
            pending = [waiter for waiter in batch if not waiter.future.done()]
            if not pending:
                return
            wanted = self._wanted(pending)
            try:
                await self._rounds.tell(wanted)
            except RunChanged:
                continue
            for waiter in pending:
                if not waiter.future.done():
                    self._answer(waiter, wanted)

    def _wanted(self, pending: Sequence[_Waiter]) -> dict[Counter, Need]:
        """What all of them need of each counter that has not enough, and the least one needs."""
        now_s = self._now_s()
        sums: dict[Counter, Need] = {}
        for waiter in pending:
            for counter in waiter.plan.counters:
                amount = waiter.amounts[counter.unit]
                total, least = sums.get(counter, (0, amount))
                if waiter.peek:  # looks at it, and wants nothing beside what others want
                    sums[counter] = (max(total, 1), least)
                else:
                    counter.need = amount
                    sums[counter] = (total + amount, min(least, amount))
        wanted: dict[Counter, Need] = {}
        for counter, (total, least) in sums.items():
            free = counter.lease.free
            if total > free or counter.lease.until_s <= now_s:
                wanted[counter] = (total, least)
            elif total * LOW > free:  # it would be short next: one call for both is cheaper
                wanted[counter] = (free + 1, least)
        return wanted

    def _answer(self, waiter: _Waiter, wanted: dict[Counter, Need]) -> None:
        """Give, refuse, or leave it for another round."""
        now_s = self._now_s()
        plan, amounts = waiter.plan, waiter.amounts
        known = all(counter.lease.until_s > now_s for counter in plan.counters)
        if waiter.peek:
            if known:
                waiter.done()
            return
        leased = self.leases.take(plan, amounts, now_s)
        if leased is None and waiter.forced and known:
            leased = self.leases.force(plan, amounts)
        if leased is not None:
            waiter.done(leased)
            return
        short = [counter for counter in plan.counters if _is_short(counter, amounts, wanted, now_s)]
        if short:
            currency = self._rules().prices.currency
            waiter.fail(refusal(plan, short, amounts, now_s, currency))


def _is_short(
    counter: Counter, amounts: Amounts, wanted: dict[Counter, Need], now_s: float
) -> bool:
    """Whether the store has just said that there is not enough."""
    lease, amount = counter.lease, amounts[counter.unit]
    return counter in wanted and lease.until_s > now_s and lease.free + max(0, lease.left) < amount

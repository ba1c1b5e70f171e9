"""What tests of limits stand on: a ledger that only sums, rules from lines, a store with faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from redis import Redis as SyncRedis

from sekisho.adapters.policy_data import PolicyData, usage_rules
from sekisho.adapters.redis_leases import RunChanged, counter_key
from sekisho.adapters.redis_limits import LeaseTerms, RedisLimiter
from sekisho.errors import LedgerUnavailable
from sekisho.model.limits import Estimate, Metric, Spender
from sekisho.model.prices import UsageRules
from sekisho.ports import Charge, Used
from support.faulty_redis import FaultyRedis

PRICES = {"currency": "USD", "models": {"m*": {"input": 1, "output": 1}}}  # a token is a micro


def rules(*limits: Mapping[str, Any], prices: Mapping[str, Any] | None = None) -> UsageRules:
    """The rules that these lines of data.yaml make."""
    document: dict[str, Any] = {"limits": list(limits), "prices": prices or PRICES}
    for part in ("groups", "hosted_tools", "function_tools", "unknown_fields", "labels"):
        document[part] = {}
    for part in ("entities", "hold", "records"):
        document[part] = {}
    PolicyData.model_validate(document)
    return usage_rules(document)


def spender(name: str = "staff-7", *groups: str, model: str = "m-1") -> Spender:
    """Somebody who asks backend b-1."""
    return Spender(name, frozenset(groups), model, "b-1")


def windows_now() -> tuple[str, str, str]:
    """The windows of this moment, as the ledger names them."""
    now = datetime.now(UTC)
    return now.strftime("m%Y-%m-%dT%H:%M"), now.strftime("d%Y-%m-%d"), now.strftime("M%Y-%m")


class SumLedger:
    """The sums of charged outcomes by (dimension, name, window); of `Ledger` what limits need."""

    origin = "ledger.example/test"

    def __init__(self) -> None:
        self.size = 0
        self.down = False
        self.asked = 0
        self.sums: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def outcome(self, who: Spender, used: Mapping[str, Any]) -> int:
        """Record what an exchange cost; its place."""
        for dimension, name in who.names:
            for window in windows_now():
                key = (dimension, name, window)
                requests, tokens, spend = self.sums.get(key, (0, 0, 0))
                spend += used["spend_micros"]
                self.sums[key] = (requests + 1, tokens + used["tokens"], spend)
        self.size += 1
        return self.size - 1

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        self.asked += 1
        return Used(self.size, [self.sums.get(one, (0, 0, 0)) for one in asked])


def out_of(url: str, dimension: str, name: str, metric: Metric) -> int:
    """Units of a counter that the store has given out."""
    with SyncRedis.from_url(url) as client:
        out = client.hget(counter_key(dimension, name, metric), "o")
    return int(out) if isinstance(out, bytes) else 0


class Desk:
    """Workers of one installation around one Valkey and one ledger, without background tasks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ledger = SumLedger()
        self.usage = rules()
        self.limiters: list[RedisLimiter] = []
        self.stores: list[FaultyRedis] = []

    def worker(self, **terms: Any) -> RedisLimiter:
        """One more worker; its keeper runs only when it is told to."""
        store = FaultyRedis.to(self.url)
        limiter = RedisLimiter(store, self.ledger, lambda: self.usage, LeaseTerms(**terms))
        self.limiters.append(limiter)
        self.stores.append(store)
        return limiter

    async def spend(
        self, limiter: RedisLimiter, who: Spender, tokens: int = 10, used: int | None = None
    ) -> None:
        """One exchange from beginning to end."""
        charge = await limiter.reserve(who, Estimate(0, tokens))
        self.end(charge, who, tokens if used is None else used)

    def end(self, charge: Charge, who: Spender, tokens: int) -> None:
        """The outcome is recorded, then the charge settled."""
        used = charge.used({"prompt_tokens": 0, "completion_tokens": tokens}, tokens)
        charge.settle(used, self.ledger.outcome(who, used))

    async def settled(self, limiter: RedisLimiter) -> None:
        """What a tick of the keeper does, until the store is whole."""
        for _ in range(5):
            limiter.keeper._beat_at_s = 0
            try:
                await limiter.keeper.once()
            except RunChanged:
                continue
            await limiter.keeper.flush()
            return
        raise TimeoutError

    async def close(self) -> None:
        for limiter in self.limiters:
            await limiter.close()

"""How long people took lately to answer holds, for whoever wonders whether to wait.

For each group of reviewers the last hundred answers, in Valkey, so that all workers tell the same.
It is a hint: it is neither in the ledger nor needed by anything, and what cannot be noted or read
is left out. Too few answers are not told, because they would tell what one person does. Where one
group waits for another nothing is noted: who was slow cannot be told apart.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sekisho.model.hold import Hold, Pace
from sekisho.model.steps import ordered

KEPT_MAX = 100
TOLD_MIN = 5
KEPT_S = 30 * 86_400  # what was usual before that tells nothing of today
_SECOND_US = 1_000_000


class Paces:
    """Notes and tells; one a worker. `prefix` is that of the keys."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def took(self, hold: Hold, settled_us: int) -> None:
        """People settled `hold` then. Noted once, however often it is said; never raises."""
        if ordered(hold.thresholds):
            return
        seconds = max(0, settled_us - hold.created_us) // _SECOND_US
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for threshold in hold.thresholds:
                    key = self._prefix + threshold.reviewers
                    pipe.zadd(key, {f"{hold.id} {seconds}": settled_us})
                    pipe.zremrangebyrank(key, 0, -KEPT_MAX - 1)
                    pipe.expire(key, KEPT_S)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError):
            return

    async def lately(self, reviewers: Sequence[str]) -> dict[str, Pace]:
        """By group of reviewers, where enough is known. Never raises."""
        found = {}
        try:
            for name in dict.fromkeys(reviewers):
                noted: list[Any] = await self._client.zrange(self._prefix + name, 0, -1)
                took_s = [int(one.split(b" ")[1]) for one in noted]
                if len(took_s) >= TOLD_MIN:
                    found[name] = Pace(len(took_s), int(statistics.median(took_s)))
        except (RedisError, OSError, TimeoutError):
            return {}
        return found

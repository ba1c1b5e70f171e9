"""A redis client that loses scripts on demand, in both forms: before they ran, and their reply."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sekisho.adapters.redis_desk import RedisReviewDesk
from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_leases import LeaseStore
from sekisho.adapters.redis_scripts import GatedScripts

_NAMES = {
    digest: name
    for scripts in (GatedScripts, LeaseStore)
    for name, digest in scripts.digests().items()
}
_SOURCES = {source: f"desk.{name}" for name, source in RedisReviewDesk.sources.items()}
ALWAYS = 1_000_000


class FaultyRedis(Redis):
    """`lose_before` and `lose_after` say how many calls of a script, by name, still fail."""

    lose_before: dict[str, int]
    lose_after: dict[str, int]
    calls: list[str]

    @classmethod
    def to(cls, url: str) -> FaultyRedis:
        """A client as the stores make it, with faults."""
        client = cls(connection_pool=connect(url).connection_pool)
        client.auto_close_connection_pool = True
        client.lose_before, client.lose_after, client.calls = {}, {}, []
        return client

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        name = _NAMES.get(sha, "?")
        asked = super().evalsha(sha, numkeys, *keys_and_args)
        return await self._with_faults(name, asked)

    async def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        asked = super().eval(script, numkeys, *keys_and_args)
        name = _SOURCES.get(script)
        return await (asked if name is None else self._with_faults(name, asked))

    async def _with_faults(self, name: str, asked: Any) -> Any:
        self.calls.append(name)
        if self.lose_before.get(name, 0) > 0:
            self.lose_before[name] -= 1
            asked.close()
            raise RedisConnectionError("lost before it ran")
        answer = await asked
        if self.lose_after.get(name, 0) > 0:
            self.lose_after[name] -= 1
            raise RedisConnectionError("its reply was lost")
        return answer

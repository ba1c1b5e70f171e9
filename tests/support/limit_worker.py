"""A worker process for races over limits, and the ledger it shares with others.

    python limit_worker.py '{"valkey": URL, "ledger": SOCKET, "limits": [...], "seed": 1, ...}'

The process asks at random until its standard input ends, gives everything back and prints what it
saw as JSON: the most it had leased and set aside at once, and how its exchanges ended.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_limits import LeaseTerms, RedisLimiter
from sekisho.errors import LedgerUnavailable, LimitReached, LimitsUnavailable
from sekisho.model.limits import Estimate, Metric, Spender
from sekisho.ports import Used
from support.limit_world import SumLedger, rules, spender

CALLERS = 6
TOKENS_MAX = 12
PAUSE_S = 0.01
LONG_S = 0.8


class LedgerServer:
    """Lets worker processes share one `SumLedger` over a Unix socket: a JSON line each way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = SumLedger()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            asked = json.loads(line)
            if "used" in asked:
                used = await self.ledger.used([(d, n, w) for d, n, w in asked["used"]])
                reply: Any = [used.size, used.sums]
            else:
                who = Spender(asked["principal"], frozenset(asked["groups"]), asked["model"], "b-1")
                reply = self.ledger.outcome(who, asked["charged"])
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()


class RemoteLedger:
    """What a worker needs of the ledger, from `LedgerServer`."""

    origin = SumLedger.origin

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        size, sums = await self._ask({"used": list(asked)})
        return Used(size, [(one[0], one[1], one[2]) for one in sums])

    async def outcome(self, who: Spender, charged: Mapping[str, Any]) -> int:
        """Durable, and its place."""
        told = {"principal": who.principal, "groups": sorted(who.groups), "model": who.model}
        place: int = await self._ask({**told, "charged": dict(charged)})
        return place

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def _ask(self, question: Mapping[str, Any]) -> Any:
        async with self._lock:
            if self._streams is None:
                self._streams = await asyncio.open_unix_connection(self._path)
            reader, writer = self._streams
            writer.write(json.dumps(question).encode() + b"\n")
            line = await reader.readline()
        if not line:
            raise LedgerUnavailable("the ledger is away")
        return json.loads(line)


class Load:
    """Random exchanges of some people in one group, and what was seen."""

    def __init__(self, limiter: RedisLimiter, ledger: RemoteLedger, seed: int) -> None:
        self.limiter = limiter
        self.ledger = ledger
        self.random = random.Random(seed)  # noqa: S311 - a test that can be run again
        self.ended: Counter[str] = Counter()
        self.leased_max = 0
        self.aside_max = 0
        self.stopped = False

    async def caller(self) -> None:
        while not self.stopped:
            try:
                await self.exchange()
                self.ended["passed"] += 1
            except (LimitReached, LimitsUnavailable) as error:
                self.ended[error.code] += 1
                await asyncio.sleep(PAUSE_S)

    async def exchange(self) -> None:
        """Most do not use what they set aside, some send nothing."""
        who = spender(f"staff-{self.random.randrange(3)}", "sales")
        charge = await self.limiter.reserve(who, Estimate(0, TOKENS_MAX))
        self.look()
        # Some are in flight for longer than the store is away.
        await asyncio.sleep(LONG_S if self.random.random() < 0.03 else PAUSE_S)
        if self.random.random() < 0.1:
            charge.settle(None, None)
            return
        tokens = self.random.randint(1, TOKENS_MAX)
        used = charge.used({"prompt_tokens": 0, "completion_tokens": tokens}, tokens)
        charge.settle(used, await self.ledger.outcome(who, used))

    def look(self) -> None:
        """The most that this worker held of the group's budget."""
        for (_, name, metric), counter in self.limiter.leases.counters.items():
            if (name, metric) == ("sales", Metric.SPEND_PER_DAY):
                self.leased_max = max(self.leased_max, counter.lease.free)
                self.aside_max = max(self.aside_max, counter.open * TOKENS_MAX)

    async def heard(self, line: str) -> None:
        """One that only takes places and keeps them: it is meant to be killed."""
        charges = [
            await self.limiter.reserve(spender("staff-0", "sales"), Estimate(0, TOKENS_MAX))
            for _ in range(int(line))
        ]
        print(len(charges), flush=True)  # noqa: T201 - the parent waits for it
        await asyncio.sleep(60)


async def main(asked: Mapping[str, Any]) -> None:
    """One worker from start to end."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    table = rules(*asked["limits"])
    ledger = RemoteLedger(asked["ledger"])
    terms = LeaseTerms(**asked.get("terms", {}))
    limiter = RedisLimiter(connect(asked["valkey"]), ledger, lambda: table, terms)
    limiter.start()
    load = Load(limiter, ledger, asked["seed"])
    if asked.get("take"):
        await load.heard(asked["take"])
        return
    callers = [asyncio.create_task(load.caller()) for _ in range(CALLERS)]
    await asyncio.to_thread(sys.stdin.read)
    load.stopped = True
    await asyncio.gather(*callers)
    await limiter.close()
    await ledger.close()
    seen = {"leased": load.leased_max, "aside": load.aside_max, "ended": dict(load.ended)}
    print(json.dumps(seen), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))

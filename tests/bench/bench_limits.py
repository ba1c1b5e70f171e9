"""What identity and limits cost: `.venv/bin/python tests/bench/bench_limits.py`.

The last line is both together, as the data path has them: reading the head, finding the key's
principal, what is left as facts, setting aside, charging, and the headers of the answer.

CPU time of this process, Valkey's apart, since it is another process. Warm: leases are there and no
call is made. With calls: small limits, so that some exchanges need a new lease. Prints, judges
nothing; absolute figures belong to one machine on one day.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.adapters.credentials import Credentials
from sekisho.adapters.redis_limits import RedisLimiter
from sekisho.adapters.registry_keys import KeyTerms, create
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Registry
from sekisho.model.limits import Estimate, Spender
from sekisho.model.prices import UsageRules
from sekisho.model.principal import Role
from support.entrances import entrance
from support.faulty_redis import FaultyRedis
from support.limit_world import SumLedger, rules, spender
from support.valkey import Valkey

USAGE = {"prompt_tokens": 90, "completion_tokens": 120, "total_tokens": 210}
ESTIMATE = Estimate(100, 1000)


def lines(size: int) -> tuple[dict[str, Any], ...]:
    """Six limits for each exchange; `size` scales them."""
    return (
        {
            "for": "principal:*",
            "requests_per_min": 120 * size,
            "tokens_per_min": 200_000 * size,
            "spend_per_day": 50 * size,
            "concurrent": 16 * size,
        },
        {"for": "group:sales", "spend_per_month": 800 * size},
        {"for": "backend:*", "requests_per_min": 100_000 * size},
    )


async def exchanges(limiter: RedisLimiter, principals: int, rounds: int) -> dict[str, float]:
    """CPU us of each part for one exchange."""
    whos = [spender(f"staff-{number}", "sales", "all") for number in range(principals)]
    for _ in range(2):
        for who in whos:
            charge = await limiter.reserve(who, ESTIMATE)
            charge.settle(charge.used(USAGE, 400), 0)
    took = dict.fromkeys(("standing", "reserve", "record", "settle", "headers"), 0)
    for number in range(rounds):
        who = whos[number % principals]
        began = time.process_time_ns()
        await limiter.standing(who)
        stood = time.process_time_ns()
        charge = await limiter.reserve(who, ESTIMATE)
        reserved = time.process_time_ns()
        used = charge.used(USAGE, 400)
        charge.reserved  # noqa: B018 - what it costs is the question
        told = time.process_time_ns()
        charge.settle(used, number)
        settled = time.process_time_ns()
        charge.headers()
        took["standing"] += stood - began
        took["reserve"] += reserved - stood
        took["record"] += told - reserved
        took["settle"] += settled - told
        took["headers"] += time.process_time_ns() - settled
        if number % 64 == 0:
            await asyncio.sleep(0)
    return {name: value / rounds / 1000 for name, value in took.items()}


async def pairs(limiter: RedisLimiter, principals: int, rounds: int) -> float:
    """CPU us of reserve and settle together, all tasks counted."""
    whos = [spender(f"staff-{number}", "sales", "all") for number in range(principals)]
    used = {"tokens": 210, "spend_micros": 210}
    began = time.process_time_ns()
    for number in range(rounds):
        charge = await limiter.reserve(whos[number % principals], ESTIMATE)
        charge.settle(used, number)
        if number % 64 == 0:
            await asyncio.sleep(0)
    return (time.process_time_ns() - began) / rounds / 1000


async def limits(url: str, table: UsageRules, principals: int, rounds: int, name: str) -> None:
    """Print one case."""
    store = FaultyRedis.to(url)
    limiter = RedisLimiter(store, SumLedger(), lambda: table)
    limiter.start()
    try:
        parts = await exchanges(limiter, principals, rounds)
        store.calls.clear()
        both = await pairs(limiter, principals, rounds)
        calls = store.calls.count("take") / rounds
    finally:
        await limiter.close()
    told = "  ".join(f"{part} {value:.1f}" for part, value in parts.items())
    print(f"{name:22} reserve+settle {both:6.1f} us, {calls:.3f} calls each;  {told}")


async def keys(folder: Path, principals: int, rounds: int) -> None:
    """Print what a lookup costs."""
    pepper = os.urandom(32)
    path = folder / "registry.sqlite"
    secrets = made(path, pepper, principals)
    async with SqlDirectory(path, pepper) as directory:
        began = time.process_time_ns()
        for number in range(rounds):
            directory.by_key(secrets[number % principals])
        took = (time.process_time_ns() - began) / rounds / 1000
    print(f"{'find a key':22} {took:6.1f} us")


def made(path: Path, pepper: bytes, principals: int) -> list[str]:
    """Keys of so many principals."""
    registry = Registry.open(path)
    secrets = []
    try:
        with registry.change() as change:
            for number in range(principals):
                name = f"staff-{number}"
                change.put_principal(name, kind="person", owner=None)
                change.set_roles(name, {Role.EMPLOYEE})
                change.set_groups(name, {"sales", "all"})
                secrets.append(create(change, name, pepper, KeyTerms()).plaintext)
    finally:
        registry.close()
    return secrets


async def together(url: str, folder: Path, principals: int, rounds: int) -> None:
    """Print what an exchange pays for being known and limited."""
    pepper, path = os.urandom(32), folder / "together.sqlite"
    secrets = made(path, pepper, principals)
    table = rules(*lines(1_000))
    limiter = RedisLimiter(FaultyRedis.to(url), SumLedger(), lambda: table)
    limiter.start()
    async with SqlDirectory(path, pepper) as keys:
        desk: Any = None
        people = Credentials(keys, desk, None, None, asserts_tokens=False, now_us=lambda: 0)
        doors = entrance()
        heads = [
            {"method": "POST", "client": ("127.0.0.1", 5), "headers": head(secret)}
            for secret in secrets
        ]

        async def exchange(number: int) -> None:
            found, _ = await doors.enter(heads[number % principals], "bench", people.find)
            who = Spender(found.id, found.groups, "gpt-4o", "openai")
            await limiter.standing(who)
            charge = await limiter.reserve(who, ESTIMATE)
            charge.reserved  # noqa: B018 - what it costs is the question
            charge.settle(charge.used(USAGE, 400), number)
            charge.headers()

        for number in range(2 * principals):
            await exchange(number)
        began = time.process_time_ns()
        for number in range(rounds):
            await exchange(number)
            if number % 64 == 0:
                await asyncio.sleep(0)
        took = (time.process_time_ns() - began) / rounds / 1000
    await limiter.close()
    print(f"{'together, warm':22} {took:6.1f} us   (at most 40)")


def head(secret: str) -> list[tuple[bytes, bytes]]:
    """What an SDK sends."""
    return [
        (b"host", b"127.0.0.1:8080"),
        (b"accept", b"application/json"),
        (b"content-type", b"application/json"),
        (b"user-agent", b"OpenAI/Python 3.54.0"),
        (b"x-stainless-lang", b"python"),
        (b"x-stainless-retry-count", b"0"),
        (b"authorization", b"Bearer " + secret.encode()),
        (b"content-length", b"200"),
    ]


async def main() -> None:
    """All cases."""
    options = argparse.ArgumentParser(description="CPU of limits and of a key's lookup")
    options.add_argument("--principals", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=20_000)
    chosen = options.parse_args()
    valkey = Valkey()
    valkey.start()
    try:
        for name, size in (("warm, 6 limits", 1_000), ("limits of one person", 1)):
            await limits(valkey.url, rules(*lines(size)), chosen.principals, chosen.rounds, name)
        await limits(valkey.url, rules(), chosen.principals, chosen.rounds, "no limits")
        with tempfile.TemporaryDirectory() as folder:
            await keys(Path(folder), 100, chosen.rounds)
            await together(valkey.url, Path(folder), 1_000, chosen.rounds)
    finally:
        valkey.close()


if __name__ == "__main__":
    asyncio.run(main())

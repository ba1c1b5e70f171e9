"""Races over limits: four worker processes, one Valkey that dies, one ledger that knows the truth.

The bound is the one stated in adapters/redis_limits.py, with what the workers really held: for each
loss of the store what was leased, and what was set aside for exchanges in flight.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from sekisho.model.limits import Metric, Unit
from support.installation import Installation
from support.limit_worker import LedgerServer
from support.limit_world import out_of, windows_now
from support.loopback_backend import LoopbackBackend
from support.valkey import Valkey

SCRIPT = Path(__file__).parents[1] / "support" / "limit_worker.py"
WORKERS = 4
BUDGET = 20_000
SOON_S = 60.0
LIMITS = [
    {"for": "principal:*", "requests_per_min": 100_000, "spend_per_month": 1, "concurrent": 9},
    {"for": "group:sales", "spend_per_day": BUDGET / 1_000_000, "tokens_per_min": 1_000_000},
]
# Without places a worker has no reason to ask, and goes on with leases that are lost already.
QUIET = [
    {"for": "principal:*", "spend_per_month": 1},
    {"for": "group:sales", "spend_per_day": BUDGET / 1_000_000},
]
TERMS = {"lease_share": 64, "lease_s": 1.0, "forget_s": 60.0}
CHECKED = [
    *(("principal", f"staff-{number}", Metric.SPEND_PER_MONTH) for number in range(3)),
    ("group", "sales", Metric.SPEND_PER_DAY),
]


@pytest.fixture(autouse=True)
def _ready_and_quiet() -> None:
    """These tests bring their own processes: no installation is started for them."""


@dataclass
class Race:
    """What the workers share, and the workers."""

    valkey: Valkey
    server: LedgerServer
    workers: list[Process] = field(default_factory=list)

    async def worker(self, limits: Sequence[Mapping[str, Any]], **asked: Any) -> Process:
        asked = {
            "valkey": self.valkey.url,
            "ledger": str(self.server.path),
            "limits": limits,
            "terms": TERMS,
            "seed": len(self.workers),
            **asked,
        }
        one = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), json.dumps(asked), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        self.workers.append(one)
        return one

    async def spent(self) -> int:
        """Of the group, by the ledger."""
        used = await self.server.ledger.used([("group", "sales", windows_now()[1])])
        return used.sums[0][Unit.MICROS]

    async def until_spent(self, micros: int) -> None:
        async with asyncio.timeout(SOON_S):
            while await self.spent() < micros:
                await asyncio.sleep(0.01)

    async def until_quiet(self) -> None:
        """Until the budget is used up and nothing is let through any more."""
        await self.until_spent(BUDGET - 100)
        async with asyncio.timeout(SOON_S):
            size = -1
            while size != self.server.ledger.size:
                size = self.server.ledger.size
                await asyncio.sleep(1.5)

    async def stop(self) -> list[dict[str, Any]]:
        """What each worker saw."""
        running = [one for one in self.workers if one.returncode is None]
        async with asyncio.timeout(SOON_S):
            said = await asyncio.gather(*(one.communicate(b"") for one in running))
        return [json.loads(out) for out, _ in said]

    async def drift(self) -> dict[tuple[str, str, Metric], tuple[int, int]]:
        """Counters that are not what the ledger says, with both figures."""
        _, day, month = windows_now()
        found = {}
        for dimension, name, metric in CHECKED:
            window = day if metric is Metric.SPEND_PER_DAY else month
            used = await self.server.ledger.used([(dimension, name, window)])
            figures = (out_of(self.valkey.url, dimension, name, metric), used.sums[0][Unit.MICROS])
            if figures[0] != figures[1]:
                found[dimension, name, metric] = figures
        return found


@pytest.fixture
async def race() -> AsyncIterator[Race]:
    valkey = Valkey()
    valkey.start()
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        one = Race(valkey, LedgerServer(Path(folder) / "l"))
        await one.server.start()
        yield one
        for worker in one.workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        await one.server.close()
    valkey.close()


async def lose(valkey: Valkey, how: str) -> None:
    """Killed, away for a moment, and back with its files or without; or wiped as it runs."""
    if how == "wiped":
        with redis.Redis.from_url(valkey.url) as client:
            client.flushall()
        return
    valkey.kill()
    await asyncio.sleep(0.3)
    await asyncio.to_thread(valkey.restart, lose_data=how == "emptied")


async def test_without_a_loss_nothing_is_exceeded(race: Race) -> None:
    """Four workers at once use the budget up, to within what is left in no one's hands."""
    for _ in range(WORKERS):
        await race.worker(LIMITS)
    await race.until_quiet()

    seen = await race.stop()

    assert await race.spent() <= BUDGET
    assert await race.spent() > BUDGET - 100
    assert {} == await race.drift()
    assert all(one["ended"]["budget_exhausted"] for one in seen)


@pytest.mark.parametrize(
    ("limits", "losses"),
    [
        (LIMITS, ["killed"]),
        (LIMITS, ["emptied"]),
        (LIMITS, ["killed", "emptied", "wiped"]),
        (QUIET, ["wiped", "wiped"]),
    ],
)
async def test_a_lost_store(race: Race, limits: list[dict[str, Any]], losses: list[str]) -> None:
    """With its files or without, or wiped: never beyond the bound, and afterwards no drift.

    Counters less open leases, of which there are none at the end, are the sums of the ledger.
    """
    for _ in range(WORKERS):
        await race.worker(limits, terms={**TERMS, "lease_share": 16})
    for number, how in enumerate(losses, 1):
        await race.until_spent(BUDGET * number // (len(losses) + 2))
        await lose(race.valkey, how)
    await race.until_quiet()

    seen = await race.stop()

    held = sum(one["leased"] + one["aside"] for one in seen)
    assert BUDGET - 100 < await race.spent() <= BUDGET + len(losses) * held
    assert {} == await race.drift()
    assert all(one["ended"]["passed"] for one in seen)


async def test_a_store_that_dies_when_nothing_is_left(race: Race) -> None:
    """Nothing in flight, nothing leased: not one more exchange passes after it."""
    for _ in range(WORKERS):
        await race.worker(LIMITS)
    await race.until_quiet()
    before = await race.spent()

    await lose(race.valkey, "emptied")
    await asyncio.sleep(1)
    await race.until_quiet()
    await race.stop()

    assert before <= await race.spent() <= BUDGET
    assert {} == await race.drift()


async def test_a_killed_worker_loses_its_places(race: Race) -> None:
    """While it lives nobody else gets one; killed, they return when their lease is over."""
    limits = [{"for": "principal:*", "concurrent": 2}]

    async def placed(places: int) -> tuple[Process, bool]:
        one = await race.worker(limits, take=places)
        assert one.stdout is not None
        return one, await one.stdout.readline() == f"{places}\n".encode()

    holder, holds = await placed(2)
    assert holds
    assert not (await placed(1))[1]

    os.kill(holder.pid, signal.SIGKILL)
    await holder.wait()
    async with asyncio.timeout(SOON_S):
        while not (await placed(1))[1]:
            await asyncio.sleep(0.1)


async def test_what_a_killed_worker_leased_comes_back(race: Race) -> None:
    """When it was silent for long enough the counters are made again, and the rest can be used."""
    terms = {**TERMS, "forget_s": 2.0, "lease_share": 4}
    first = [await race.worker(LIMITS, terms=terms) for _ in range(2)]
    await race.until_spent(BUDGET // 10)
    os.kill(first[0].pid, signal.SIGKILL)
    await first[0].wait()

    await race.until_quiet()
    await race.stop()

    assert {} == await race.drift()


SPENT = """
limits:
  - {for: "group:employees", spend_per_day: 0.0005}
prices:
  currency: "USD"
  models: {"*": {input: 2.5, output: 10}}
"""


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend
) -> Iterator[Installation]:
    """A whole installation whose group has a budget for some requests."""
    installation = Installation(tmp_path_factory.mktemp("l"), {"*": scripted.url})
    installation.write()
    data = installation.folder / "policies" / "data.yaml"
    data.write_text(data.read_text("utf-8") + SPENT, "utf-8")
    installation.start()
    yield installation
    assert installation.stop() == 0
    assert installation.verify().returncode == 0


def test_a_budget_outlives_the_store(limited: Installation) -> None:
    """Used up by one person, refused to a colleague, and still used up after Valkey was killed."""
    keys = [limited.key("staff-7"), limited.key("staff-8")]

    def ask(key: str) -> httpx.Response:
        return httpx.post(
            f"{limited.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {key}"},
            json={
                "model": "ok",
                "max_tokens": 5,
                "messages": [{"role": "user", "content": "hi"}],
            },
            timeout=10,
            trust_env=False,
        )

    answers = [ask(keys[0]) for _ in range(12)]
    passed = sum(answer.status_code == 200 for answer in answers)
    assert 3 < passed < 12
    assert "budget_exhausted" == answers[-1].json()["error"]["code"]
    assert 429 == ask(keys[1]).status_code

    limited.kill("valkey-server")
    limited.wait_ready()
    until = time.monotonic() + SOON_S
    while (answer := ask(keys[1])).status_code == 503:
        assert time.monotonic() < until
        time.sleep(0.2)

    assert (429, "budget_exhausted") == (answer.status_code, answer.json()["error"]["code"])
    assert int(answer.headers["retry-after"]) >= 1
    assert "staff-7" not in str(answer.headers) + answer.text

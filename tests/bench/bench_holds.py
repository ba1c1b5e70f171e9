"""10,000 open holds, 1,000 waiting clients, one worker: `python tests/bench/bench_holds.py`.

Prints what a waiting connection costs in memory of the worker, and how long after the decision its
client has the answer, while all others go on waiting. Judges nothing. `--holds` and `--waiting` for
fewer.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.installation import Installation
from support.loopback_backend import in_thread

HELD = "Summarise our customer list, line"
AT_ONCE = 32
HOP_S = 40
COME_S = 20  # so long until all who wait have come; each comes back a hop later
DECIDED = 200


class Site:
    """The installation, and sessions of the employee and the reviewer."""

    def __init__(self, made: Installation, employee: str, reviewer: str) -> None:
        self.made = made
        self.again = 0
        self._headers = [{"authorization": f"Bearer {key}"} for key in (employee, reviewer)]

    async def __aenter__(self) -> Self:
        """No limit on connections: each waiting client has its own."""
        self.employee, self.reviewer = (
            aiohttp.ClientSession(
                self.made.url,
                headers=headers,
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=600),
            )
            for headers in self._headers
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.employee.close()
        await self.reviewer.close()

    def resident_kb(self) -> float:
        """Memory of the worker."""
        (pid,) = self.made.pids("sekisho.worker")
        return psutil.Process(pid).memory_info().rss / 1024

    async def file(self, number: int) -> None:
        """One hold whose client does not wait."""
        asked = {"model": "ok", "input": f"{HELD} {number}", "background": True}
        while True:
            async with self.employee.post("/v1/responses", json=asked) as answer:
                told = await answer.json()
            if told.get("status") == "queued":
                return
            if answer.status != 503:
                raise RuntimeError(f"not held: {told}")
            self.again += 1  # an SDK tries again by itself; a busy machine has no time for it
            await asyncio.sleep(0.5)

    async def first_hop(self, number: int) -> str:
        """A client waits one hop and is redirected: the id of its hold."""
        messages = [{"role": "user", "content": f"{HELD} w{number}"}]
        asked = {"model": "ok", "messages": messages}
        async with self.employee.post(
            "/v1/chat/completions", json=asked, allow_redirects=False
        ) as answer:
            told = await answer.json()
            if answer.status != 303:
                raise RuntimeError(f"not held: {answer.status} {told}")
            return str(told["error"]["approval"]["id"])

    async def next_hop(self, hold: str) -> float:
        """It waits again; when it had its answer."""
        async with self.employee.get(
            f"/v1/approvals/{hold}/result", allow_redirects=False
        ) as answer:
            await answer.read()
            return time.monotonic() if answer.status == 200 else 0.0

    async def decide(self, hold: str) -> float:
        """The reviewer approves; when that was confirmed."""
        async with self.reviewer.get(f"/v1/approvals/{hold}") as answer:
            shown = await answer.json()
        said = {"decision": "approve", "binding": shown["binding"], "reason": "looked at"}
        async with self.reviewer.post(f"/v1/approvals/{hold}/reviews", json=said) as answer:
            answer.raise_for_status()
            return time.monotonic()


async def in_turns(count: int, step: Callable[[int], Awaitable[Any]]) -> None:
    """Do `step` for each number, AT_ONCE at a time."""
    numbers = iter(range(count))

    async def one() -> None:
        for number in numbers:
            await step(number)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))


def told(waits_ms: Sequence[float]) -> str:
    """p50, p99 and the worst."""
    p99 = statistics.quantiles(waits_ms, n=100)[98]
    return f"p50 {statistics.median(waits_ms):.0f}  p99 {p99:.0f}  worst {max(waits_ms):.0f} ms"


async def measure(site: Site, holds: int, waiting: int) -> None:
    """All of it, in order."""
    async with site:
        began = time.monotonic()
        await in_turns(holds, site.file)
        took_s = time.monotonic() - began
        print(f"{holds} holds filed in {took_s:.0f} s, {site.again} asked again", flush=True)

        before_kb = site.resident_kb()
        hops = []
        for number in range(waiting):
            hops.append(asyncio.create_task(site.first_hop(number)))
            await asyncio.sleep(COME_S / waiting)
        await asyncio.sleep(2)
        each_kb = (site.resident_kb() - before_kb) / waiting
        print(f"{waiting} clients wait: {each_kb:.1f} KB of the worker for each", flush=True)

        ids = await asyncio.gather(*hops)
        answers = {}
        for hold in ids:
            answers[hold] = asyncio.create_task(site.next_hop(hold))
            await asyncio.sleep(2 / waiting)
        waits_ms = []
        for hold in ids[:DECIDED]:
            decided = await site.decide(hold)
            waits_ms.append(1000 * max(0.0, await answers[hold] - decided))
        print(f"from decision to answer, {len(waits_ms)} times: {told(waits_ms)}", flush=True)
        for task in answers.values():
            task.cancel()
        await asyncio.gather(*answers.values(), return_exceptions=True)


def main() -> None:
    """Run it against an installation of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--holds", type=int, default=10_000)
    parser.add_argument("--waiting", type=int, default=1_000)
    wanted = parser.parse_args()
    many = wanted.waiting + 100
    settings = {
        "server": {"per_principal_max": many, "waiting_max": many, "inflight_max": many},
        "holds": {
            "hop_wait_s": HOP_S,
            "wait_total_s": 500,
            "share_max": wanted.holds + many,
            "share_bytes_max": 2**30,
        },
    }
    with in_thread() as backend, tempfile.TemporaryDirectory() as folder:
        made = Installation(Path(folder) / "h", {"*": backend.url}, settings=settings)
        made.start()
        try:
            site = Site(made, made.key("staff-7"), made.key("reviewer-1", "reviewers", "reviewer"))
            asyncio.run(measure(site, wanted.holds, wanted.waiting))
        finally:
            made.stop()


if __name__ == "__main__":
    main()

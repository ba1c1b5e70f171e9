"""Ten decisions in a row that never end: `python tests/bench/bench_runaway.py`. Judges nothing.

Rules are loaded of which one runs for seconds when it is asked. Beside ten such questions, one
after the other, ordinary ones are asked all the time and a heartbeat looks how long the event loop
is held up; on a shared machine it also waits for a processor that others have, so the time that the
kernel says it did (schedstat) is told apart, and heartbeats without any runaway come first. Where
two late engines are exceeded the worker would be replaced; here another adapter takes over, so that
all ten run.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.adapters.opa_embedded import DEADLINE_MS, EmbeddedOPA
from sekisho.errors import PolicyUnavailable
from support.rules import RUNAWAY, bundle, document

RUNAWAYS = 10
BEAT_S = 0.005
CALLERS = 4


class Heart:
    """Beats every 5 ms and keeps how much later than that each beat came."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.held_ms: list[float] = []
        self.resting = False

    async def beat(self) -> None:
        """Until it is cancelled."""
        while True:
            began, waited = time.perf_counter(), waited_ms()
            await asyncio.sleep(BEAT_S)
            if self.resting:
                continue
            late = 1000 * (time.perf_counter() - began - BEAT_S)
            self.late_ms.append(late)
            self.held_ms.append(max(0.0, late - (waited_ms() - waited)))

    def told(self, name: str) -> str:
        """p50, p99 and worst of both."""
        lines = [f"{name}: {len(self.late_ms)} beats"]
        for what, values in (("late", self.late_ms), ("held up by us", self.held_ms)):
            p99 = statistics.quantiles(values, n=100)[98]
            p50 = statistics.median(values)
            lines.append(f"  {what:14} p50 {p50:6.2f}  p99 {p99:6.2f}  worst {max(values):6.2f} ms")
        return "\n".join(lines)


def waited_ms() -> float:
    """How long this thread was ready to run and had no processor."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e6


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def ordinary(current: list[EmbeddedOPA], seen: Counter[str]) -> None:
    """Ask ordinary questions until it is cancelled."""
    while True:
        try:
            decision = await current[-1].decide(document())
            seen[str(decision.effect)] += 1
        except PolicyUnavailable:
            seen["clearly refused"] += 1
            await asyncio.sleep(0.01)  # as a client that tries again would


async def phase(
    folder: Path, runaways: int, seconds: float
) -> tuple[Heart, Counter[str], list[float]]:
    """Ordinary questions beside `runaways` that never end, or for a time without any."""
    current = [EmbeddedOPA(folder)]
    await current[0].start()
    heart, seen, took = Heart(), Counter[str](), []
    tasks = [asyncio.create_task(heart.beat())]
    tasks += [asyncio.create_task(ordinary(current, seen)) for _ in range(CALLERS)]
    for _ in range(runaways):
        began = time.perf_counter()
        try:
            await current[-1].decide(document(request__model="runaway"))
            seen["RUNAWAY ANSWERED"] += 1
        except PolicyUnavailable:
            took.append(1000 * (time.perf_counter() - began))
        if current[-1].suspect:
            heart.resting = True  # a replaced worker loads in a process of its own
            current.append(EmbeddedOPA(folder))
            await current[-1].start()
            await asyncio.sleep(2 * BEAT_S)
            heart.resting = False
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for engine in current:
        await engine.close()
    return heart, seen, took


async def figures(folder: Path) -> None:
    """Without and with runaway questions."""
    heart, seen, _ = await phase(folder, 0, 5.0)
    print(heart.told("without a runaway"), f"\n  ordinary questions: {dict(seen)}")
    before = resident_mb()
    heart, seen, took = await phase(folder, RUNAWAYS, 1.0)
    print(heart.told(f"{RUNAWAYS} in a row"), f"\n  ordinary questions: {dict(seen)}")
    print(
        f"runaways denied: {len(took)} of {RUNAWAYS}, deadline {DEADLINE_MS} ms, after "
        f"p50 {statistics.median(took):.0f} ms, worst {max(took):.0f} ms"
    )
    print(f"memory: {before:.0f} MB before, {resident_mb():.0f} MB after")


def main() -> None:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(figures(bundle(Path(folder), packs__team__runaway=RUNAWAY)))


if __name__ == "__main__":
    main()

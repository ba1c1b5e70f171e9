"""What a changed registry costs a worker: `.venv/bin/python tests/bench/bench_registry.py`.

CPU time of the quick look (what was taken away) and of the whole copy, and the longest time the
event loop stood still meanwhile, for growing numbers of principals with a key and an identity each.
Prints, judges nothing; absolute figures belong to one machine on one day.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sekisho.adapters.sql_directory import SqlDirectory
from support.large_registry import fill

SIZES = (1_000, 20_000, 50_000)
TICK_S = 0.001


async def stalls(stop: asyncio.Event) -> float:
    """The longest time the loop did not come round, in ms."""
    worst = 0.0
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        worst = max(worst, time.perf_counter() - began - TICK_S)
    return worst * 1000


async def measure(folder: Path, size: int) -> None:
    """Print one line."""
    registry = fill(folder / f"{size}.sqlite", size)
    directory = SqlDirectory(folder / f"{size}.sqlite", bytes(32))
    await directory.refresh()
    with registry.change() as change:
        change.set_disabled("person-1", True)
    began = time.process_time()
    directory._read_taken_away(directory._copy)
    looked = time.process_time() - began
    stop = asyncio.Event()
    watching = asyncio.create_task(stalls(stop))
    began = time.process_time()
    await directory.refresh()
    took = time.process_time() - began
    stop.set()
    stall_ms = await watching
    print(
        f"{size:>7,} principals   quick look {looked * 1000:6.1f} ms   "
        f"whole {took * 1000:7.1f} ms CPU   longest stall {stall_ms:5.1f} ms"
    )
    registry.close()
    await directory.close()


async def main() -> None:
    """All sizes."""
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            await measure(Path(folder), size)


if __name__ == "__main__":
    asyncio.run(main())

"""What a changed registry costs a worker: `.venv/bin/python tests/bench/bench_registry.py`.

CPU time of the quick look (what was taken away) and of the whole copy, and the longest time the
event loop stood still meanwhile, for growing numbers of principals with one key each. Prints,
judges nothing; absolute figures belong to one machine on one day.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from sekisho.adapters.registry_schema import (
    api_keys,
    principal_groups,
    principal_roles,
    principals,
)
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Registry

SIZES = (1_000, 20_000, 50_000)
TICK_S = 0.001


def fill(path: Path, size: int) -> Registry:
    """A registry with so many employees."""
    registry = Registry.open(path)
    names = [f"staff-{number}" for number in range(size)]
    people = [
        {"id": name, "kind": "person", "owner": None, "disabled": False, "created_us": 1}
        for name in names
    ]
    roles = [{"principal": name, "role": "employee", "source": "scim"} for name in names]
    groups = [
        {"principal": name, "group_name": group, "source": "scim"}
        for name in names
        for group in ("sales", "all")
    ]
    keys = [
        {"id": f"{number:08d}", "principal": name, "hash": b"x" * 32, "label": "", "created_us": 1}
        for number, name in enumerate(names)
    ]
    with registry.change() as change:
        for table, rows in (
            (principals, people),
            (principal_roles, roles),
            (principal_groups, groups),
            (api_keys, keys),
        ):
            change.changed = True
            change._connection.execute(insert(table), rows)
    return registry


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
        change.set_disabled("staff-1", True)
    began = time.process_time()
    directory._look()
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

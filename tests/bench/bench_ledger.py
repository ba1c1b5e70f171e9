"""What the ledger costs: durable events a second, CPU a request on both sides, next to the disk.

    python tests/bench/bench_ledger.py [--callers 64] [--exchanges 4000] [--uvloop]

An exchange is what a governed request writes: one batch of three events with a stored prompt, and
one outcome with a stored answer, 1 KB each. fdatasync is measured in the same run, because the
disk of a shared machine changes by the minute; read the other figures against it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.model.ids import uuid7
from support.ledgers import Auditd, decision, intent, outcome, received

BODY = os.urandom(512).hex().encode()
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def fdatasync_ms(home: Path, rounds: int = 200) -> list[float]:
    """How long the disk takes for 4 KB, in milliseconds."""
    took = []
    fd = os.open(home / "probe", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(rounds):
        os.write(fd, bytes(4096))
        start = time.perf_counter()
        os.fdatasync(fd)
        took.append((time.perf_counter() - start) * 1000)
    os.close(fd)
    return sorted(took)


async def caller(client: AuditdLedger, exchanges: int, took: list[float]) -> None:
    """One client of the gateway, asking again and again."""
    for number in range(exchanges):
        exchange = uuid7()
        principal = f"staff-{number % 50}"
        sent = intent(exchange, client.session, BODY)
        batch = [received(exchange, BODY, principal), decision(exchange), sent]
        start = time.perf_counter()
        await client.append(batch)
        took.append((time.perf_counter() - start) * 1000)
        await client.append([outcome(sent, body=BODY)])


async def run(callers: int, exchanges: int) -> None:
    """Start auditd, load it, print."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        auditd = Auditd(home)
        await auditd.start()
        client = AuditdLedger(auditd.socket)
        await client.start()
        await caller(client, 50, [])
        took: list[float] = []
        before = time.perf_counter(), time.process_time(), cpu_s(auditd.process.pid)
        await asyncio.gather(*(caller(client, exchanges // callers, took) for _ in range(callers)))
        wall = time.perf_counter() - before[0]
        ours = time.process_time() - before[1]
        theirs = cpu_s(auditd.process.pid) - before[2]
        disk = fdatasync_ms(home)
        count = exchanges // callers * callers
        took.sort()
        print(f"callers {callers}, exchanges {count}, 4 durable events and 2 KB stored for each")
        print(f"fdatasync of 4 KB     p50 {statistics.median(disk):.2f} ms, p99 {disk[-2]:.2f} ms")
        print(f"durable events        {4 * count / wall:,.0f} a second")
        print(
            f"append of three       p50 {took[len(took) // 2]:.2f} ms, "
            f"p99 {took[len(took) * 99 // 100]:.2f} ms"
        )
        print(f"CPU, gateway side     {ours / count * 1e6:.0f} us an exchange")
        print(
            f"CPU, auditd           {theirs / count * 1e6:.0f} us an exchange, "
            f"{theirs / count / 4 * 1e6:.0f} us an event"
        )
        await client.close()
        await auditd.end()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--exchanges", type=int, default=4_000)
    found = parser.parse_args()
    for callers in sorted({1, found.callers}):
        uvloop.run(run(callers, max(found.exchanges if callers > 1 else 300, callers)))


if __name__ == "__main__":
    main()

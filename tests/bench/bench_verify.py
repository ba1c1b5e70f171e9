"""What it costs to check a ledger: `.venv/bin/python tests/bench/bench_verify.py [--events N]`.

Writes a ledger of ordinary exchanges, then takes CPU time, on one core, of: the root of leaf hashes
in memory, the root from the bytes of the leaves, reading and hashing the segments, decoding, the
whole verification with all rules. Beside each stands what is asked of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.model.ids import uuid7
from sekisho_audit.canon import decode
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, Frame, frames, segments
from sekisho_audit.tree import leaf_hash, root_of
from sekisho_audit.verify import verify
from support.ledgers import decision, intent, open_ledger, outcome, received

ROUNDS = 3
BATCH = 50  # exchanges written with one sync


def write(home: Path, events: int) -> Path:
    """A ledger of about so many events."""
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    while ledger.size < events:
        batch = []
        for _ in range(BATCH):
            exchange = uuid7()
            sent = intent(exchange, "s-1")
            batch += [received(exchange), decision(exchange), sent, outcome(sent)]
        ledger.append_batch(batch)
    ledger.close()
    return ledger.directory


def events_of(ledger: Path) -> list[Frame]:
    """All events, read and hashed."""
    return [frame for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)]


def a_second(count: int, run: Callable[[], object]) -> float:
    """How many of `count` in one second of CPU: the best round, the others met somebody else."""
    best = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        run()
        best = min(best, time.process_time() - began_s)
    return count / best


def main() -> None:
    """Write, take times, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=40_000)
    with tempfile.TemporaryDirectory() as place:
        ledger = write(Path(place), parser.parse_args().events)
        found = events_of(ledger)
        count = len(found)
        digests = [frame.digest for frame in found]

        def whole() -> None:
            if verify(ledger).verdict is not Verdict.SOUND:
                raise RuntimeError("the ledger is not sound")

        figures = {
            "root of leaf hashes": (a_second(count, lambda: root_of(digests)), 500_000),
            "root from leaves": (
                a_second(count, lambda: root_of([leaf_hash(one.body) for one in found])),
                0,
            ),
            "segments read and hashed": (a_second(count, lambda: events_of(ledger)), 0),
            "leaves decoded": (a_second(count, lambda: [decode(one.body) for one in found]), 0),
            "whole verification": (a_second(count, whole), 60_000),
        }
    size = sum(len(one.body) for one in found) // count
    print(f"{count:,} events of {size} bytes on average; per second of CPU, one core")
    for name, (rate, asked) in figures.items():
        line = f"  {name:26}{rate:12,.0f}   {1e6 / rate:6.2f} us each"
        if asked:
            met = "met" if rate >= asked else "MISSED"
            line += f"   asked {asked:,}   ratio {rate / asked:.2f} {met}"
        print(line)


if __name__ == "__main__":
    main()

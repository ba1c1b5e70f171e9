"""Makes the golden pruned ledger: two years in a few files, pruned once, to be kept for ever.

    cd tests && ../.venv/bin/python -m support.golden_pruned v1

writes `golden/pruned/v1` and prints the line for `golden/test_pruned_ledgers.py`. It does not write
over one that is there. The keys are worthless.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sekisho_audit import retention_run
from sekisho_audit.ledger import Ledger
from sekisho_audit.retention import parse
from sekisho_audit.rules import DAY_US
from sekisho_audit.verify import verify
from support.golden_ledger import keys
from support.golden_reviews import reviews
from support.ledgers import HeldExchange
from support.old_ledgers import Clock, after_days, live, open_at, prune

YEAR_US = 366 * DAY_US
HERE = Path(__file__).resolve().parents[1] / "golden" / "pruned"


def end_content(ledger: Ledger) -> None:
    """What was asked half a year ago and before cannot be read any more. Ids tell when that was, by
    another clock than the one here.
    """
    run = retention_run.begin(ledger, parse("content=180"), time.time_ns() // 1000 + YEAR_US)
    if run is None:
        raise RuntimeError("nothing is over")
    retention_run.finish(ledger, run, retention_run.destroy(ledger, run), texts=0)


def make(home: Path) -> str:
    """The ledger in `home`, which must not be there; returns the line for the test."""
    home.mkdir(parents=True)
    keys(home / "keys")
    clock = Clock()
    ledger = open_at(home, clock, segment_bytes=8_192)
    ledger.open_session("s-open", 1)
    reviews(ledger, clock.now_us + 60_000_000)
    live(ledger, clock, 4, step=14)
    held = HeldExchange(expires_us=clock.now_us + 60_000_000)
    ledger.append_batch(held.filing())
    ledger.rotate_key()
    live(ledger, clock, 45, step=14)
    prune(ledger, clock, after_days(80))
    end_content(ledger)
    live(ledger, clock, 1)
    ledger.close()
    report = verify(ledger.directory)
    return f'"{home.name}": ({report.pruned}, {report.size}, "{report.root}"),'


if __name__ == "__main__":
    sys.stdout.write(make(HERE / sys.argv[1]) + "\n")

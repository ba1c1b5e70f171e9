"""`sekisho-audit index`: how far the derived indexes have read the ledger; build them anew.

They are no evidence and can be deleted at any time. auditd builds what is not there: at once if it
runs, else at its next start.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, read_unverified
from sekisho_audit.commands.printing import complain, ledger_in
from sekisho_audit.history_file import remove
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, held_from

_FILES = {"history": "cursor", "search": "progress"}
_POLL_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the data directory, or the ledger inside it")
    parser.add_argument("--rebuild", action="store_true", help="delete them: auditd builds them")
    parser.add_argument(
        "--wait-s", type=float, default=0.0, help="wait so long until they are complete"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show, or remove; returns 0 if all are complete, else 2."""
    ledger = ledger_in(arguments.directory)
    if ledger is None:
        return int(Verdict.CANNOT_TELL)
    paths = {name: ledger.parent / "index" / f"{name}.db" for name in _FILES}
    if arguments.rebuild:
        for path in paths.values():
            remove(path)
    end_s = time.monotonic() + arguments.wait_s
    while True:
        size = _signed(ledger)
        indexed = {name: _indexed(path, _FILES[name]) for name, path in paths.items()}
        complete = all(found is not None and found >= size for found in indexed.values())
        if complete or time.monotonic() >= end_s:
            break
        if sys.stderr.isatty():
            least = min(found or 0 for found in indexed.values())
            sys.stderr.write(f"\r{least:,} of {size:,} events")
            sys.stderr.flush()
        time.sleep(_POLL_S)
    for name, found in indexed.items():
        said = (
            "is not there" if found is None else f"has read {found:,} events; {size:,} are signed"
        )
        sys.stdout.write(f"{name}: {said}\n")
    if first := held_from(ledger, EVENTS):
        sys.stdout.write(f"The first {first:,} events were pruned and are in no index.\n")
    if not complete:
        return complain("not complete yet; auditd must run to build them (--wait-s waits)")
    return int(Verdict.SOUND)


def _signed(ledger: Path) -> int:
    """How many events the last checkpoint says there are; whether it is true is for `verify`."""
    try:
        return read_unverified((ledger / "checkpoint").read_bytes()).size
    except (OSError, BadNote):
        return 0


def _indexed(path: Path, table: str) -> int | None:
    """How many events an index has read, or None if there is none to read."""
    if not path.is_file():
        return None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = db.execute(f"SELECT indexed FROM {table}").fetchall()  # noqa: S608 - a constant
        finally:
            db.close()
    except sqlite3.Error:
        return None
    return int(rows[0][0]) if rows else None

"""`sekisho-audit index`: how far the derived indexes have read the ledger; build them anew.

They are no evidence and can be deleted at any time. auditd builds what is not there: at once if it
runs, else at its next start. A search index in PostgreSQL is found by the environment variable
SEKISHO_AUDIT__INDEX_URL, as auditd finds it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, read_unverified
from sekisho_audit.commands.printing import complain, ledger_in
from sekisho_audit.errors import Away
from sekisho_audit.history_file import remove
from sekisho_audit.index_file import Database, indexed_in
from sekisho_audit.index_postgres import database_of
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, held_from

_POLL_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the data directory, or the ledger inside it")
    parser.add_argument(
        "--rebuild", action="store_true", help="delete them; a running auditd builds them anew"
    )
    parser.add_argument(
        "--wait-s",
        type=float,
        default=0.0,
        help="wait at most so many seconds, until all that is signed was read",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show, or remove; returns 0 if all are complete, else 2."""
    ledger = ledger_in(arguments.directory)
    if ledger is None:
        return int(Verdict.CANNOT_TELL)
    history = ledger.parent / "index" / "history.db"
    search = database_of(history.with_name("search.db"), os.environ)
    try:
        if arguments.rebuild:
            remove(history)
            search.remove()
        return _shown(ledger, history, search, arguments.wait_s)
    except Away as error:
        return complain(error)


def _shown(ledger: Path, history: Path, search: Database, wait_s: float) -> int:
    end_s = time.monotonic() + wait_s
    while True:
        size = _signed(ledger)
        indexed = {"history": indexed_in(history, "cursor"), "search": search.indexed()}
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
        return complain(
            "not complete yet: auditd builds them while it runs; --wait-s 60 waits a minute"
        )
    return int(Verdict.SOUND)


def _signed(ledger: Path) -> int:
    """How many events the last checkpoint says there are; whether it is true is for `verify`."""
    try:
        return read_unverified((ledger / "checkpoint").read_bytes()).size
    except (OSError, BadNote):
        return 0

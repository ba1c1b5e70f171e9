"""`sekisho-audit rotate-key`: sign with a new key from now on. auditd must be stopped.

The ledger records it, signed by the old key and by the new one, so that whoever kept the old one
can follow. A crash on the way leaves one of the two in force; the next start finishes what is left.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, VerifierKey
from sekisho_audit.commands.printing import complain, ledger_in
from sekisho_audit.errors import LedgerError, Locked
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    parser.add_argument("--keys", type=Path, required=True, help="[audit] keys_dir")


def run(arguments: argparse.Namespace) -> int:
    """Rotate and print the new key; returns the exit code."""
    directory = ledger_in(arguments.directory)
    if directory is None:
        return int(Verdict.CANNOT_TELL)
    try:
        old = VerifierKey.parse((directory / "vkey").read_text(encoding="utf-8").strip())
        ledger = Ledger.open(directory, arguments.keys, old.name)
        try:
            new = ledger.rotate_key()
        finally:
            ledger.close()
    except Locked:
        return complain("auditd is running; stop it, rotate, start it again")
    except (LedgerError, BadNote, OSError, UnicodeDecodeError) as error:
        return complain(error)
    sys.stdout.write(
        f"{new.line()}\n\nThis key signs from now on. Tell those who verify, and every witness; "
        "who has the old key\ncan follow from it to this one through the ledger.\n"
    )
    return int(Verdict.SOUND)

"""`sekisho-audit accept-rollback`: go on with an old copy of a ledger whose end is lost.

It gives up the checkpoint kept beside the keys; the next start records `audit.rolled_back` with
its size and root. Whoever has a checkpoint of what was lost is told, rightly, that this ledger was
tampered with; anchors that have one still stop it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sekisho_audit.checkpoint import BadNote
from sekisho_audit.commands.printing import complain
from sekisho_audit.last_signed import accept_rollback
from sekisho_audit.report import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--keys", type=Path, required=True, help="[audit] keys_dir")
    parser.add_argument(
        "--size", type=int, required=True, help="events of the checkpoint that is given up"
    )


def run(arguments: argparse.Namespace) -> int:
    """Give up what was signed last; returns the exit code."""
    try:
        given_up = accept_rollback(arguments.keys, arguments.size)
    except (OSError, BadNote) as error:
        return complain(error)
    if given_up is None:
        return complain(
            f"no checkpoint over {arguments.size} events was kept in {arguments.keys}; "
            "give the size that auditd named when it refused to start"
        )
    sys.stdout.write(
        f"The checkpoint over {given_up.size} events is given up. The next start records it.\n"
    )
    return int(Verdict.SOUND)

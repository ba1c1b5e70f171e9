"""`sekisho-audit prove`: proofs of events, for somebody who does not have the ledger."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sekisho_audit.canon import NotCanonical
from sekisho_audit.checkpoint import BadNote
from sekisho_audit.commands.named_file import named_file
from sekisho_audit.commands.printing import complain, ledger_in
from sekisho_audit.proof import Proof
from sekisho_audit.prove import NotProvable, prove
from sekisho_audit.report import Verdict
from sekisho_audit.scan import BrokenSegment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--index", type=int, help="the event with this number")
    which.add_argument("--exchange", help="all events of this exchange")
    parser.add_argument("--out", type=named_file, help="a folder; one file for each event")


def run(arguments: argparse.Namespace) -> int:
    """Write proofs; returns the exit code."""
    ledger = ledger_in(arguments.directory)
    if ledger is None:
        return int(Verdict.CANNOT_TELL)
    index, exchange = arguments.index, arguments.exchange

    def wanted(leaf: Mapping[str, Any]) -> bool:
        return bool(leaf["n"] == index if exchange is None else leaf["exchange"] == exchange)

    try:
        _hand_out(list(prove(ledger, wanted)), arguments.out)
    except (NotProvable, BadNote, BrokenSegment, NotCanonical, OSError) as error:
        return complain(error)
    return int(Verdict.SOUND)


def _hand_out(proofs: Sequence[Proof], folder: Path | None) -> None:
    if folder is None:
        if len(proofs) > 1:
            raise NotProvable(f"{len(proofs)} events fit: give --out FOLDER for their files.")
        sys.stdout.write(proofs[0].text())
        return
    folder.mkdir(parents=True, exist_ok=True)
    for proof in proofs:
        path = folder / f"{proof.index:012d}.tlog-proof"
        path.write_text(proof.text(), encoding="utf-8")
        sys.stdout.write(f"{path}\n")

"""`sekisho-audit erase`: destroy somebody's keys, pseudonym and rows, and look for what is left.

Exit codes: 0 nothing of it was found afterwards, 1 something is left (it says where), 2 refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from sekisho_audit.commands.presenting import add_officer_arguments, presented
from sekisho_audit.commands.printing import complain, plain
from sekisho_audit.officer_client import OfficerError

EXIT_GONE, EXIT_LEFT = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_officer_arguments(parser)
    parser.add_argument("--principal", required=True, help="who is erased, for good")
    parser.add_argument(
        "--purpose", required=True, help="what for; kept, sealed: do not name the person"
    )
    parser.add_argument("--ticket", required=True, help="by whose order, e.g. a case number")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Erase; returns the exit code."""
    question = {
        "op": "erase",
        "principal": arguments.principal,
        "purpose": arguments.purpose,
        "ticket": arguments.ticket,
    }
    try:
        with presented(arguments) as client:
            answer, _ = client.ask(question)
    except OfficerError as error:
        return complain(plain(f"{error} ({error.code})"))
    report: Mapping[str, Any] = answer["erasure"]
    if arguments.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(plain(line) for line in _lines(report)) + "\n")
    return EXIT_LEFT if report["left"] else EXIT_GONE


def _lines(report: Mapping[str, Any]) -> list[str]:
    rows = ", ".join(f"{count} in {name}" for name, count in report["rows"].items())
    lines = [
        f"Erased      {report['pseudonym']}, which stands for nobody from now on",
        f"Keys        {report['keys']} destroyed",
        f"Rows        {rows or 'none'} deleted",
        f"On record   event {report['done']}",
        f"Looked for  keys, {report['samples']} pieces of text"
        + (" and the name" if report["name_looked_for"] else " (the name is too short for it)")
        + f" in {report['scanned']:,} bytes of files",
    ]
    if report["left"]:
        lines += ["", "LEFT: this must not be there"]
        lines += [f"  {what}: {path}" for what, paths in report["left"].items() for path in paths]
    else:
        lines.append("Found       nothing of it")
    if report["named"]:
        lines += [
            "",
            "The name itself still stands in files that are not the ledger's: shut the person out",
            "with `sekisho principal leave`, and see docs/howto/erase.md:",
            *(f"  {path}" for path in report["named"]),
        ]
    lines += [
        "",
        "Backups of the directory of keys made before today bring the keys back: destroy them too.",
    ]
    return lines

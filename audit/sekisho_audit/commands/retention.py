"""`sekisho-audit retention`: how long what is kept, what is over, and ending it now.

auditd does the same by itself when a day begins. Exit codes: 0 told or done, 2 refused.
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
from sekisho_audit.report import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_officer_arguments(parser)
    act = parser.add_mutually_exclusive_group(required=True)
    act.add_argument("--show", action="store_true", help="ceilings, and what is over; does nothing")
    act.add_argument("--now", action="store_true", help="destroy the keys of what is over")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Ask; returns the exit code."""
    try:
        with presented(arguments) as client:
            answer, _ = client.ask({"op": "retention", "now": arguments.now})
    except OfficerError as error:
        return complain(plain(f"{error} ({error.code})"))
    report: Mapping[str, Any] = answer["retention"]
    if arguments.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(plain(line) for line in _lines(report, arguments)) + "\n")
    return int(Verdict.SOUND)


def _lines(report: Mapping[str, Any], arguments: argparse.Namespace) -> list[str]:
    ended = bool(report.get("done"))
    lines = [f"{'class':<10}{'kept':<12}{'over: began on':<16}{'ended' if ended else 'over':>8}"]
    lines[0] += f"{'on hold':>9}" + ("" if ended else f"{'keys':>9}")
    for row in report["classes"]:
        kept = "for good" if row["days"] == "keep" else f"{row['days']} days"
        line = f"{row['class']:<10}{kept:<12}{row.get('up_to', '-'):<16}{row['keys']:>8,}"
        line += f"{row['held']:>9,}" + ("" if ended else f"{row['there']:>9,}")
        lines.append(line)
    if ended:
        lines += ["", f"On record   event {report['done']}; {report['texts']} texts left the index"]
    elif arguments.now:
        lines += ["", "Nothing was over: nothing was destroyed, nothing recorded."]
    else:
        lines += ["", f"As of {report['today']} (UTC). Events stay {report['leaves_days']} days."]
    return lines

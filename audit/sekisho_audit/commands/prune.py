"""`sekisho-audit prune`: remove the oldest leaves for good; what is left still verifies.

It shows first what would go, and asks. Exit codes: 0 done, 2 refused or not wanted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sekisho_audit.commands.presenting import add_officer_arguments, presented
from sekisho_audit.commands.printing import complain, plain
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.report import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_officer_arguments(parser)
    parser.add_argument(
        "--before",
        required=True,
        type=_moment,
        metavar="DATE",
        help="a day (UTC), e.g. 2019-01-01: leaves from before it",
    )
    parser.add_argument("--authority", required=True, help="by whose order; recorded, sealed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="for machines; needs --yes")


def _moment(text: str) -> int:
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no day like 2019-01-01") from None
    return int(found.timestamp()) * 1_000_000


def run(arguments: argparse.Namespace) -> int:
    """Show, ask, prune; returns the exit code."""
    if arguments.json and not arguments.yes:
        return complain("--json asks nobody: give --yes too")
    try:
        with presented(arguments) as client:
            return _prune(client, arguments)
    except OfficerError as error:
        return complain(plain(f"{error} ({error.code})"))


def _prune(client: OfficerClient, arguments: argparse.Namespace) -> int:
    before_us = arguments.before
    plan = client.ask({"op": "prune_plan", "before_us": before_us})[0]["plan"]
    if not arguments.json:
        sys.stdout.write("\n".join(plain(line) for line in _lines(plan)) + "\n")
    if not (arguments.yes or _agreed()):
        return complain("nothing was removed")
    answer, _ = client.ask(
        {
            "op": "prune",
            "before_us": before_us,
            "size": plan["size"],
            "authority": arguments.authority,
        }
    )
    done = answer["pruned"]
    if arguments.json:
        sys.stdout.write(json.dumps(done, indent=2) + "\n")
    else:
        sys.stdout.write(
            f"Pruned      {done['size']:,} events are gone, as event {done['event']} says; "
            f"{done['removed']} files removed\n"
        )
        sys.stdout.writelines(
            f"Index       {name} was not in reach and still tells of them; it is deleted when "
            "auditd opens it again\n"
            for name in done["left"]
        )
        sys.stdout.write("\nBackups made before today still hold them: destroy those too.\n")
    return int(Verdict.SOUND)


def _agreed() -> bool:
    sys.stdout.write("Remove them for good? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _lines(plan: Mapping[str, Any]) -> list[str]:
    first, last = plan["first"], plan["size"] - 1
    times = f"from {_day(plan['oldest_us'])} to {_day(plan['newest_us'])}"
    kinds = f"{plan['segments']} segments of events, {plan['payload_segments']} of payloads"
    lines = [
        f"Would go    {plan['size'] - first:,} events, {first:,} to {last:,}, {times}",
        f"In          {kinds}: {plan['bytes']:,} bytes",
        f"Kept        {plan['days']} days, counted back from {_day(plan['counted_us'])}",
    ]
    if plan["blocked"]:
        lines.append(f"Held back   what follows is under legal hold: {', '.join(plan['blocked'])}")
    return lines


def _day(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d}"

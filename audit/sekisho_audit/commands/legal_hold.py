"""`sekisho-audit legal-hold`: what must be kept, whatever erasure and retention say."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from sekisho_audit.commands.presenting import add_officer_arguments, presented
from sekisho_audit.commands.printing import complain, plain
from sekisho_audit.officer_client import OfficerError
from sekisho_audit.report import Verdict

_AUTHORITY = "by whose order; recorded, sealed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    acts = parser.add_subparsers(dest="act", required=True)
    setting = acts.add_parser("set", help="keep everything of somebody, or of one exchange")
    releasing = acts.add_parser("release", help="end a legal hold")
    listing = acts.add_parser("list", help="what is kept")
    for act in (setting, releasing, listing):
        add_officer_arguments(act)
    what = setting.add_mutually_exclusive_group(required=True)
    what.add_argument("--principal", help="everything of this person")
    what.add_argument("--exchange", help="this exchange")
    setting.add_argument("--authority", required=True, help=_AUTHORITY)
    releasing.add_argument("--hold", required=True, help="its id, as `set` and `list` print it")
    releasing.add_argument("--authority", required=True, help=_AUTHORITY)
    listing.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Set, release or list; returns the exit code."""
    try:
        with presented(arguments) as client:
            answer, _ = client.ask(_question(arguments))
    except OfficerError as error:
        return complain(plain(f"{error} ({error.code})"))
    if arguments.act == "set":
        sys.stdout.write("".join(f"{hold}\n" for hold in answer["holds"]))
    elif arguments.act == "list":
        _show(answer["holds"], as_json=arguments.json)
    return int(Verdict.SOUND)


def _question(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.act == "set":
        what = "principal" if arguments.principal else "exchange"
        named = {what: getattr(arguments, what), "authority": arguments.authority}
        return {"op": "legal_hold_set", **named}
    if arguments.act == "release":
        named = {"hold": arguments.hold, "authority": arguments.authority}
        return {"op": "legal_hold_release", **named}
    return {"op": "legal_holds"}


def _show(holds: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(holds, indent=2) + "\n")
        return
    for hold in holds:
        what = hold["exchange"] or "everything"
        sys.stdout.write(plain(f"{hold['hold']}  {hold['principal'] or 'erased'}  {what}") + "\n")

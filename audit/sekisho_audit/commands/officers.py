"""`sekisho-audit officers`: who may use payload keys, kept in the directory of keys.

auditd records each change: within a second if it runs, else at its next start, and always before
anybody can use it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sekisho_audit.commands.printing import complain
from sekisho_audit.officers import DUTIES, BadOfficers, Officer, add, load, remove, set_two
from sekisho_audit.report import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    acts = parser.add_subparsers(dest="act", required=True)
    adding = acts.add_parser(
        "add", help="make somebody an officer, or give a new secret; prints the secret, once"
    )
    removing = acts.add_parser("remove", help="end somebody's office")
    listing = acts.add_parser("list", help="who may do what")
    pairing = acts.add_parser("two", help="which duties need two officers; none without --duty")
    for act in (adding, removing, listing, pairing):
        act.add_argument("keys", type=Path, help="the directory of keys")
    for act in (adding, removing):
        act.add_argument("name", help="the principal they are")
    for act in (adding, pairing):
        act.add_argument(
            "--duty", action="append", default=[], choices=DUTIES, help="may be repeated"
        )
    listing.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Change or show the file; returns the exit code."""
    keys: Path = arguments.keys
    if not (keys / "kek").is_file():
        return complain(f"{keys} is no directory of keys: it has no `kek`")
    try:
        if arguments.act == "add":
            sys.stdout.write(add(keys, arguments.name, tuple(arguments.duty)) + "\n")
        elif arguments.act == "remove":
            remove(keys, arguments.name)
        elif arguments.act == "two":
            set_two(keys, tuple(arguments.duty))
        else:
            _show(keys, as_json=arguments.json)
    except (BadOfficers, OSError) as error:
        return complain(error)
    return int(Verdict.SOUND)


def _show(keys: Path, *, as_json: bool) -> None:
    roll = load(keys)
    if as_json:
        said = {name: _facts(one) for name, one in sorted(roll.officers.items())}
        told = {"officers": said, "two": list(roll.two)}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    for name, officer in sorted(roll.officers.items()):
        sys.stdout.write(f"{name}  {officer.credential}  {' '.join(officer.duties)}\n")
    if roll.two:
        sys.stdout.write(f"two officers are needed for: {' '.join(roll.two)}\n")


def _facts(officer: Officer) -> dict[str, object]:
    return {"credential": officer.credential, "duties": list(officer.duties)}

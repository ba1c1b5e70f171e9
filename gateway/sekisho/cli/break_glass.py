"""`sekisho break-glass open | list | show | end | review`: going on without people.

In an emergency whoever holds the role opens it for their own requests, for named rules and minutes.
Everybody is told, and another person reviews it afterwards.
"""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from sekisho.cli.gate import GateFailed, add_gate, connect
from sekisho.cli.printing import add_json, as_json, table, visible, when

_PATH = "/v1/admin/break-glass"
_COLUMNS = ("id", "status", "person", "rules", "uses", "until", "review by")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho break-glass`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    opened = verbs.add_parser("open", help="let your own requests go on that these rules hold")
    opened.add_argument("--rule", action="append", required=True, help="as a hold names it")
    opened.add_argument("--minutes", type=int, help="how long (as the settings say)")
    listed = verbs.add_parser("list", help="what is open or waits for its review")
    show = verbs.add_parser("show", help="one of them, with its reason and how to see its uses")
    end = verbs.add_parser("end", help="end it at once: yours, or any as an operator")
    review = verbs.add_parser("review", help="say of another person's whether it was justified")
    review.add_argument(
        "--verdict", required=True, choices=("justified", "not_justified"), help="what you found"
    )
    for verb in (show, end, review):
        verb.add_argument("opening", metavar="ID", help="as `list` shows it")
    for verb in (opened, review):
        verb.add_argument("--reason", required=True, help="kept as evidence")
    for verb in (opened, listed, show, end, review):
        add_gate(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and say what stands then."""
    gate = connect(options)
    match options.verb:
        case "open":
            said = {"rules": options.rule, "reason": options.reason}
            if options.minutes is not None:
                said["minutes"] = options.minutes
            opening = gate.post(_PATH, said)
            _tell(opening, f"Open until {when(opening['until_us'])}", as_document=options.json)
        case "list":
            _print_list(gate.get(_PATH)["data"], as_document=options.json)
        case "show":
            _show(_one(gate.get(_PATH)["data"], options.opening), as_document=options.json)
        case "end":
            opening = gate.post(f"{_PATH}/{quote(options.opening, safe='')}/end")
            said_by = f"Ended. To be reviewed until {when(opening['review_by_us'])}"
            _tell(opening, said_by, as_document=options.json)
        case "review":
            path = f"{_PATH}/{quote(options.opening, safe='')}/review"
            asked = {"verdict": options.verdict, "reason": options.reason}
            _tell(gate.post(path, asked), "Reviewed", as_document=options.json)
    return 0


def _tell(opening: dict[str, Any], text: str, *, as_document: bool) -> None:
    print(as_json(opening) if as_document else f"{text}: {visible(opening['id'])}")


def _one(openings: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for one in openings:
        if one["id"] == name:
            return one
    raise GateFailed(f"No opening {name!r} is open or waits for review, or it is not yours to see.")


def _show(opening: dict[str, Any], *, as_document: bool) -> None:
    if as_document:
        print(as_json(opening))
        return
    rows = (
        ("status", opening["status"]),
        ("ended", opening["ended"]),
        ("person", opening["person"]),
        ("rules", " ".join(opening["rules"])),
        ("reason", opening["reason"]),
        ("opened", when(opening["opened_us"])),
        ("until", when(opening["until_us"])),
        ("uses", str(opening["uses"])),
        ("review by", when(opening["review_by_us"])),
    )
    for name, value in rows:
        print(f"{name:<10} {visible(str(value))}")
    if opening["uses"]:
        print("Auditors find its uses with the search type:break_glass.used")


def _print_list(openings: list[dict[str, Any]], *, as_document: bool) -> None:
    if as_document:
        print(as_json(openings))
        return
    rows = [
        {
            **one,
            "rules": " ".join(one["rules"]),
            "until": when(one["until_us"]),
            "review by": when(one["review_by_us"]),
        }
        for one in openings
    ]
    print(table(rows, _COLUMNS) if rows else "Nothing is open, and nothing waits for review.")

"""`sekisho-audit search`: exchanges by what happened in them and what was said; on record first.

One query language, the same as over HTTP. Prints places, never content. How far the index had read
the ledger, and what could not be searched, is always said.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sekisho_audit.commands.presenting import add_officer_arguments, presented
from sekisho_audit.commands.printing import complain, plain
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.query import FIELDS
from sekisho_audit.report import Verdict
from sekisho_audit.search import PAGE_MAX

_PAGE = 50
# What a line shows first; the rest of what is known of an exchange comes with --json.
_SHOWN = ("effect", "state", "status", "code", "model", "rule", "type")
_EVENTS_SHOWN = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_officer_arguments(parser)
    parser.add_argument(
        "query",
        help="e.g. 'principal:staff-7 effect:deny rule:dlp.* after:2026-03-01 \"身份证\"'; fields: "
        + ", ".join(FIELDS)
        + '; "" finds everything',
    )
    parser.add_argument("--facets", action="store_true", help="counts instead of exchanges")
    parser.add_argument(
        "--limit", type=int, default=_PAGE, help=f"how many at most; default {_PAGE}"
    )
    parser.add_argument("--after", default="", help="go on behind a page: what it said to give")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Search and print; returns the exit code."""
    if arguments.limit < 1:
        return complain("--limit is 1 or more")
    try:
        with presented(arguments) as client:
            if arguments.facets:
                found, _ = client.ask({"op": "facets", "query": arguments.query})
            else:
                found = _pages(client, arguments.query, arguments.after, arguments.limit)
    except OfficerError as error:
        return complain(error)
    if arguments.json:
        found.pop("req", None)
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=True) + "\n")
    elif arguments.facets:
        _print_facets(found)
    else:
        _print_page(found)
    return int(Verdict.SOUND)


def _pages(client: OfficerClient, query: str, after: str, limit: int) -> dict[str, Any]:
    """As many pages as hold `limit`, as one."""
    data: list[Any] = []
    while True:
        wanted = min(PAGE_MAX, limit - len(data))
        found, _ = client.ask({"op": "search", "query": query, "after": after, "limit": wanted})
        data += found["data"]
        after = found["after"]
        if not after or len(data) >= limit:
            return {**found, "data": data}


def _print_page(found: Mapping[str, Any]) -> None:
    for one in found["data"]:
        sys.stdout.write(_line(one) + "\n")
    if found["after"]:
        sys.stdout.write(f"\nMore: --after {found['after']}\n")
    elif not found["data"]:
        sys.stdout.write("Nothing found.\n")
    _print_completeness(found)


def _line(one: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(one["begun_us"] / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    what = one["exchange"] or f"event {one['events'][0]}"
    fields = one["fields"]
    shown = [name for name in _SHOWN if name in fields and (name != "type" or not one["exchange"])]
    said = "  ".join(f"{name}={','.join(fields[name])}" for name in shown)
    places = _places(one["events"])
    return plain(f"{when}Z  {what}  {one['principal'] or '-'}  {said}  events {places}")


def _places(events: Sequence[int]) -> str:
    shown = ",".join(map(str, events[:_EVENTS_SHOWN]))
    return shown + (",…" if len(events) > _EVENTS_SHOWN else "")


def _print_facets(found: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{found['total']:,} found\n")
    for name, facet in found["fields"].items():
        if not facet["counts"]:
            continue
        sys.stdout.write(f"\n{name}\n")
        for word, count in facet["counts"]:
            sys.stdout.write(f"{count:>10,}  {plain(word)}\n")
        if facet["more"]:
            sys.stdout.write(f"            and {facet['more']:,} more\n")
    _print_completeness(found)


def _print_completeness(found: Mapping[str, Any]) -> None:
    sys.stdout.write(f"\nComplete up to event {found['indexed']:,} of {found['size']:,}.\n")
    if found["first"]:
        sys.stdout.write(f"The first {found['first']:,} events were pruned and are in no index.\n")
    if found["erased"]:
        sys.stdout.write(
            f"{found['erased']:,} more meet everything but the text: theirs is erased, past its "
            "time, or was never kept.\n"
        )
    if found["forgotten"]:
        sys.stdout.write(f"{found['forgotten']:,} events of erased people are in no index.\n")

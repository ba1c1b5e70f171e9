"""`sekisho-audit reconcile`: did calls go around the gate? A backend's usage beside the ledger.

Exit codes: 0 nothing went around, 1 something did, 2 cannot tell.
"""

from __future__ import annotations

import argparse
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from sekisho_audit.bad_query import BadQuery
from sekisho_audit.canon import NotCanonical
from sekisho_audit.commands.printing import complain, ledger_in, plain
from sekisho_audit.exports.rows import iso_utc
from sekisho_audit.query import parse
from sekisho_audit.reconcile import SLACK_US, Comparison, UnknownBackend, calls_in, compare
from sekisho_audit.report import Verdict
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.usage_export import BadUsage, Used, read_usage

_SHOWN_MAX = 20
_CONTENT_WENT = "content went, figures stand and are compared"
_LIMITS = (
    (
        "Reported is at least what went around: a call near the edge of a counted time counts for "
        f"both sides of it ({SLACK_US // 60_000_000} minutes)."
    ),
    "Whether the ledger itself is whole is shown by `sekisho-audit verify`.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    parser.add_argument("--usage", type=Path, required=True, help="the backend's export")
    parser.add_argument("--backend", help="only calls to the backend with this id")
    parser.add_argument("--from", dest="after", help="from then on, e.g. 2026-11-01 (UTC)")
    parser.add_argument("--to", dest="before", help="before then")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; returns the exit code."""
    ledger = ledger_in(arguments.directory)
    if ledger is None:
        return int(Verdict.CANNOT_TELL)
    try:
        rows = _within(read_usage(arguments.usage), arguments.after, arguments.before)
        found = Comparison()
        compare(rows, calls_in(ledger, arguments.backend, found), found)
    except (BadUsage, BadQuery, UnknownBackend, BrokenSegment, NotCanonical, OSError) as error:
        return complain(error)
    if arguments.json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2) + "\n")
    else:
        _print(found, sys.stdout)
    return int(_verdict(found))


def _within(rows: list[Used], after: str | None, before: str | None) -> list[Used]:
    """The rows of a time. Raises BadQuery, BadUsage."""
    said = [f"{name}:{value}" for name, value in (("after", after), ("before", before)) if value]
    times = parse(" ".join(said))
    kept = [
        row
        for row in rows
        if (times.after_us is None or row.start_us >= times.after_us)
        and (times.before_us is None or row.end_us <= times.before_us)
    ]
    if not kept:
        raise BadUsage("no row of the export lies within this time")
    return kept


def _verdict(found: Comparison) -> Verdict:
    if found.around or found.around_calls:
        return Verdict.TAMPERED
    return Verdict.SOUND if found.matched and not found.later else Verdict.CANNOT_TELL


def _print(found: Comparison, out: TextIO) -> None:
    headline = {
        Verdict.SOUND: "NOTHING AROUND: the ledger has every call that the backend counted.",
        Verdict.TAMPERED: "AROUND THE GATE: the backend counted what the ledger does not have.",
        Verdict.CANNOT_TELL: "CANNOT TELL: the ledger does not reach over what the export counts.",
    }[_verdict(found)]
    out.write(
        f"{headline}\n\nExport      {found.rows:,} rows\n"
        f"Ledger      {found.calls:,} calls that left\nMatched     {found.matched:,} calls\n"
        f"Around      {found.around_calls:,} calls{_costs(found.around_cost)}\n"
    )
    for one in found.around[:_SHOWN_MAX]:
        what = one.request or one.model or "all models"
        cost = _costs({(one.currency or "?").upper(): one.cost} if one.cost is not None else {})
        out.write(
            f"  - {iso_utc(one.start_us)} to {iso_utc(one.end_us)}  {plain(what)}: {one.calls:,} "
            f"calls, {one.input_tokens:,} input and {one.output_tokens:,} output tokens too "
            f"many{plain(cost)}\n"
        )
    if len(found.around) > _SHOWN_MAX:
        out.write(f"  … {len(found.around) - _SHOWN_MAX:,} more; --json lists them\n")
    if found.lacking:
        out.write("\nIn the ledger, and not in the export:\n")
        out.writelines(f"  - {count:,} {status}\n" for status, count in found.lacking.items())
    out.write("\nWhat was not compared:\n")
    out.writelines(f"  - {line}\n" for line in _not_compared(found))
    out.writelines(f"  - {line}\n" for line in _LIMITS)


def _not_compared(found: Comparison) -> list[str]:
    lines = []
    if found.outside or found.outside_cost:
        lines.append(
            f"{found.outside:,} calls{plain(_costs(found.outside_cost))} of a time before the "
            "ledger's first event or after its last"
        )
    if found.first_index:
        lines.append(f"the ledger's first {found.first_index:,} events, which were pruned")
    if found.open_calls:
        lines.append(f"{found.open_calls:,} calls without an outcome yet")
    if found.never_sent:
        lines.append(f"{found.never_sent:,} intents whose bytes never left")
    if found.uncounted:
        lines.append(
            f"tokens of {found.uncounted:,} calls for which the backend's answer gave no count"
        )
    if found.erasures:
        lines.append(f"nothing for {found.erasures:,} erasures: {_CONTENT_WENT}")
    for which, ended in sorted(found.ended.items()):
        began = f" that began on {ended['up_to']} or before" if ended["up_to"] else ""
        lines.append(
            f"nothing for class {plain(which)}{plain(began)}, {ended['keys']:,} keys of which "
            f"retention ended: {_CONTENT_WENT}"
        )
    if not found.erasures and not found.ended:
        lines.append("erased or expired content: none is on record; figures stand in any case")
    return lines


def _costs(costs: dict[str, Decimal]) -> str:
    return "".join(f", {cost.normalize():f} {currency}" for currency, cost in costs.items())

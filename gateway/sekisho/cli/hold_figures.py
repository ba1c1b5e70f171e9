"""`sekisho hold figures`: how people review, as tables.

What the gateway does not tell, because too few people answered, is a dash, as is what has nothing
to be divided by.
"""

from __future__ import annotations

import argparse
from typing import Any

from sekisho.cli.gate import Gate
from sekisho.cli.printing import as_json, table, visible

_COLUMNS = (
    "answers",
    "approved",
    "median s",
    "under 5 s",
    "edited",
    "agree",
    "an hour",
    "people",
    "caught",
)
_RATES = (
    ("approved", "approval_rate"),
    ("under 5 s", "under_5_s_rate"),
    ("edited", "edit_rate"),
    ("agree", "agreement"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--days", type=int, default=30, metavar="N", help="how far back (30)")
    parser.add_argument("--mine", action="store_true", help="only your own")


def show(gate: Gate, options: argparse.Namespace) -> None:
    """Ask and print."""
    mine = {"mine": "true"} if options.mine else {}
    figures = gate.get("/v1/approvals/figures", days=str(options.days), **mine)
    print(as_json(figures) if options.json else text(figures))


def text(figures: dict[str, Any]) -> str:
    """The figures for a terminal: all together, by rule, by person, and what to do."""
    if figures["own"] is not None:
        return "\n".join([_title(figures), table([_cells(figures["own"])], _COLUMNS)])
    rules, people = figures["rules"] or [], figures["people"]
    parts = [_title(figures), table([_cells(figures["total"])], _COLUMNS)]
    if rules:
        parts += ["", table([{"rule": one["rule"], **_cells(one)} for one in rules], _in("rule"))]
    if people:
        rows = [{"person": one["person"], **_cells(one)} for one in people]
        parts += ["", table(rows, _in("person"))]
    if people is None:
        least = figures["people_min"]
        parts += ["", f"People are named where at least {least} of them answered."]
    parts += [
        f"{visible(one['rule'])}: nearly all it asks about is approved. Let it ask about less."
        for one in rules
        if one["narrow"]
    ]
    return "\n".join(parts)


def _title(figures: dict[str, Any]) -> str:
    behind = figures["size"] - figures["indexed"]
    late = f"; {behind} events of the ledger are not counted yet" if behind else ""
    return f"Answers of the last {figures['days']} days{late}"


def _in(first: str) -> tuple[str, ...]:
    return (first, *_COLUMNS)


def _cells(one: dict[str, Any]) -> dict[str, Any]:
    hourly, median_s = one["decisions_per_hour"], one["median_s"]
    return {
        "answers": one["decisions"],
        "median s": None if median_s is None else f"{median_s:.1f}",
        "an hour": None if hourly is None else f"{hourly:.1f}",
        "people": one["people"],
        "caught": _caught(one),
        **{name: None if one[member] is None else f"{one[member]:.0%}" for name, member in _RATES},
    }


def _caught(one: dict[str, Any]) -> str | None:
    """Test items that were denied, of all that were answered."""
    if one["caught"] is None or not one["caught"] + one["missed"]:
        return None
    return f"{one['caught']}/{one['caught'] + one['missed']}"

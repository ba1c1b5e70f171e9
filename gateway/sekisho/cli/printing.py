"""How commands print: tables for people, JSON for programs, and hidden characters made visible."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sekisho.content.hidden import code_point, is_hidden

DEFAULT_CONFIG = Path("sekisho.toml")
AMOUNT_MAX = 1_000_000_000  # as microseconds still a number; what makes sense is said elsewhere
YEARS = range(2000, 2200)  # the ledger counts microseconds up to the year 2255


def add_config(parser: argparse.ArgumentParser) -> None:
    """The option that names the settings."""
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help=f"the settings (default: {DEFAULT_CONFIG})",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option that everything that prints has."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def names(text: str) -> list[str]:
    """A comma-separated list from the command line."""
    return [word for word in (part.strip() for part in text.split(",")) if word]


def amount(text: str) -> float:
    """A number from the command line that can be counted with, so neither `nan` nor `1e300`."""
    number = float(text)
    if not abs(number) <= AMOUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number up to {AMOUNT_MAX}")
    return number


def day(text: str) -> int:
    """The beginning of a day in UTC, as microseconds since 1970."""
    try:
        begins = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError("a date looks like 2026-11-24") from error
    if begins.year not in YEARS:
        raise argparse.ArgumentTypeError(f"the year must be from {YEARS[0]} to {YEARS[-1]}")
    return int(begins.timestamp()) * 1_000_000


def as_json(value: Any) -> str:
    """Indented JSON in plain ASCII: what a prompt holds must not drive the reviewer's terminal."""
    return json.dumps(value, ensure_ascii=True, indent=2).replace("\x7f", "\\u007f")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Aligned columns under their names; every cell with hidden characters visible."""
    cells = [[visible(_cell(row.get(name))) for name in columns] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def when(time_us: int | None) -> str | None:
    """A time for people and programs: ISO 8601 in UTC, to the second."""
    if time_us is None:
        return None
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def visible(text: str) -> str:
    """`text` with every character that could hide or disguise something written as `<U+202E>`."""
    return "".join(f"<{code_point(char)}>" if is_hidden(char) else char for char in text)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value) or "-"
    return str(value)

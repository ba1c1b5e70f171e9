"""Reading what a backend says was used: its usage or costs export, as rows of one kind.

Known are the pages of OpenAI's usage and costs API (JSON: `object` `page`, buckets, results), the
CSV files of its dashboard, which have the same members as columns, and a table of anybody's: CSV
with a head line or JSON lines with the columns of COLUMNS. The file comes from outside: everything
in it is bounded, and what is not understood is an error that names the line, never a guess.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sekisho_audit.canon import INT_MAX
from sekisho_audit.exports.csv_cells import unguarded

FILE_BYTES_MAX = 256 * 1024 * 1024
ROWS_MAX = 1_000_000  # held in memory, a few hundred bytes each
TEXT_CHARS_MAX = 512
COST_DIGITS_MAX = 30
COLUMNS: Mapping[str, tuple[str, ...]] = {
    # what it is: the names it may have
    "time": ("time", "start_time"),
    "end": ("end_time",),
    "request": ("request", "request_id"),
    "model": ("model",),
    "requests": ("requests", "num_model_requests"),
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cost": ("cost", "amount_value"),
    "currency": ("currency", "amount_currency"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_WHOLE = re.compile(r"[0-9]{1,16}")
_YEAR_10000_S = 253_402_300_800


class BadUsage(ValueError):
    """A file that is no usage export; says which row and what."""


@dataclass(frozen=True, slots=True)
class Used:
    """One row: so many requests in a time (microseconds, the end not included; equal for a moment),
    and what they cost. None is what the export does not say.
    """

    start_us: int
    end_us: int
    requests: int | None
    request: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    currency: str | None = None


def read_usage(path: Path) -> list[Used]:
    """All rows of an export. Raises BadUsage, OSError."""
    if path.exists() and not path.is_file():
        raise BadUsage("this is no file: save the export, and name it")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise BadUsage(f"the file has more than {FILE_BYTES_MAX} bytes: export a shorter time")
    rows: list[Used] = []
    try:
        for number, said in enumerate(_said(path), 1):
            if number > ROWS_MAX:
                raise BadUsage(f"more than {ROWS_MAX} rows: export a shorter time")
            row = _row(said, number)
            if row is not None:
                rows.append(row)
    except UnicodeDecodeError as error:
        raise BadUsage("the file is not UTF-8") from error
    if not rows:
        raise BadUsage("there is no row in it")
    return rows


def _said(path: Path) -> Iterator[Mapping[str, Any]]:
    """What each row says, under the names of COLUMNS' right side."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        start = file.read(4_096).lstrip()
        file.seek(0)
        if not start.startswith(("{", "[")):
            yield from _table(csv.DictReader(file, strict=True))
            return
        first = start.split("\n", 1)[0].strip()
        if start.startswith("{") and first.endswith("}") and '"object"' not in first:
            for line in file:
                if line.strip():
                    yield _object(_json(line))
            return
        yield from _pages(_json(file.read()))


def _table(reader: csv.DictReader[str]) -> Iterator[Mapping[str, Any]]:
    try:
        known = {name for names in COLUMNS.values() for name in names}
        heads = reader.fieldnames or []
        if not set(heads) & set(COLUMNS["time"]) or len(heads) != len(set(heads)):
            raise BadUsage(
                "the first line names no column `time` or `start_time`, or one twice; known are "
                + ", ".join(sorted(known))
            )
        for row in reader:
            if None in row or None in row.values():
                raise BadUsage(f"line {reader.line_num}: not as many cells as columns")
            yield {name: unguarded(cell).strip() for name, cell in row.items()}
    except csv.Error as error:
        raise BadUsage(f"line {reader.line_num}: {error}") from error


def _pages(document: Any) -> Iterator[Mapping[str, Any]]:
    """OpenAI's buckets, of one page or of a list of pages."""
    pages = document if isinstance(document, list) else [document]
    for page in pages:
        buckets = _object(page).get("data")
        if not isinstance(buckets, list):
            raise BadUsage("a JSON export is a page with `data`, or lines of objects")
        for bucket in buckets:
            times = {name: _object(bucket).get(name) for name in ("start_time", "end_time")}
            results = bucket.get("results", [])
            if not isinstance(results, list):
                raise BadUsage("the `results` of a bucket are no list")
            for result in results:
                amount = _object(result).get("amount") or {}
                costs = {f"amount_{name}": value for name, value in _object(amount).items()}
                yield {**result, **costs, **times}
    if any(_object(page).get("has_more") for page in pages[-1:]):
        raise BadUsage("the last page says `has_more`: fetch all pages, as a JSON list")


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise BadUsage(f"not JSON: {error}") from error


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise BadUsage("something is no object that must be one")
    return found


def _row(said: Mapping[str, Any], number: int) -> Used | None:
    cells = {
        what: next((said[name] for name in names if said.get(name) not in (None, "")), None)
        for what, names in COLUMNS.items()
    }
    try:
        start_us = _moment(cells["time"])
        end_us = start_us if cells["end"] is None else _moment(cells["end"])
        figures = {
            name: _whole(cells[name], name)
            for name in ("requests", "input_tokens", "output_tokens")
        }
        cost = _cost(cells["cost"])
        texts = {name: _text(cells[name]) for name in ("request", "model", "currency")}
    except BadUsage as error:
        raise BadUsage(f"row {number}: {error}") from error
    if end_us < start_us:
        raise BadUsage(f"row {number}: it ends before it begins")
    used = [value for value in (*figures.values(), cost) if value]
    if not used and texts["request"] is None:
        return None  # a bucket in which nothing happened
    if figures["requests"] is None and (texts["request"] or start_us == end_us):
        figures["requests"] = 1
    return Used(start_us, end_us, cost=cost, **figures, **texts)  # type: ignore[arg-type]


def _moment(said: Any) -> int:
    """Seconds since 1970, or ISO 8601; without an offset it is UTC."""
    if type(said) is int or (isinstance(said, str) and _WHOLE.fullmatch(said)):
        seconds = int(said)
        if not 0 <= seconds < _YEAR_10000_S:
            raise BadUsage("a time is no seconds since 1970")
        return seconds * _SECOND_US
    if not isinstance(said, str) or len(said) > TEXT_CHARS_MAX:
        raise BadUsage("the time is missing or no time")
    try:
        moment = datetime.fromisoformat(said)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise BadUsage(f"{said[:40]!r} is no time") from error


def _whole(said: Any, name: str) -> int | None:
    if said is None:
        return None
    if isinstance(said, str) and _WHOLE.fullmatch(said):
        said = int(said)
    if type(said) is not int or not 0 <= said <= INT_MAX:
        raise BadUsage(f"{name} is no whole number")
    return int(said)


def _cost(said: Any) -> Decimal | None:
    if said is None:
        return None
    try:
        cost = Decimal(said) if isinstance(said, (str, int, Decimal)) else Decimal("NaN")
    except InvalidOperation:
        cost = Decimal("NaN")
    # Credits are negative. An exponent of millions is a short text and a number nobody can print.
    if not cost.is_finite() or isinstance(said, bool):
        raise BadUsage("the cost is no number")
    if not cost:
        return Decimal(0)
    if not -COST_DIGITS_MAX <= cost.adjusted() <= COST_DIGITS_MAX:
        raise BadUsage("the cost is no number that anybody pays")
    return cost


def _text(said: Any) -> str | None:
    if said is None:
        return None
    if not isinstance(said, str) or len(said) > TEXT_CHARS_MAX:
        raise BadUsage("an id, model or currency is no short text")
    return said

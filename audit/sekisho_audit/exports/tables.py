"""Events written as CSV, JSON lines or Parquet, one after the other, in bounded memory.

A JSON line is `{"index":N,"leaf_hash":"<hex>","leaf":<the leaf as stored>}`: exactly so, because
the bytes between are what was hashed and signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

from sekisho_audit.canon import decode
from sekisho_audit.exports import csv_cells
from sekisho_audit.exports.rows import COLUMNS, flat
from sekisho_audit.tree import leaf_hash

_ROWS_AT_ONCE = 5_000  # of Parquet: a few megabytes
_LINE = re.compile(rb'\{"index":(0|[1-9][0-9]{0,15}),"leaf_hash":"([0-9a-f]{64})","leaf":(.*)\}')


class NoParquet(Exception):
    """What writes Parquet is not installed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands in the ledger."""

    index: int
    body: bytes


Write = Callable[[BinaryIO, Iterable[Stored]], int]


def json_line(event: Stored) -> bytes:
    """One event as a line."""
    digest = leaf_hash(event.body).hex()
    return b'{"index":%d,"leaf_hash":"%s","leaf":%s}\n' % (
        event.index,
        digest.encode(),
        event.body,
    )


def read_json_line(line: bytes) -> tuple[Stored, bytes]:
    """The event in a line without its line end, and the hash it says. Raises ValueError."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("not a line as `sekisho-audit export` writes them")
    return Stored(int(found[1]), found[3]), bytes.fromhex(found[2].decode())


def write_jsonl(out: BinaryIO, events: Iterable[Stored]) -> int:
    """Write JSON lines; returns how many."""
    count = 0
    for count, event in enumerate(events, 1):  # noqa: B007 - told at the end
        out.write(json_line(event))
    return count


def write_csv(out: BinaryIO, events: Iterable[Stored], *, bom: bool = False) -> int:
    """Write a table with a head line; returns how many rows."""
    if bom:
        out.write(csv_cells.BOM)
    out.write(csv_cells.line(column.name for column in COLUMNS))
    count = 0
    for count, event in enumerate(events, 1):  # noqa: B007 - told at the end
        out.write(csv_cells.line(_row(event)))
    return count


def _row(event: Stored) -> list[Any]:
    return flat(decode(event.body), leaf_hash(event.body).hex())


def arrow() -> tuple[Any, Any]:
    """The two modules that write Parquet. Raises NoParquet."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise NoParquet(
            "Parquet needs pyarrow, which is not installed: pip install 'sekisho-audit[export]'"
        ) from error


def write_parquet(out: BinaryIO, events: Iterable[Stored]) -> int:
    """Write a Parquet table, compressed; returns how many rows. Raises NoParquet."""
    pyarrow, parquet = arrow()
    schema = pyarrow.schema(
        [(column.name, pyarrow.int64() if column.whole else pyarrow.string()) for column in COLUMNS]
    )
    count = 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in _batches(events):
            cells: Mapping[str, list[Any]] = {
                column.name: [row[at] for row in rows] for at, column in enumerate(COLUMNS)
            }
            writer.write_table(pyarrow.Table.from_pydict(cells, schema))
            count += len(rows)
    return count


def _batches(events: Iterable[Stored]) -> Iterable[list[list[Any]]]:
    rows: list[list[Any]] = []
    for event in events:
        rows.append(_row(event))
        if len(rows) == _ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


WRITERS: Mapping[str, Write] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}

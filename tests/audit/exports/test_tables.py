"""Tables of a real ledger, read back by readers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from pyarrow import parquet

from sekisho_audit.canon import decode, encode
from sekisho_audit.exports import tables
from sekisho_audit.exports.rows import COLUMNS, flat
from sekisho_audit.exports.tables import (
    WRITERS,
    NoParquet,
    Stored,
    json_line,
    read_json_line,
    write_csv,
    write_jsonl,
    write_parquet,
)
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tree import leaf_hash
from support.ledgers import small_ledger


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Stored]:
    ledger = small_ledger(tmp_path_factory.mktemp("t"))
    bodies = [one.body for part in segments(ledger, EVENTS) for one in frames(part, EVENTS)]
    return [Stored(index, body) for index, body in enumerate(bodies)]


def test_a_json_line_holds_the_bytes_that_were_signed(events: list[Stored]) -> None:
    out = io.BytesIO()
    assert write_jsonl(out, events) == len(events)
    for line, event in zip(out.getvalue().splitlines(), events, strict=True):
        assert read_json_line(line) == (event, leaf_hash(event.body))
        said = json.loads(line)
        assert encode(said["leaf"]) == event.body
        assert said["index"] == event.index


@pytest.mark.parametrize("bad", [b"", b"{}", b'{"index":01,"leaf_hash":"","leaf":{}}', b"\xff"])
def test_another_line_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="not a line"):
        read_json_line(bad)


def test_a_table_has_a_row_for_each_event(events: list[Stored]) -> None:
    out = io.BytesIO()
    assert write_csv(out, events, bom=True) == len(events)
    text = out.getvalue().decode("utf-8-sig")
    read = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["index"] for row in read] == [str(event.index) for event in events]
    assert json.loads(read[3]["data_json"]) == decode(events[3].body)["data"]


def test_parquet_has_the_same_cells(events: list[Stored]) -> None:
    out = io.BytesIO()
    assert write_parquet(out, events) == len(events)
    read = parquet.read_table(io.BytesIO(out.getvalue())).to_pylist()
    wanted = [flat(decode(event.body), leaf_hash(event.body).hex()) for event in events]
    assert [list(row.values()) for row in read] == wanted
    assert list(read[0]) == [column.name for column in COLUMNS]


def test_without_pyarrow_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, events: list[Stored]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(tables, "import_module", missing)
    with pytest.raises(NoParquet, match=r"sekisho-audit\[export\]"):
        write_parquet(io.BytesIO(), events)


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_table(name: str, events: list[Stored]) -> None:
    def many() -> Iterator[Stored]:
        for number in range(1_500):
            yield Stored(number, events[number % len(events)].body)

    class Nowhere(io.BytesIO):
        def write(self, data: object) -> int:
            return 0

    tracemalloc.start()
    try:
        assert WRITERS[name](Nowhere(), many()) == 1_500
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_line_is_one_line() -> None:
    assert json_line(Stored(0, encode({"a": "x\ny"}))).count(b"\n") == 1

"""Rows: every type of event fits the columns, and nothing is lost."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.events import TYPES
from sekisho_audit.exports.rows import COLUMNS, flat, iso_utc
from support.random_events import datas

NAMES = [column.name for column in COLUMNS]


def leaf(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "v": 1,
        "id": "e",
        "log": "l",
        "n": 7,
        "boot": "b",
        "ts": 1_764_291_600_000_001,
        "type": kind,
        "exchange": None,
        "principal": "p-1",
        "actor": None,
        "data": data,
        "pl": [{"name": "prompt"}, {"name": "answer"}],
    }


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(TYPES)))
    return leaf(kind, draw(datas(TYPES[kind])))


@given(one=leaves())
def test_every_event_has_a_cell_of_the_right_kind_in_every_column(one: dict[str, Any]) -> None:
    row = flat(one, "ab")
    assert len(row) == len(COLUMNS)
    for column, cell in zip(COLUMNS, row, strict=True):
        assert cell is None or type(cell) is (int if column.whole else str), column.name


@given(one=leaves())
def test_a_row_says_all_that_the_data_says(one: dict[str, Any]) -> None:
    said = json.loads(str(flat(one, "ab")[NAMES.index("data_json")]))
    assert said == one["data"]


def test_the_columns_never_change_their_order() -> None:
    """Somebody's spreadsheet counts on it: new ones come at the end."""
    assert NAMES[:8] == [
        *("index", "leaf_hash", "time_utc", "time_us"),
        *("type", "exchange", "principal", "actor"),
    ]
    assert len(set(NAMES)) == len(NAMES)


def test_an_outcome_is_flat() -> None:
    data = {
        "intent": "i",
        "status": "released",
        "bytes": 3,
        "usage": {"prompt_tokens": 5, "completion_tokens": "many"},
        "charged": {"tokens": 9, "spend_micros": 12},
    }
    row = dict(zip(NAMES, flat(leaf("backend.outcome", data), "ab"), strict=True))
    assert (row["status"], row["size_bytes"], row["charged_spend_micros"]) == ("released", 3, 12)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (5, None)
    assert row["payloads"] == "prompt answer"


@given(moment=st.integers(-(2**53), 2**53))
def test_times_read_back(moment: int) -> None:
    text = iso_utc(moment)
    if not text:
        return
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    read = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (read.days * 86_400 + read.seconds) * 1_000_000 + read.microseconds == moment

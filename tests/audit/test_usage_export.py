"""Usage exports: the known forms read, everything else refused with its row."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekisho_audit import usage_export
from sekisho_audit.usage_export import BadUsage, Used, read_usage

DAY_S, START_S = 86_400, 1_790_553_600
START_US, DAY_US = START_S * 1_000_000, DAY_S * 1_000_000


def page(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": START_S, "end_time": START_S + DAY_S}
    return {"object": "page", "data": [{**bucket, "results": list(results)}], **more}


def read(tmp_path: Path, text: str | bytes) -> list[Used]:
    path = tmp_path / "usage"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_usage(path)


def test_pages_of_the_usage_api(tmp_path: Path) -> None:
    result = {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "num_model_requests": 5,
        "model": "gpt-4o",
        "batch": None,
    }
    wanted = Used(START_US, START_US + DAY_US, 5, None, "gpt-4o", 1000, 500)
    assert read(tmp_path, json.dumps(page(result))) == [wanted]
    assert read(tmp_path, json.dumps([page(result), page(result)], indent=2)) == [wanted, wanted]
    with pytest.raises(BadUsage, match="all pages"):
        read(tmp_path, json.dumps(page(result, has_more=True)))


def test_pages_of_the_costs_api(tmp_path: Path) -> None:
    """To the last digit: a cost is no float."""
    text = json.dumps(page({"object": "organization.costs.result", "amount": {"currency": "usd"}}))
    text = text.replace('"currency"', '"value": 0.06000000000000000001, "currency"')
    [row] = read(tmp_path, text)
    assert (row.cost, row.currency, row.requests) == (
        Decimal("0.06000000000000000001"),
        "usd",
        None,
    )


def test_files_of_the_dashboard(tmp_path: Path) -> None:
    costs = (
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item\r\n"
        f"{START_S},{START_S + DAY_S},2026-09-28T00:00:00,2026-09-29T00:00:00,,,\r\n"
        f'{START_S},{START_S + DAY_S},2026-09-28T00:00:00,2026-09-29T00:00:00,0.5,usd,"a, b"\r\n'
    )
    assert [row.cost for row in read(tmp_path, "\ufeff" + costs)] == [Decimal("0.5")]
    usage = (
        f"start_time,end_time,num_model_requests,model,input_tokens\n{START_S},{START_S},3,m,9\n"
    )
    [row] = read(tmp_path, usage)
    assert (row.requests, row.model, row.input_tokens, row.output_tokens) == (3, "m", 9, None)


def test_tables_of_anybody(tmp_path: Path) -> None:
    table = 'time,request,model,cost,currency\n2026-09-28T09:00:00+09:00,r-1,"\'=m",1e-3,CNY\n'
    [row] = read(tmp_path, table)
    assert row == Used(START_US, START_US, 1, "r-1", "=m", None, None, Decimal("0.001"), "CNY")
    lines = '{"time": "2026-09-28", "request": "a"}\n\n{"time": 1790553600, "request": "b"}\n'
    assert [one.start_us for one in read(tmp_path, lines)] == [START_US, START_US]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no column"),
        ("model\nx\n", "no column"),
        ("time,time\n1,1\n", "twice"),
        ("time,requests\n1\n", "line 2"),
        ("time,requests\n1,2,3\n", "line 2"),
        ('time,requests\n1,"2\n', "line"),
        ("time,requests\nyesterday,2\n", "row 1.*no time"),
        ("time,requests\n1,-2\n", "row 1.*whole number"),
        ("time,requests\n1,=2+2\n", "row 1.*whole number"),
        ("time,requests\n1,99999999999999999999\n", "whole number"),
        ("time,cost\n1,NaN\n", "no number"),
        ("time,cost\n1,Infinity\n", "no number"),
        ("time,cost\n1,1e999999999\n", "no number"),
        ("time,cost\n1,1e-999999999\n", "no number"),
        ("time,cost\n1,=1\n", "no number"),
        ("time,end_time,requests\n5,4,1\n", "ends before"),
        ("time,requests\n99999999999999,1\n", "seconds since 1970"),
        ("time,model,requests\n1," + "x" * 600 + ",1\n", "short text"),
        ("time,model\n1,", "no row"),
        ('{"time": 1, "cost": NaN}\n', "JSON"),
        ('{"time": 1, "cost": true}\n', "no number"),
        ('{"time": true, "requests": 1}\n', "no time"),
        ('{"time": [1], "requests": 1}\n', "no time"),
        ('{"object": "page", "data": 7}', "page"),
        ('{"object": "page", "data": [7]}', "no object"),
        ('{"object": "page", "data": [{"results": 7}]}', "no list"),
        ("[" * 100_000, "JSON"),
        ("[7]", "no object"),
    ],
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode(),
)
def test_what_is_not_understood_is_never_guessed(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(BadUsage, match=what):
        read(tmp_path, text)


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="UTF-8"):
        read(tmp_path, b"time,requests\n1,\xff\n")


def test_large_files_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_export, "ROWS_MAX", 2)
    with pytest.raises(BadUsage, match="more than 2 rows"):
        read(tmp_path, "time,requests\n" + "1,1\n" * 3)
    monkeypatch.setattr(usage_export, "FILE_BYTES_MAX", 10)
    with pytest.raises(BadUsage, match="more than 10 bytes"):
        read(tmp_path, "time,requests\n1,1\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    raw=st.binary(max_size=60)
    | st.text(st.sampled_from('{}[]",:\n=time1cost'), max_size=60).map(str.encode)
)
def test_no_file_is_more_than_refused(tmp_path: Path, raw: bytes) -> None:
    """Whatever stands in it."""
    try:
        assert read(tmp_path, b"time,cost\n" + raw)
    except BadUsage:
        return


def test_what_is_no_file_is_not_read() -> None:
    """A device has no end."""
    with pytest.raises(BadUsage, match="this is no file"):
        read_usage(Path("/dev/zero"))

"""Numbers as they are written: none is taken for its neighbour."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sekisho.content.written_numbers import as_written


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("-7", -7),
        ("0.1", 0.1),
        ("100.00", 100.0),
        ("1e2", 100.0),
        ("18446744073709551617", 18446744073709551617),
        ("1" + "0" * 308, 10**308),
    ],
)
def test_a_number_that_survives_is_a_plain_one(text: str, number: float) -> None:
    """Whole ones survive at any length."""
    read = as_written(f'{{"x": [{text}]}}')["x"][0]

    assert (type(read), read) == (type(number), number)


@pytest.mark.parametrize(
    "text",
    ["100.000000000000001", "1e-400", "0.10000000000000001", "-0.0", "1e-99999999999999999999"],
)
def test_a_number_that_a_float_would_change_is_no_float(text: str) -> None:
    """Whoever compares it sees that it is another kind of thing."""
    read: Any = as_written(text.encode())

    assert isinstance(read, Decimal)

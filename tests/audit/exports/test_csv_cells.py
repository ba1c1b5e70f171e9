"""CSV: no cell calculates, every cell reads back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.exports.csv_cells import guarded, line, unguarded

SIGNS = "=+-@\t\r\n＝＋－＠﹦−"
TEXTS = st.text(st.sampled_from(SIGNS + "'\";, ab\u200b；"), max_size=9) | st.text(max_size=9)


@given(text=TEXTS)
def test_every_text_reads_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@given(text=TEXTS, separator=st.sampled_from([None, ";", "\t", "；"]))
def test_no_piece_begins_like_a_formula(text: str, separator: str | None) -> None:
    """Whichever of the separators a spreadsheet takes."""
    for piece in guarded(text).split(separator) if separator else [guarded(text)]:
        assert not piece or piece.lstrip(" \u200b")[:1] not in set(SIGNS) - set("\t\r\n")


@pytest.mark.parametrize("sign", SIGNS)
def test_the_known_beginnings_are_guarded(sign: str) -> None:
    assert guarded(f"{sign}cmd|' /C calc'!A0").startswith("'")
    assert guarded(f"a;{sign}1") == f"a;'{sign}1" or sign in "\t\r\n"


def test_what_is_harmless_stays_as_it_is() -> None:
    for text in ("gpt-4", "a=b", "2026-11-28", "'tis", "a; b", ""):
        assert guarded(text) == text


def test_numbers_stay_numbers_and_nothing_stays_nothing() -> None:
    assert line([-5, None, "", "-5", 'say "hi"']) == b'-5,,"","\'-5","say ""hi"""\r\n'


@given(cells=st.lists(st.none() | st.integers() | TEXTS, min_size=2, max_size=6))
def test_a_reader_of_csv_gets_the_cells_back(cells: list[str | int | None]) -> None:
    text = line(cells).decode()
    (read,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    wanted = ["" if cell is None else str(cell) for cell in cells]
    got = [
        unguarded(said) if isinstance(cell, str) else said
        for said, cell in zip(read, cells, strict=True)
    ]
    assert got == wanted

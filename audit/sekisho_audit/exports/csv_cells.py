"""Tables as CSV (RFC 4180) that no spreadsheet mistakes for formulas.

A cell is a formula for a spreadsheet if it begins with `=`, `+`, `-`, `@`, their full-width forms,
a tab or a line break; and texts of a ledger are written by whoever sends requests. So a `'` is put
before each such beginning: at the start of a cell and, because half of the world separates cells
by semicolons or pastes tabs, behind each semicolon, tab and line break in it. A `'` that stands
there already gets another one; taking one away at each of these places gives the text back
(`unguarded`). Texts stand in quotes, numbers bare, nothing at all is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sekisho_audit.exports.rows import Cell

BOM = b"\xef\xbb\xbf"  # without it one widespread spreadsheet reads UTF-8 as something else
_BEGINNING = (
    "'*[ \u00a0\u3000\u200b-\u200f\u2060\ufeff]*"
    "[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212\t\r\n]"
)
_PLACE = r"(^|[;\uff1b\t\r\n])"
_GUARD = re.compile(rf"{_PLACE}(?={_BEGINNING})")
_GUARDED = re.compile(rf"{_PLACE}'(?={_BEGINNING})")


def guarded(text: str) -> str:
    """The text as no spreadsheet calculates with it."""
    return _GUARD.sub(r"\1'", text)


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return _GUARDED.sub(r"\1", text)


def line(cells: Iterable[Cell]) -> bytes:
    """One record, with its line end."""
    return (",".join(map(_written, cells)) + "\r\n").encode()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, int):
        return str(cell)
    return '"' + guarded(cell).replace('"', '""') + '"'

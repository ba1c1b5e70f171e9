"""Which trails have a word or a token: the two tables of blocks, read and written alike."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sekisho_audit.bits import joined, packed, without
from sekisho_audit.index_file import Rows

Key = tuple[object, int]
_READ_TOGETHER = 50  # a page of what was found


@dataclass(frozen=True, slots=True)
class Blocks:
    """The statements of one table; keys are a word or token, and the number of a block."""

    select: str
    insert: str
    update: str
    delete: str

    def stored(self, rows: Rows, key: Key) -> bytes:
        """The members of a block; empty bytes if there are none."""
        found = rows.read(self.select, key)
        return bytes(found[0][0]) if found else b""

    def join(self, rows: Rows, added: Mapping[Key, Iterable[int]], keys: Iterable[Key]) -> None:
        """Add members to blocks, in the order of `keys`."""
        new, changed = [], []
        for key in keys:
            stored = self.stored(rows, key)
            if stored:
                changed.append((joined(stored, added[key]), *key))
            else:
                new.append((*key, packed(added[key])))
        rows.write(self.insert, new)
        rows.write(self.update, changed)

    def leave(self, rows: Rows, key: Key, places: Iterable[int]) -> bool:
        """Take members out of a block. Whether nobody is left in it."""
        left = without(self.stored(rows, key), places)
        if left:
            rows.write(self.update, [(left, *key)])
        else:
            rows.write(self.delete, [key])
        return not left


MARKS = Blocks(
    "SELECT trails FROM marks WHERE word = ? AND block = ?",
    "INSERT INTO marks VALUES (?, ?, ?)",
    "UPDATE marks SET trails = ? WHERE word = ? AND block = ?",
    "DELETE FROM marks WHERE word = ? AND block = ?",
)
POSTINGS = Blocks(
    "SELECT trails FROM postings WHERE token = ? AND block = ?",
    "INSERT INTO postings VALUES (?, ?, ?)",
    "UPDATE postings SET trails = ? WHERE token = ? AND block = ?",
    "DELETE FROM postings WHERE token = ? AND block = ?",
)


def ids_packed(ids: Iterable[int]) -> bytes:
    """The ids of an event's words, four bytes each."""
    ordered = sorted(ids)
    return struct.pack(f"<{len(ordered)}I", *ordered)


def ids_of(stored: bytes) -> tuple[int, ...]:
    """The ids in stored bytes."""
    return struct.unpack(f"<{len(stored) // 4}I", stored)


def read_each(rows: Rows, sql: str, keys: Iterable[int]) -> Iterator[Any]:
    """The rows of a SELECT that ends with a column, for each value of it; in no order."""
    wanted = sorted(keys)
    for start in range(0, len(wanted), _READ_TOGETHER):
        part = wanted[start : start + _READ_TOGETHER]
        # As many places as there may be, so that a database sees one statement again and again.
        places = ", ".join("?" * _READ_TOGETHER)
        part += part[-1:] * (_READ_TOGETHER - len(part))
        yield from rows.read(f"{sql} IN ({places})", part)

"""The two tables of blocks are read and written alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.bits import members_of
from sekisho_audit.blocks import MARKS, POSTINGS, Blocks, Key, ids_of, ids_packed, read_each
from sekisho_audit.index_file import SqliteRows


@pytest.mark.parametrize(("blocks", "name"), [(MARKS, 7), (POSTINGS, b"\0label..")])
def test_members_come_and_go(tmp_path: Path, blocks: Blocks, name: object) -> None:
    """A second joining adds; who leaves last takes the row along; neighbours stay."""
    rows = SqliteRows(tmp_path / "search.db", "o", b"k")
    key: Key = (name, 3)
    other: Key = (name, 4)
    blocks.join(rows, {key: [5, 1], other: [9]}, [key, other])
    blocks.join(rows, {key: [2, 5]}, [key])
    assert list(members_of(blocks.stored(rows, key))) == [1, 2, 5]
    assert not blocks.leave(rows, key, [1, 8])
    assert list(members_of(blocks.stored(rows, key))) == [2, 5]
    assert blocks.leave(rows, key, [2, 5])
    assert blocks.stored(rows, key) == b""
    assert list(members_of(blocks.stored(rows, other))) == [9]
    rows.close()


def test_ids_are_kept_in_four_bytes_each() -> None:
    """And come back in order."""
    assert ids_of(ids_packed({70_000, 1})) == (1, 70_000)
    assert len(ids_packed({70_000, 1})) == 8


def test_many_keys_are_read_together(tmp_path: Path) -> None:
    """Each row once, however many keys there are; keys without a row are passed over."""
    rows = SqliteRows(tmp_path / "many.db", "o", b"k")
    rows.write("INSERT INTO words VALUES (?, ?, ?)", [(n, "f", str(n)) for n in range(120)])
    for keys in ([], [7], range(49), range(50), range(51), range(100), range(60, 200)):
        found = sorted(n for (n,) in read_each(rows, "SELECT id FROM words WHERE id", keys))
        assert found == [n for n in keys if n < 120]
    rows.close()

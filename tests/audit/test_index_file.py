"""The file behind the search index: made once, of one ledger and key, and clean when told so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sekisho_audit.index_file import SqliteRows, Unclean, Unfit

ADD = "INSERT INTO words VALUES (?, ?, ?)"
COUNT = "SELECT COUNT(*) FROM words"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index" / "search.db"


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """Nobody else may read it."""
    SqliteRows(path, "o", b"k").close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("origin", "key"), [("other", b"k"), ("o", b"other")])
def test_a_file_of_another_ledger_or_key_is_told(path: Path, origin: str, key: bytes) -> None:
    """It would find nothing, or what is not there."""
    SqliteRows(path, "o", b"k").close()
    with pytest.raises(Unfit):
        SqliteRows(path, origin, key)
    SqliteRows(path, "o", b"k").close()


def test_a_file_of_another_format_is_told(path: Path) -> None:
    """Columns may mean something else there."""
    rows = SqliteRows(path, "o", b"k")
    rows.write("UPDATE progress SET format = ?", [(0,)])
    rows.close()
    with pytest.raises(Unfit):
        SqliteRows(path, "o", b"k")


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    """An error takes back what was written; the next one begins anew."""
    rows = SqliteRows(path, "o", b"k")
    with pytest.raises(sqlite3.IntegrityError), rows.transaction():
        rows.write(ADD, [(1, "f", "w"), (1, "f", "other")])
    assert rows.read(COUNT) == [(0,)]
    with rows.transaction():
        rows.write(ADD, [(1, "f", "w")])
    assert rows.read(COUNT) == [(1,)]
    rows.close()


def test_a_snapshot_does_not_see_what_is_written_meanwhile(path: Path) -> None:
    """By another connection, which is not kept waiting."""
    reader, writer = SqliteRows(path, "o", b"k"), SqliteRows(path, "o", b"k")
    with reader.snapshot():
        assert reader.read(COUNT) == [(0,)]
        with writer.transaction():
            writer.write(ADD, [(1, "f", "w")])
        assert reader.read(COUNT) == [(0,)]
    assert reader.read(COUNT) == [(1,)]
    reader.close()
    writer.close()


def test_scrubbing_says_when_a_reader_is_in_the_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was deleted stands in the log until nobody reads it."""
    monkeypatch.setattr("sekisho_audit.index_file._BUSY_S", 0.05)
    reader, writer = SqliteRows(path, "o", b"k"), SqliteRows(path, "o", b"k")
    log = path.with_name(f"{path.name}-wal")
    with writer.transaction():
        writer.write(ADD, [(1, "f", "a-word-to-forget")])
    with reader.snapshot():
        reader.read(COUNT)
        with writer.transaction():
            writer.write("DELETE FROM words WHERE id = ?", [(1,)])
        with pytest.raises(Unclean):
            writer.scrub()
        assert b"a-word-to-forget" in log.read_bytes()
    writer.scrub()
    assert log.read_bytes() == b""
    assert b"a-word-to-forget" not in path.read_bytes()
    reader.close()
    writer.close()


def test_a_file_that_is_no_database_raises_and_is_let_go(path: Path) -> None:
    """The caller throws it away."""
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        SqliteRows(path, "o", b"k")

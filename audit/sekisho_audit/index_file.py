"""The tables of the search index, and the SQLite file they stand in by default.

Derived from the ledger and no evidence: it may be deleted at any time and is then built again.
Whoever builds or searches knows only `Rows`: plain SQL with bound parameters and no dialect. For
PostgreSQL there is another `Rows` (index_postgres), and nothing else.

A **trail** is what a search finds: all events of one exchange, or one event that belongs to none.
Trails are numbered in the order of their first events, and never by a number twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sekisho_audit.durable import KEY_MODE, make_directory
from sekisho_audit.history_file import remove

FORMAT = 2
_BUSY_S = 5.0
_CHECKPOINT_PAGES = 4_000
_CACHE_KB = 65_536  # the marks of a query over 10 million events
SCHEMA = """
-- One row: how far the ledger was read, and the numbers to give next.
CREATE TABLE progress (format INTEGER, key_check BLOB, origin TEXT, indexed INTEGER,
                       forgotten INTEGER, next_word INTEGER, next_trail INTEGER, place BLOB);
CREATE TABLE words (id INTEGER PRIMARY KEY, field TEXT NOT NULL, word TEXT NOT NULL);
CREATE UNIQUE INDEX by_word ON words (field, word);
-- Which trails have a word, and which have a blind token in a text, both in blocks.
CREATE TABLE marks (word INTEGER, block INTEGER, trails BLOB NOT NULL,
                    PRIMARY KEY (word, block)) WITHOUT ROWID;
CREATE TABLE postings (token BLOB, block INTEGER, trails BLOB NOT NULL,
                       PRIMARY KEY (token, block)) WITHOUT ROWID;
CREATE TABLE trails (trail INTEGER PRIMARY KEY, first INTEGER NOT NULL, begun_us INTEGER NOT NULL,
                     exchange TEXT, owner TEXT);
CREATE INDEX by_exchange ON trails (exchange);
CREATE INDEX by_owner ON trails (owner);
CREATE UNIQUE INDEX by_first ON trails (first);
-- `words`: their ids, for forgetting and for what a trail was at an earlier time.
CREATE TABLE events (n INTEGER PRIMARY KEY, trail INTEGER NOT NULL, ts INTEGER NOT NULL,
                     words BLOB NOT NULL, spend_micros INTEGER, tokens INTEGER);
CREATE INDEX by_trail ON events (trail);
CREATE TABLE texts (trail INTEGER, n INTEGER, part INTEGER, sequence BLOB NOT NULL,
                    shelf INTEGER NOT NULL, PRIMARY KEY (trail, n, part)) WITHOUT ROWID;
CREATE INDEX by_shelf ON texts (shelf);
-- Whose keys on which shelf open the texts: what is to go when a key is destroyed.
CREATE TABLE shelves (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, shelf TEXT NOT NULL);
CREATE UNIQUE INDEX by_place ON shelves (owner, shelf);
-- When the trails of a thousand began: time does not always run with the numbers.
CREATE TABLE spans (span INTEGER PRIMARY KEY, oldest INTEGER, newest INTEGER);
"""


class Unfit(Exception):
    """The index is of another ledger, key or format: it is to be removed and built again."""


class Unclean(Exception):
    """What was deleted may still stand in the file: somebody is reading it. Ask again."""


class Damaged(Exception):
    """The tables are not as they were made: the index is to be removed and built again."""


class Rows(Protocol):
    """A database of one thread. Any call may raise Away, Damaged or sqlite3.Error; after one in a
    transaction, nothing of that transaction is there, unless it was the answer to the commit that
    was lost: then all of it may be.
    """

    def read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of a SELECT."""

    def write(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and the only writer."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads see one state."""

    def scrub(self) -> None:
        """Return when what was deleted is in no file any more. Raises Unclean."""

    def is_there(self) -> bool:
        """Whether nobody took the index away."""

    def close(self) -> None:
        """Let go of it."""


class Database(Protocol):
    """Where an index stands, open or not."""

    name: str

    def open(self, origin: str, key_check: bytes) -> Rows:
        """The index there, or a beginning. Raises Unfit, Away, Damaged, sqlite3.Error."""

    def remove(self) -> None:
        """Delete it. Raises Away."""

    def indexed(self) -> int | None:
        """How many events were read; None if it cannot be told. Raises Away."""


class SqliteDatabase:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name

    def open(self, origin: str, key_check: bytes) -> Rows:
        """The index there, or a beginning. Raises Unfit, sqlite3.Error."""
        return SqliteRows(self._path, origin, key_check)

    def remove(self) -> None:
        """Delete the file."""
        remove(self._path)

    def indexed(self) -> int | None:
        """How many events were read; None if it cannot be told."""
        return indexed_in(self._path, "progress")


class SqliteRows:
    """`Rows` in a SQLite file; made if it is not there."""

    def __init__(self, path: Path, origin: str, key_check: bytes) -> None:
        make_directory(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, KEY_MODE))
        self._path, self._inode = path, path.stat().st_ino
        self._db = sqlite3.connect(path, _BUSY_S, isolation_level=None, cached_statements=64)
        try:
            for pragma in (
                "journal_mode=WAL",
                # The cursor goes back with the rows after a power cut: nothing needs a sync.
                "synchronous=NORMAL",
                "secure_delete=ON",
                f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
                f"cache_size=-{_CACHE_KB}",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            with self.transaction():
                self._prepare(origin, key_check)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, origin: str, key_check: bytes) -> None:
        if not self.read("SELECT 1 FROM sqlite_master WHERE name = 'progress'"):
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            first = (FORMAT, key_check, origin, 0, 0, 1, 0, b"")
            self.write("INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [first])
        made = self.read("SELECT format, key_check, origin FROM progress")
        if made != [(FORMAT, key_check, origin)]:
            raise Unfit("the search index is of another ledger, key or format")

    def read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of a SELECT."""
        return self._db.execute(sql, values).fetchall()

    def write(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        self._db.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and the only writer."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # Some errors have ended the transaction already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads see one state."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def scrub(self) -> None:
        """Return when what was deleted is in no file any more. Raises Unclean.

        `secure_delete` overwrites deleted rows, but not the copies that stayed behind when a page
        was split: only writing the file anew does that. SQLite needs as much room again for it, in
        `SQLITE_TMPDIR` or /tmp.
        """
        self._truncate_log()
        self._db.execute("VACUUM")
        self._truncate_log()

    def _truncate_log(self) -> None:
        ((busy, _, _),) = self.read("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise Unclean("the search index is being read; what was erased may stand in its log")

    def is_there(self) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def indexed_in(path: Path, table: str) -> int | None:
    """How many events the index in a file has read, or None if there is none to read."""
    if not path.is_file():
        return None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = db.execute(f"SELECT indexed FROM {table}").fetchall()  # noqa: S608 - a constant
        finally:
            db.close()
    except sqlite3.Error:
        return None
    return int(rows[0][0]) if rows else None

"""The SQLite file behind `history.py`: exchanges by principal and answers of reviewers, derived
from the ledger.

It can be deleted at any time: what is not there, damaged, of another ledger or of another format is
thrown away and built again from the segments. The cursor is in the same transaction as what was
read up to it, and names the leaf it stands behind, so a file that does not fit the ledger is known.

Used by one thread. Every method may raise `sqlite3.Error`; then the file is to be opened anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from sekisho_audit import exchanges
from sekisho_audit.durable import KEY_MODE, make_directory
from sekisho_audit.review_figures import Figures, all_figures, own_figures
from sekisho_audit.review_rows import SCHEMA, ReviewRows
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.tail import Cursor, Tail

FORMAT = 3
# Exchanges under way; each document is a kilobyte or two.
_CACHED = 2_048
_CHECKPOINT_PAGES = 4_000
_SCHEMA = """
CREATE TABLE cursor (format INTEGER, origin TEXT, indexed INTEGER, segment INTEGER, last INTEGER,
                     offset INTEGER, digest BLOB);
CREATE TABLE exchanges (first INTEGER PRIMARY KEY, principal TEXT NOT NULL, exchange TEXT NOT NULL,
                        document BLOB NOT NULL);
CREATE INDEX by_principal ON exchanges (principal, first);
CREATE INDEX by_exchange ON exchanges (exchange);
"""

Document = exchanges.Document


class HistoryFile:
    """One open file. `knows` tells whether a pseudonym still stands for somebody."""

    def __init__(self, path: Path, ledger: Path, origin: str, knows: Callable[[str], bool]) -> None:
        self._path = path
        self._origin = origin
        self._knows = knows
        self._cache: OrderedDict[tuple[str, str], tuple[int, Document]] = OrderedDict()
        make_directory(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, KEY_MODE))
        self._inode = path.stat().st_ino
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=16)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # The cursor goes back with the rows after a power cut: nothing needs its own sync.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA secure_delete=ON")
            # A checkpoint of the file syncs, and so is in the way of the ledger's own: seldom.
            self._db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._reviews = ReviewRows(self._db)
            cursor = self._resume(ledger)
            row = self._db.execute("SELECT max(exchange) FROM exchanges").fetchone()
            self._uncached = row[0] or ""
            self._reviews.load()
            self._tail = Tail(ledger, cursor)
        except BaseException:
            self._db.close()
            raise

    def _resume(self, ledger: Path) -> Cursor:
        tables = self._db.execute("SELECT name FROM sqlite_master WHERE name = 'cursor'").fetchall()
        if not tables:
            self._db.executescript(f"BEGIN; {_SCHEMA} {SCHEMA} COMMIT;")
        row = self._db.execute("SELECT * FROM cursor").fetchone()
        if row is None:
            cursor = Cursor()
            self._db.execute(
                "INSERT INTO cursor VALUES (?, ?, 0, 0, 0, 0, x'')", (FORMAT, self._origin)
            )
            return cursor
        made, origin, *rest = row
        cursor = Cursor(*rest)
        if (made, origin) != (FORMAT, self._origin) or not cursor.fits(ledger):
            raise sqlite3.DatabaseError("the index is not of this ledger, or of another format")
        ((oldest,),) = self._db.execute("SELECT min(first) FROM exchanges").fetchall()
        held = held_from(ledger, EVENTS)
        if any(one is not None and one < held for one in (oldest, self._reviews.oldest())):
            raise sqlite3.DatabaseError("the index tells of events that were pruned")
        return cursor

    @property
    def indexed(self) -> int:
        """How many events were read."""
        return self._tail.cursor.indexed

    def is_there(self) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    # -- writing

    def advance(self, size: int, count: int) -> bool:
        """Read at most `count` more leaves of a ledger of `size` events. False: none were left.

        After an error this object stands anywhere between file and ledger and is of no more use.
        """
        taken = self._tail.take(size, count)
        if not taken:
            return False
        touched: dict[tuple[str, str], None] = {}
        for read in taken:
            leaf = read.leaf
            owner = leaf["principal"]
            if self._reviews.is_test(leaf):
                continue  # nobody asked it, so it is in nobody's history
            # Of whom nobody knows any more who it was, nothing is kept here.
            if leaf["exchange"] is None or owner is None or not self._knows(owner):
                continue
            key = (leaf["exchange"], owner)
            exchanges.grow(self._document(key, leaf), leaf, read.digest.hex())
            touched[key] = None
        self._write([self._cache[key] for key in touched], [read.leaf for read in taken])
        while len(self._cache) > _CACHED:
            (exchange, _), _ = self._cache.popitem(last=False)
            self._uncached = max(self._uncached, exchange)
        return True

    def _document(self, key: tuple[str, str], leaf: Mapping[str, Any]) -> Document:
        known = self._cache.get(key)
        if known is None:
            # Ids grow with time, so a new exchange is known to be new without a look at the file.
            row = self._find(*key) if key[0] <= self._uncached else None
            known = (
                (leaf["n"], exchanges.begin(leaf))
                if row is None
                else (row[0], orjson.loads(row[1]))
            )
            self._cache[key] = known
        else:
            self._cache.move_to_end(key)
        return known[1]

    def _find(self, exchange: str, principal: str) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = self._db.execute(
            "SELECT first, document FROM exchanges WHERE exchange = ? AND principal = ?",
            (exchange, principal),
        ).fetchone()
        return found

    def _write(
        self, rows: Sequence[tuple[int, Document]], leaves: Sequence[Mapping[str, Any]]
    ) -> None:
        cursor = self._tail.cursor
        self._db.execute("BEGIN IMMEDIATE")
        for leaf in leaves:
            self._reviews.take(leaf)
        self._db.executemany(
            "INSERT INTO exchanges VALUES (?, ?, ?, ?)"
            " ON CONFLICT (first) DO UPDATE SET document = excluded.document",
            [(first, doc["principal"], doc["id"], orjson.dumps(doc)) for first, doc in rows],
        )
        self._db.execute(
            "UPDATE cursor SET indexed = ?, segment = ?, last = ?, offset = ?, digest = ?",
            (cursor.indexed, cursor.segment, cursor.last, cursor.offset, cursor.digest),
        )
        self._db.execute("COMMIT")

    def forget(self, pseudonym: str) -> int:
        """Delete every row of a principal, also from the pages of the file; returns how many.

        In rows of others the pseudonym stays, and stands for nobody.
        """
        for key in [key for key in self._cache if key[1] == pseudonym]:
            del self._cache[key]
        gone = self._db.execute("DELETE FROM exchanges WHERE principal = ?", (pseudonym,)).rowcount
        # Pages that were split keep copies which `secure_delete` does not reach.
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    # -- reading

    def page(self, principal: str, before: int | None, limit: int) -> list[tuple[int, Document]]:
        """The documents of a principal with their places, newest first."""
        rows = self._db.execute(
            "SELECT first, document FROM exchanges WHERE principal = ? AND first < ?"
            " ORDER BY first DESC LIMIT ?",
            (principal, 2**62 if before is None else before, limit),
        )
        return [(first, orjson.loads(document)) for first, document in rows]

    def one(self, principal: str, exchange: str) -> Document | None:
        """One document of a principal, or None."""
        row = self._find(exchange, principal)
        return None if row is None else orjson.loads(row[1])

    def appealed(self, exchange: str) -> Document | None:
        """The document of an exchange with appeals, whoever's it is, or None."""
        rows = self._db.execute("SELECT document FROM exchanges WHERE exchange = ?", (exchange,))
        documents = (orjson.loads(row[0]) for row in rows)
        return next((document for document in documents if document["appeals"]), None)

    def figures(self, since_us: int, people_min: int) -> Figures:
        """How everybody reviews; see `review_figures.all_figures`."""
        return all_figures(self._db, since_us, people_min)

    def own_figures(self, since_us: int, reviewer: str | None) -> Figures:
        """How one pseudonym does; see `review_figures.own_figures`."""
        return own_figures(self._db, since_us, reviewer)

    def close(self) -> None:
        """Let go of file and segment."""
        self._tail.close()
        self._db.close()


def remove(path: Path) -> None:
    """Delete the file with what SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)

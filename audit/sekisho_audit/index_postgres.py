"""The search index in PostgreSQL 15 or newer: the same tables and statements as in SQLite.

    rows = PostgresDatabase("postgresql+asyncpg://sekisho@host/index").open(origin, key_check)

All stands in the schema `sekisho_search`. One session keeps it: it holds an advisory lock, so that
a second auditd is refused, and everything it writes ends with it when the connection is lost. The
rows and the cursor are of one transaction; whether a commit whose answer was lost took effect is
read from the cursor by whoever opens the index next.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sekisho_audit.errors import Away
from sekisho_audit.index_file import (
    FORMAT,
    SCHEMA,
    Damaged,
    Database,
    SqliteDatabase,
    Unclean,
    Unfit,
)

URL_VARIABLE = "SEKISHO_AUDIT__INDEX_URL"
_PLACE = "sekisho_search"
_LOCK = int.from_bytes(b"sekisho", "big")
_CONNECT_S = 5.0
_REPLY_S = 30.0
# Writing a large index anew takes minutes; a reader of its tables may keep it waiting so long.
_SCRUB_S = 3_600.0
_LOCK_WAIT_MS = 5_000
_SETTINGS = {
    "application_name": "sekisho-auditd",
    "search_path": _PLACE,
    "lock_timeout": str(_LOCK_WAIT_MS),
    # The cursor goes back with the rows after a power cut: nothing needs to wait for the disk.
    "synchronous_commit": "off",
    # There are no statistics of what could name a person, and an index for each question.
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # A session whose machine is gone must not hold the lock for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
# PostgreSQL samples columns into its own catalog, where nobody would forget them.
_UNSAMPLED = (
    *(("words", "field"), ("words", "word"), ("trails", "exchange"), ("trails", "owner")),
    *(("postings", "token"), ("postings", "trails"), ("marks", "trails")),
    *(("events", "words"), ("texts", "sequence")),
    *(("shelves", "owner"), ("shelves", "shelf")),
)
# A column of each table that is written anew, whichever: it makes all rows move to a new file.
_MOVED = (
    *(("words", "id"), ("marks", "block"), ("postings", "block")),
    *(("trails", "first"), ("events", "ts"), ("texts", "n")),
    ("shelves", "id"),
)


class PostgresDatabase:
    """A place for a search index. The URL may hold a password and is never printed."""

    name = "search.postgresql"

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+asyncpg://", "postgresql://", 1)

    def _session(self) -> _Session:
        return _Session(self._url)

    def open(self, origin: str, key_check: bytes) -> PostgresRows:
        """The index there, or a beginning. Raises Away, Unfit, Damaged."""
        session = self._session()
        try:
            return PostgresRows(session, origin, key_check)
        except BaseException:
            session.close()
            raise

    def remove(self) -> None:
        """Delete the index with all its tables. Raises Away."""
        session = self._session()
        try:
            session.run("DROP SCHEMA IF EXISTS sekisho_search CASCADE")
        finally:
            session.close()

    def indexed(self) -> int | None:
        """How many events were read, or None if there is no index. Raises Away."""
        session = self._session()
        try:
            there = session.fetch(f"SELECT to_regclass('{_PLACE}.progress')")[0][0]
            rows = session.fetch("SELECT indexed FROM progress") if there else []
            return int(rows[0][0]) if rows else None
        finally:
            session.close()


def database_of(path: Path, environ: Mapping[str, str]) -> Database:
    """Where the search index stands: at the URL in `environ`, which no list of processes shows, or
    in the file.
    """
    url = environ.get(URL_VARIABLE, "")
    return PostgresDatabase(url) if url else SqliteDatabase(path)


class PostgresRows:
    """`Rows` (index_file) in a session of its own."""

    def __init__(self, session: _Session, origin: str, key_check: bytes) -> None:
        self._session = session
        if session.fetch("SHOW server_encoding")[0][0] != "UTF8":
            raise Away("the database of the search index must have the encoding UTF8")
        if not session.fetch("SELECT pg_try_advisory_lock($1)", _LOCK)[0][0]:
            raise Away("another auditd keeps its search index in this database")
        if self._table() is None:
            with self.transaction():
                self._make(origin, key_check)
        self._made = self._table()
        ((form, check, whose),) = self.read("SELECT format, key_check, origin FROM progress")
        if whose != origin:
            raise Away(
                "the database holds the search index of another ledger; give this one a database "
                "of its own, or drop the schema sekisho_search"
            )
        if (form, check) != (FORMAT, key_check):
            raise Unfit("the search index is of another key or format")

    def _make(self, origin: str, key_check: bytes) -> None:
        self._session.run(f"CREATE SCHEMA IF NOT EXISTS {_PLACE}")
        self._session.run(_translated(SCHEMA))
        for table, column in _UNSAMPLED:
            self._session.run(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
        first = (FORMAT, key_check, origin, 0, 0, 1, 0, b"")
        self.write("INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [first])

    def _table(self) -> int | None:
        """What PostgreSQL calls the table now; a table that was made anew has another name."""
        found = self._session.fetch(f"SELECT to_regclass('{_PLACE}.progress')::oid")[0][0]
        return None if found is None else int(found)

    def read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of a SELECT."""
        return self._session.fetch(_numbered(sql), *values)

    def write(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        self._session.write(_numbered(sql), [tuple(row) for row in rows])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the only writer is the session with the lock."""
        self._session.run("BEGIN")
        try:
            yield
            self._session.run("COMMIT")
        except BaseException:
            self._session.roll_back()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads see one state."""
        self._session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            self._session.roll_back()

    def scrub(self) -> None:
        """Return when what was deleted is in no file of the tables any more. Raises Unclean.

        `VACUUM FULL` would carry deleted rows over as long as any transaction of the database
        might see them. A table whose column is made anew gets only what is there now.
        """
        try:
            with self.transaction():
                self._session.run("SET LOCAL synchronous_commit = on")
                for table, column in _MOVED:
                    self._session.run(
                        f"ALTER TABLE {table} ALTER COLUMN {column} TYPE BIGINT USING {column} + 0",
                        _SCRUB_S,
                    )
        except _Locked as error:
            raise Unclean(
                "the search index is being read; what was erased may stand in its tables"
            ) from error

    def is_there(self) -> bool:
        """Whether nobody dropped it. Raises Away."""
        return self._table() == self._made

    def close(self) -> None:
        """Let go of the session and the lock."""
        self._session.close()


class _Locked(Away):
    """Somebody else uses a table."""


class _Session:
    """A connection and the loop that drives it, for one thread. Raises Away, Damaged."""

    def __init__(self, url: str) -> None:
        self._driver = _driver()
        self._db: Any = None
        self._runner = asyncio.Runner()
        try:
            self._db = self._awaited(self._connected(url))
        except BaseException:
            self._runner.close()
            raise

    async def _connected(self, url: str) -> Any:
        async with asyncio.timeout(_CONNECT_S):
            db = await self._driver.connect(
                url,
                command_timeout=_REPLY_S,
                max_cached_statement_lifetime=0,
                server_settings=_SETTINGS,
            )
            await db.set_type_codec(
                "text", schema="pg_catalog", encoder=_escaped, decoder=_plain, format="text"
            )
            return db

    def fetch(self, sql: str, *values: object) -> list[Any]:
        """All rows of a statement with `$1`."""
        rows: list[Any] = self._awaited(self._db.fetch(sql, *values))
        return rows

    def run(self, sql: str, timeout_s: float = _REPLY_S) -> None:
        """Statements without values."""
        self._awaited(self._db.execute(sql, timeout=timeout_s))

    def write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        """A statement for each row."""
        if rows:
            self._awaited(self._db.executemany(sql, rows))

    def roll_back(self) -> None:
        """End a transaction without effect; without a connection the server does it."""
        with suppress(Away, Damaged):
            self.run("ROLLBACK")

    def close(self) -> None:
        """Say goodbye, or hang up."""
        with suppress(Away, Damaged):
            self._awaited(self._db.close(timeout=_CONNECT_S))
        self._runner.close()

    def _awaited(self, reply: Coroutine[Any, Any, Any]) -> Any:
        errors: Any = self._driver.exceptions
        try:
            return self._runner.run(reply)
        except errors.LockNotAvailableError as error:
            raise _Locked(str(error)) from error
        except errors.InsufficientPrivilegeError as error:
            raise Away(f"the database of the search index refuses: {error}") from error
        except (errors.PostgresError, errors.InterfaceError, OSError, EOFError) as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> Away | Damaged:
        """What is wrong with the tables is damage; all else may be over in a while."""
        errors: Any = self._driver.exceptions
        damage = (
            errors.IntegrityConstraintViolationError,
            errors.SyntaxOrAccessError,
            errors.DataError,
            errors.DataCorruptedError,
            errors.IndexCorruptedError,
            ValueError,
        )
        if isinstance(error, damage) and self._db is not None:
            return Damaged(repr(error))
        return Away(f"the database of the search index cannot be used: {error!r}")


def _driver() -> ModuleType:
    try:
        return import_module("asyncpg")
    except ImportError as error:
        raise Away(
            "an index in PostgreSQL needs asyncpg: pip install 'sekisho-audit[postgres]'"
        ) from error


@lru_cache(maxsize=256)
def _numbered(sql: str) -> str:
    """PostgreSQL numbers its values: $1 for the first `?`."""
    first, *rest = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def _translated(schema: str) -> str:
    """The types of PostgreSQL; texts are compared byte by byte, whatever the system's locale."""
    types = {"INTEGER": "BIGINT", "BLOB": "BYTEA", "TEXT": 'TEXT COLLATE "C"'}
    schema = re.sub(r"\b(INTEGER|BLOB|TEXT)\b", lambda found: types[found[1]], schema)
    return schema.replace(" WITHOUT ROWID", "")


# PostgreSQL takes no zero in a text, and the name of a model may be any text.
def _escaped(text: str) -> str:
    return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")


def _plain(stored: str) -> str:
    return stored.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")

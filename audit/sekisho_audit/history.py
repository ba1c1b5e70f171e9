"""Everybody's own history: a thread that reads the ledger after it is durable, and answers.

It is derived and may be late; each answer says how far it came. It never takes part in an append:
it follows the segments on the disk, in small steps, and while the ledger is busy it rests much
longer than it works. Whatever goes wrong with its file, the file is thrown away and built
again; nobody's evidence depends on it.

    history.submit(Question(lambda archive: archive.page("staff-7", None, 20), answered, failed))
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sekisho_audit.appeals import open_reasons
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.exchanges import named
from sekisho_audit.history_file import Document, HistoryFile, remove
from sekisho_audit.scan import BrokenSegment

STEP_EVENTS = 32  # half a millisecond in which nobody else of this process gets on
# A ledger that grows by so many events a second is busy: then at most one part in so many is ours.
_BUSY_EVENTS_S = 400.0
_REST = 25.0
_REST_MAX_S = 0.25
_MEASURED_S = 0.05
# Before an answer it catches up a little: on a quiet ledger nobody misses their own last word.
_CATCH_UP_STEPS = 8
_POLL_S = 0.1  # how late it is, at least, about what has just become durable
_RETRY_S = 5.0
# The ledger stops taking new work at 256 MiB: its index must not be what brought it there.
DISK_FREE_MIN_BYTES = 512 * 1024 * 1024
QUESTIONS_MAX = 256
PAGE_MAX = 100


class Source(Protocol):
    """What a ledger tells of itself, from any thread."""

    directory: Path
    origin: str

    @property
    def size(self) -> int: ...

    def pseudonym_of(self, principal: str) -> str | None: ...

    def principal_of(self, pseudonym: str) -> str | None: ...

    def secret_of(self, pseudonym: str, month: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Exchanges of one principal, newest first, and the cursor of the next page ("" at the end)."""

    data: list[Document]
    after: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask the archive; exactly one of the two is called, in the history's thread."""

    ask: Callable[[Archive], Any]
    answered: Callable[[Any], None]
    failed: Callable[[LedgerError], None]


class Archive:
    """The file with the names put in: what a question may ask."""

    def __init__(self, file: HistoryFile, source: Source) -> None:
        self._file = file
        self._source = source

    @property
    def indexed(self) -> int:
        """How many events of the ledger were read."""
        return self._file.indexed

    @property
    def size(self) -> int:
        """How many there are."""
        return self._source.size

    def page(self, principal: str, before: int | None, limit: int) -> Page:
        """A principal's own exchanges. A cursor is a place in the ledger: what comes meanwhile
        comes before the first page, so nothing is skipped and nothing told twice.
        """
        pseudonym = self._source.pseudonym_of(principal)
        limit = min(limit, PAGE_MAX)
        rows = [] if pseudonym is None else self._file.page(pseudonym, before, limit + 1)
        after = str(rows[limit - 1][0]) if len(rows) > limit else ""
        return Page([self._named(document) for _, document in rows[:limit]], after)

    def one(self, principal: str, exchange: str) -> Document | None:
        """One of a principal's own exchanges, or None."""
        pseudonym = self._source.pseudonym_of(principal)
        found = None if pseudonym is None else self._file.one(pseudonym, exchange)
        return None if found is None else self._named(found)

    def appealed(self, exchange: str) -> Document | None:
        """An exchange that somebody objected to, whoever asked it, or None."""
        found = self._file.appealed(exchange)
        return None if found is None else self._named(found)

    def reasons(self, exchange: str, read: int) -> list[dict[str, Any]]:
        """The reasons of its appeals, for a reading that is on record. Raises Refused."""
        found = self._file.appealed(exchange)
        if found is None:
            return []
        source = self._source
        now_us = time.time_ns() // 1000
        return open_reasons(source.directory, found, read, source.secret_of, now_us)

    def forget(self, pseudonym: str) -> int:
        """Delete what is kept of a principal whose keys were destroyed before; returns how much."""
        return self._file.forget(pseudonym)

    def _named(self, document: Document) -> Document:
        return named(document, self._source.origin, self._source.principal_of)


class History(threading.Thread):
    """Owns the file from `start` to the end of the thread."""

    def __init__(self, path: Path, source: Source) -> None:
        super().__init__(name="ledger-history", daemon=True)
        self._path = path
        self._source = source
        self._wake = threading.Condition()
        self._questions: deque[Question] = deque()
        self._stopping = False
        self._retry_at_s = 0.0
        self._read_at_s = 0.0
        self._file: HistoryFile | None = None
        self._seen = (time.monotonic(), source.size)
        self._busy = False

    # -- from any thread

    def submit(self, question: Question) -> None:
        """Queue a question. Raises Refused `busy` when there are too many, or it has ended."""
        with self._wake:
            if self._stopping or len(self._questions) >= QUESTIONS_MAX:
                raise Refused("busy", "too many ask for their history; try again in a second")
            self._questions.append(question)
            self._wake.notify()

    def stop(self) -> None:
        """End the thread; `join` waits for it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # -- the thread

    def run(self) -> None:
        """Follow the ledger and answer until told to stop."""
        rest_s = 0.0
        while True:
            questions, stopping = self._wait(rest_s)
            if stopping:
                break
            rest_s = self._step(self._ready())
            if questions:
                self._catch_up()
            for question in questions:
                self._answer(question, self._ready())
        self._drop_file()
        for question in self._questions:
            question.failed(Refused("busy", "auditd is stopping; try again in a second"))

    def _wait(self, rest_s: float) -> tuple[list[Question], bool]:
        with self._wake:
            if rest_s > 0 and not self._questions and not self._stopping:
                self._wake.wait(rest_s)
            if self._stopping:
                return [], True
            questions = list(self._questions)
            self._questions.clear()
            return questions, False

    def _ready(self) -> HistoryFile | None:
        """The open file; opened, or built anew, when it is time to."""
        if self._file is not None and not self._file.is_there():
            self._lose("somebody removed it")
            self._retry_at_s = 0.0
        if self._file is None and time.monotonic() >= self._retry_at_s:
            try:
                self._file = self._open()
            except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
                self._lose(repr(error))
                remove(self._path)
        return self._file

    def _open(self) -> HistoryFile:
        source = self._source

        def knows(pseudonym: str) -> bool:
            return source.principal_of(pseudonym) is not None

        return HistoryFile(self._path, source.directory, source.origin, knows)

    def _answer(self, question: Question, file: HistoryFile | None) -> None:
        if file is None:
            question.failed(Refused("busy", "the index of exchanges is being built; try again"))
            return
        try:
            found = question.ask(Archive(file, self._source))
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            self._damaged(error)
            question.failed(Refused("busy", "the index of exchanges is being built; try again"))
            return
        question.answered(found)

    def _catch_up(self) -> None:
        for _ in range(_CATCH_UP_STEPS):
            file = self._file
            if file is None or file.indexed >= self._source.size:
                return
            self._step(file)

    def _step(self, file: HistoryFile | None) -> float:
        """Read a little further; returns how long to rest."""
        size, began_s = self._source.size, time.monotonic()
        if file is None or began_s < self._read_at_s:
            return _POLL_S
        try:
            if _free_bytes(self._path) < DISK_FREE_MIN_BYTES:
                return _RETRY_S
            more = file.advance(size, STEP_EVENTS)
        except (BrokenSegment, OSError) as error:
            # Not the index but the ledger: what was read of it before can still be told.
            self._lose(str(error))
            self._retry_at_s, self._read_at_s = 0.0, time.monotonic() + _RETRY_S
            return _POLL_S
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            self._damaged(error)
            return _POLL_S
        if not more:
            return _POLL_S
        took_s = time.monotonic() - began_s
        return min(_REST * took_s, _REST_MAX_S) if self._is_busy(size, began_s) else 0.0

    def _is_busy(self, size: int, now_s: float) -> bool:
        seen_s, seen = self._seen
        if now_s - seen_s >= _MEASURED_S:
            self._busy = (size - seen) / (now_s - seen_s) > _BUSY_EVENTS_S
            self._seen = (now_s, size)
        return self._busy

    def _damaged(self, error: Exception) -> None:
        self._lose(repr(error))
        remove(self._path)

    def _lose(self, why: str) -> None:
        sys.stderr.write(f"auditd: the index of exchanges is opened anew: {why}\n")
        self._drop_file()
        self._retry_at_s = time.monotonic() + _RETRY_S

    def _drop_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except sqlite3.Error as error:
                sys.stderr.write(f"auditd: the index of exchanges did not close: {error!r}\n")


def _free_bytes(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize

"""A thread that follows the ledger, keeps something derived from it, and answers questions.

What is derived may be late; it never takes part in an append. It is fed from the segments on the
disk, in small steps, and while the ledger is busy it rests much longer than it works. Whatever goes
wrong with it, it is thrown away and built again; nobody's evidence depends on it. When it is a
database that cannot be reached, it stays, and is opened again in a while.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from sekisho_audit.errors import Away, LedgerError, Refused
from sekisho_audit.scan import BrokenSegment

# A ledger that grows by so many events a second is busy: then at most one part in so many is ours,
# and less where it grows faster, of which we can read little anyway.
_BUSY_EVENTS_S = 400.0
_REST = 25.0
_REST_MAX_S = 0.25
_MEASURED_S = 0.05
# Before an answer it catches up a little: on a quiet ledger nobody misses their own last word.
_CATCH_UP_STEPS = 8
_POLL_S = 0.1  # how late it is, at least, about what has just become durable
_RETRY_S = 5.0
# The ledger stops taking new work at 256 MiB: what is derived must not be what brought it there.
DISK_FREE_MIN_BYTES = 512 * 1024 * 1024
QUESTIONS_MAX = 256


class Source(Protocol):
    """What a ledger tells of itself, from any thread."""

    directory: Path
    origin: str

    @property
    def size(self) -> int: ...

    def pseudonym_of(self, principal: str) -> str | None: ...

    def principal_of(self, pseudonym: str) -> str | None: ...

    def secret_of(self, pseudonym: str, shelf: str) -> bytes | None: ...


class Derived(Protocol):
    """What is kept. After an error of `advance` it is of no more use and is opened anew."""

    @property
    def indexed(self) -> int:
        """How many events were read."""

    def is_there(self) -> bool:
        """Whether nobody took it away."""

    def advance(self, size: int, count: int) -> bool:
        """Read at most `count` more leaves of a ledger of `size` events; False: none were left."""

    def close(self) -> None:
        """Let go of it."""


D = TypeVar("D", bound=Derived)
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Question(Generic[A]):
    """Something to ask; exactly one of the other two is called, in the thread that follows.

    `ask` may raise Refused.
    """

    ask: Callable[[A], Any]
    answered: Callable[[Any], None]
    failed: Callable[[LedgerError], None]


class Following(threading.Thread, Generic[D, A]):
    """Owns what is derived, from `start` to the end of the thread.

    Whoever keeps something says how it is opened, asked and removed.
    """

    about: str  # what is kept, for operators
    step_events: int
    # What means that it is to be removed and built again.
    damage: tuple[type[Exception], ...] = (sqlite3.Error, ValueError, KeyError, TypeError)

    def __init__(self, name: str, path: Path, source: Source) -> None:
        super().__init__(name=name, daemon=True)
        self._path = path
        self._source = source
        self._wake = threading.Condition()
        self._questions: deque[Question[A]] = deque()
        self._stopping = False
        self._retry_at_s = 0.0
        self._read_at_s = 0.0
        self._derived: D | None = None
        self._why = ""  # it is not open; told once
        self._seen = (time.monotonic(), source.size)
        self._busy = 0.0

    @abstractmethod
    def _open(self) -> D:
        """What is there already, or a beginning."""

    @abstractmethod
    def _asked(self, derived: D) -> A:
        """What a question may ask."""

    @abstractmethod
    def _remove(self) -> None:
        """Delete it."""

    # -- from any thread

    def submit(self, question: Question[A]) -> None:
        """Queue a question. Raises Refused `busy` when there are too many, or it has ended."""
        with self._wake:
            if self._stopping or len(self._questions) >= QUESTIONS_MAX:
                raise Refused("busy", f"too many ask {self.about}; try again in a second")
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
        self._drop()
        for question in self._questions:
            question.failed(Refused("busy", "auditd is stopping; try again in a second"))

    def _wait(self, rest_s: float) -> tuple[list[Question[A]], bool]:
        with self._wake:
            if rest_s > 0 and not self._questions and not self._stopping:
                self._wake.wait(rest_s)
            if self._stopping:
                return [], True
            questions = list(self._questions)
            self._questions.clear()
            return questions, False

    def _ready(self) -> D | None:
        """What is kept; opened, or begun anew, when it is time to."""
        try:
            if self._derived is not None and not self._derived.is_there():
                self._lose("somebody removed it")
                self._retry_at_s = 0.0
        except Away as error:
            self._lose(str(error))
        if self._derived is None and time.monotonic() >= self._retry_at_s:
            unfit: tuple[type[Exception], ...] = (*self.damage, OSError)
            try:
                self._derived = self._open()
                self._why = ""
            except Away as error:
                self._lose(str(error))
            except unfit as error:
                self._lose(repr(error))
                self._remove()
        return self._derived

    def _answer(self, question: Question[A], derived: D | None) -> None:
        building = Refused("busy", f"{self.about} is being built or not in reach; try again")
        if derived is None:
            question.failed(building)
            return
        try:
            found = question.ask(self._asked(derived))
        except Refused as error:
            question.failed(error)
            return
        except Away as error:
            self._lose(str(error))
            question.failed(building)
            return
        except self.damage as error:
            self._damaged(error)
            question.failed(building)
            return
        question.answered(found)

    def _catch_up(self) -> None:
        for _ in range(_CATCH_UP_STEPS):
            derived = self._derived
            if derived is None or derived.indexed >= self._source.size:
                return
            self._step(derived)

    def _step(self, derived: D | None) -> float:
        """Read a little further; returns how long to rest."""
        size, began_s = self._source.size, time.monotonic()
        if derived is None or began_s < self._read_at_s:
            return _POLL_S
        try:
            if _free_bytes(self._path) < DISK_FREE_MIN_BYTES:
                return _RETRY_S
            more = derived.advance(size, self.step_events)
        except (BrokenSegment, OSError) as error:
            # Not ours but the ledger's: what was read of it before can still be told.
            self._lose(str(error))
            self._retry_at_s, self._read_at_s = 0.0, time.monotonic() + _RETRY_S
            return _POLL_S
        except Away as error:
            self._lose(str(error))
            return _POLL_S
        except self.damage as error:
            self._damaged(error)
            return _POLL_S
        if not more:
            return _POLL_S
        took_s = time.monotonic() - began_s
        busy = self._busy_times(size, began_s)
        return min(_REST * busy * took_s, _REST_MAX_S) if busy > 1 else 0.0

    def _busy_times(self, size: int, now_s: float) -> float:
        """How many times as fast as one that is busy the ledger grows."""
        seen_s, seen = self._seen
        if now_s - seen_s >= _MEASURED_S:
            self._busy = (size - seen) / (now_s - seen_s) / _BUSY_EVENTS_S
            self._seen = (now_s, size)
        return self._busy

    def _damaged(self, error: Exception) -> None:
        self._lose(repr(error))
        self._remove()

    def _lose(self, why: str) -> None:
        if why != self._why:
            sys.stderr.write(f"auditd: {self.about} is opened anew: {why}\n")
            self._why = why
        self._drop()
        self._retry_at_s = time.monotonic() + _RETRY_S

    def _drop(self) -> None:
        derived, self._derived = self._derived, None
        if derived is not None:
            try:
                derived.close()
            except self.damage as error:
                sys.stderr.write(f"auditd: {self.about} did not close: {error!r}\n")


def _free_bytes(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize

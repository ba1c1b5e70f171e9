"""The one thread that writes: takes what is queued, writes it as one batch, hands back the answers.

What arrives while a batch is on its way to the disk makes the next one, so a slow disk means larger
batches, not more waiting for each (`pace.py`). The queue is bounded by events, bytes and calls of
each asker, and no append waits for more than some calls of a round. The first error ends the thread
for good: waiters are told, nothing is tried again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sekisho_audit.errors import LedgerError, Poisoned, Refused
from sekisho_audit.events import Appended
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.pace import Pace
from sekisho_audit.turns import kept

# Below this mark nothing new is let in, so that what is under way can still be recorded.
_NEW_WORK = frozenset({"request.received", "hold.filed", "hold.seeded", "backend.intent"})
_HOUSEKEEPING_S = 600.0

AppendAnswer = list[Appended] | LedgerError
Answered = Callable[[AppendAnswer], None]


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of the queue and of the disk."""

    queue_events_max: int = 8_192  # a second of work for a fast disk; more would only be late
    queue_bytes_max: int = 128 * 1024 * 1024
    calls_each_max: int = 4_096  # as much as a worker has in flight in all: no worker meets it
    calls_round_max: int = 64  # while appends wait; some milliseconds for most calls
    checkpoint_s: float = 1.0
    disk_free_min_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Append:
    """A request with what to do with its answer (called in the writer's thread)."""

    request: Request
    size: int
    answered: Answered


@dataclass(frozen=True, slots=True)
class Call:
    """Something else that needs the ledger. `ordered`: not before what was queued earlier, and
    nothing queued later before it; otherwise it runs after the appends of its round, or of a later
    one. `asker`: whoever may have only so many waiting; nobody's calls are not counted.
    """

    run: Callable[[Ledger], None]
    failed: Callable[[LedgerError], None]
    ordered: bool = False
    asker: object = None


Job = Append | Call


class Writer(threading.Thread):
    """Owns the ledger from `start` to the end of the thread, and closes it."""

    def __init__(
        self,
        ledger: Ledger,
        limits: WriterLimits,
        *,
        round_over: Callable[[], None],
        ended: Callable[[str | None], None],
    ) -> None:
        super().__init__(name="ledger-writer")
        self._ledger = ledger
        self._limits = limits
        self._round_over = round_over
        self._ended = ended
        self._wake = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._unanswered: dict[int, Job] = {}  # of this round, by identity, in order
        self._calls: Counter[object] = Counter()  # that wait, of each asker
        self._pace = Pace()
        self._stopping = False
        self._over: str | None = None
        self.queued_events = 0
        self.queued_bytes = 0
        self.disk_free_bytes = _free(ledger)

    # -- called by the event loop

    def together(self) -> AbstractContextManager[object]:
        """What is submitted within comes into one round, if there is room in it."""
        return self._wake

    def submit(self, job: Job) -> None:
        """Queue a job. Raises Refused `busy` when too much waits, Poisoned when it is over."""
        with self._wake:
            if self._over is not None:
                raise Poisoned(self._over)
            if isinstance(job, Append):
                self._admit(job)
            elif job.asker is not None:
                self._count(job.asker)
            self._jobs.append(job)
            self._wake.notify()

    def _admit(self, job: Append) -> None:
        events, limits = len(job.request.events), self._limits
        full = (
            self.queued_events + events > limits.queue_events_max
            or self.queued_bytes + job.size > limits.queue_bytes_max
        )
        if full:
            raise Refused("busy", "the ledger's queue is full; try again in a second")
        if self.disk_free_bytes < limits.disk_free_min_bytes and any(
            event.type in _NEW_WORK for event in job.request.events
        ):
            raise Refused("disk_full", "the ledger's disk is nearly full; free some space")
        self.queued_events += events
        self.queued_bytes += job.size

    def _count(self, asker: object) -> None:
        most = self._limits.calls_each_max
        if self._calls[asker] >= most:
            why = f"{most} calls of this connection wait; ask again when some were answered"
            raise Refused("busy", why)
        self._calls[asker] += 1

    def stop(self) -> None:
        """Write what is queued, close the ledger, end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # -- the thread

    def run(self) -> None:
        """Write until told to stop or until something fails."""
        why: str | None = None
        try:
            self._work()
            self._ledger.close()
        except Poisoned as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - a writer in an unknown state must never go on
            why = f"the writer failed in a way it should not: {error!r}"
        try:
            self._turn_away(why or "auditd has stopped")
        finally:
            self._ended(why)

    def _work(self) -> None:
        next_sign = time.monotonic() + self._limits.checkpoint_s
        next_house = time.monotonic() + _HOUSEKEEPING_S
        while True:
            jobs, stopping = self._take(next_sign - time.monotonic())
            if jobs:
                self._round(jobs)
            elif stopping:
                return
            now = time.monotonic()
            if now >= next_sign:
                self._ledger.write_checkpoint()
                self.disk_free_bytes = _free(self._ledger)
                next_sign = now + self._limits.checkpoint_s
            if now >= next_house:
                self._ledger.forget_old_holds()
                next_house = now + _HOUSEKEEPING_S

    def _take(self, wait_s: float) -> tuple[deque[Job], bool]:
        with self._wake:
            if not self._jobs and not self._stopping:
                self._wake.wait(max(wait_s, 0.0))
            if self._pace.takes_all(self.queued_events):
                jobs, self._jobs = self._jobs, deque()
                return jobs, self._stopping
            jobs, events = deque(), 0
            while events < self._pace.events:
                job = self._jobs.popleft()
                jobs.append(job)
                events += len(job.request.events) if isinstance(job, Append) else 0
            return jobs, self._stopping

    def _round(self, jobs: deque[Job]) -> None:
        appends: list[Append] = []
        later: list[Call] = []
        self._unanswered = {id(job): job for job in jobs}
        for job in jobs:
            if isinstance(job, Append):
                appends.append(job)
            elif job.ordered:
                self._append(appends)
                appends = []
                self._call(job)
            else:
                later.append(job)
        self._append(appends)
        for place, call in enumerate(later):
            # Appends are what everybody waits for; whoever asks without pause must not hold them.
            if place >= self._limits.calls_round_max and self.queued_events:
                self._leave(later[place:])
                break
            self._call(call)
        self._round_over()

    def _call(self, call: Call) -> None:
        call.run(self._ledger)
        del self._unanswered[id(call)]
        if call.asker is not None:
            with self._wake:
                self._calls[call.asker] -= 1
                if not self._calls[call.asker]:
                    del self._calls[call.asker]

    def _leave(self, calls: Sequence[Call]) -> None:
        """Let the next round begin with these: they keep their turn among calls."""
        with self._wake:
            self._jobs.extendleft(reversed(calls))
        for call in calls:
            del self._unanswered[id(call)]

    def _append(self, appends: list[Append]) -> None:
        if not appends:
            return
        began_s = time.monotonic()
        with kept():
            results = self._ledger.append_many([job.request for job in appends])
            self._tell(appends, results)
        events = sum(len(job.request.events) for job in appends)
        self._pace.learn(events, time.monotonic() - began_s, self._ledger.files.waited_s)

    def _tell(self, appends: Sequence[Append], results: Sequence[AppendAnswer]) -> None:
        with self._wake:
            self.queued_events -= sum(len(job.request.events) for job in appends)
            self.queued_bytes -= sum(job.size for job in appends)
        for job, result in zip(appends, results, strict=True):
            job.answered(result)
            del self._unanswered[id(job)]

    def _turn_away(self, why: str) -> None:
        """Tell everyone who waits, and nobody who has an answer."""
        with self._wake:
            self._over = why
            jobs = [*self._unanswered.values(), *self._jobs]
            self._jobs.clear()
        for job in jobs:
            if isinstance(job, Append):
                job.answered(Poisoned(why))
            else:
                job.failed(Poisoned(why))
        self._round_over()


def _free(ledger: Ledger) -> int:
    disk = os.statvfs(ledger.directory)
    return disk.f_bavail * disk.f_frsize

"""OPA in this process: the `PolicyEngine` of a single machine.

Every engine has a thread of its own, which evaluates outside Python's lock; the event loop only
waits, at most until the deadline. A second engine is built when two questions meet.

An evaluation cannot be cancelled, so an engine that misses its deadline while it had a processor is
late: it is never freed while it runs, another takes its place, and it closes itself when it
finishes. With the third late engine the rules, not the machine, are at fault: the revision is
suspect, nothing is decided any more, and `on_exhausted` tells the worker to end.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opa_bindings import OpaEngine, OpaError, OpaUndefinedError

from sekisho.adapters.bundle import Bundle, build, must_be, read_bundle
from sekisho.adapters.policy_answer import QUERY, failed, no_result, read_result
from sekisho.adapters.policy_smoke import SMOKE_INPUTS, smoke_fault
from sekisho.adapters.rego_rules import FOLD_PATH
from sekisho.content.scan import Scanner
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.assistant import NO_ASSISTANTS, Assistants
from sekisho.model.decision import Decision
from sekisho.model.prices import UsageRules

ENGINES = 2  # one evaluates while another is waited for; each holds the data once (about 30 MB)
DEADLINE_MS = 250  # a decision takes about 1 ms; beyond this the rules are at fault
LATE_MAX = 2  # late engines a worker tolerates: each may burn a core and grow without bound
STARVED_S_MAX = 5.0  # an engine that got no processor for so long is given up all the same
OPEN_S_MAX = 10.0  # compiling 10,000 principals takes about 0.2 s of a core
ENGINE_NAME = "opa-embedded"
_ENGINE_CODES = frozenset({"closed", "internal", "invalid_handle"})

_log = logging.getLogger(__name__)


class _State(enum.Enum):
    QUEUED = enum.auto()
    RUNNING = enum.auto()
    LATE = enum.auto()
    OVER = enum.auto()


class _Job:
    """One question on its way. `state` and `runner` change only under the crew's lock."""

    __slots__ = ("began_cpu_s", "began_s", "document", "future", "runner", "state", "timer")

    def __init__(self, document: Mapping[str, Any], future: asyncio.Future[Any]) -> None:
        self.document = document
        self.future = future
        self.state = _State.QUEUED
        self.runner: _Runner | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.began_s = 0.0
        self.began_cpu_s = 0.0


class EmbeddedOPA:
    """See the module's docstring. Built anywhere, then used in the event loop that calls `start`.

    `scanner` has the words of the active bundle; it is the same object for good.
    """

    def __init__(
        self, directory: Path, *, engines: int = ENGINES, deadline_ms: int = DEADLINE_MS
    ) -> None:
        self._directory = directory
        self._engines = engines
        self._deadline_s = deadline_ms / 1000
        self._on_exhausted: Callable[[], None] = _do_nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crew: _Crew | None = None
        self._late = 0
        self._suspect = False
        self._closed = False
        self.scanner = Scanner()

    async def start(
        self,
        on_exhausted: Callable[[], None] | None = None,
        directory: Path | None = None,
        revision: str | None = None,
    ) -> None:
        """Load the bundle, or that of another directory. Raises PolicyRejected with all faults.

        `on_exhausted` is called once, in this event loop, when the worker must end.
        """
        self._loop = asyncio.get_running_loop()
        if on_exhausted is not None:
            self._on_exhausted = on_exhausted
        await self.reload(directory or self._directory, revision)

    async def check(self) -> None:
        """For /readyz. Raises PolicyUnavailable if nothing can be decided."""
        if self._suspect or self._closed or self._crew is None:
            message = "the rules do not answer; this worker is about to be replaced"
            raise PolicyUnavailable(message, cause="suspect")

    @property
    def revision(self) -> str:
        """The digest of the active bundle."""
        return self._active.bundle.revision

    @property
    def bundle(self) -> Bundle:
        """The active bundle; its words are for the scanner."""
        return self._active.bundle

    @property
    def assistants(self) -> Assistants:
        """Those of the active bundle; none while there is none, since nothing can be asked then."""
        try:
            return self._active.bundle.assistants
        except PolicyUnavailable:
            return NO_ASSISTANTS

    @property
    def usage(self) -> UsageRules:
        """Limits and prices of the active bundle. PolicyUnavailable if there is none yet."""
        return self._active.bundle.usage

    @property
    def suspect(self) -> bool:
        """Whether this revision made three engines late: the worker must end."""
        return self._suspect

    @property
    def late(self) -> int:
        """Engines still running past their deadline."""
        return self._late

    @property
    def open_questions(self) -> int:
        """Questions to the active bundle that wait or run, but for those of late engines."""
        return self._active.open_questions

    @property
    def _active(self) -> _Crew:
        if self._crew is None:
            message = "The rules are not loaded. Try again in a moment."
            raise PolicyUnavailable(message, cause="not_loaded")
        return self._crew

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        """Ask the rules; see `PolicyEngine.decide`. The wait for a free engine counts."""
        if self._suspect or self._closed:
            message = (
                "The rules in force do not answer in time, so nothing was sent. Tell an operator."
            )
            raise PolicyUnavailable(message, cause="suspect")
        crew = self._active
        began_ns = time.perf_counter_ns()
        answer = await self._ask(crew, document, self._deadline_s)
        took_us = (time.perf_counter_ns() - began_ns) // 1000
        return read_answer(answer, crew.bundle.revision, took_us)

    async def reload(self, directory: Path, revision: str | None = None) -> str:
        """Load, compile and try another bundle, then swap it in; returns its revision, which must
        be `revision` if that is given.

        A bundle that is refused changes nothing: PolicyRejected has all faults.
        """
        bundle = await asyncio.to_thread(read_bundle, directory)
        must_be(bundle, revision)
        crew = _Crew(self, bundle, self._engines)
        try:
            await crew.start()
            await self._try(crew)
        except BaseException:
            crew.dismiss()
            raise
        old, self._crew = self._crew, crew
        self.scanner.use_words(bundle.words)
        if old is not None:
            old.dismiss()
        return bundle.revision

    async def close(self) -> None:
        """Let the engines go. A late one keeps its thread until it finishes or the process ends."""
        self._closed = True
        if self._crew is not None:
            self._crew.dismiss()

    async def _try(self, crew: _Crew) -> None:
        faults = []
        for case in SMOKE_INPUTS:
            try:
                answer = await self._ask(crew, case.document, OPEN_S_MAX)
            except PolicyUnavailable as error:
                faults.append(f"{FOLD_PATH}:1:1: {case.name}: {error.message}")
                break
            decision = read_answer(answer, crew.bundle.revision, 0)
            fault = smoke_fault(case, decision)
            if fault:
                faults.append(f"{FOLD_PATH}:1:1: {fault}")
        if faults:
            raise PolicyRejected(faults)

    async def _ask(self, crew: _Crew, document: Mapping[str, Any], wait_s: float) -> Any:
        loop = asyncio.get_running_loop()
        job = _Job(document, loop.create_future())
        job.timer = loop.call_later(wait_s, self._expire, crew, job)
        crew.ask(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            crew.abandon(job)
            raise

    def _expire(self, crew: _Crew, job: _Job) -> None:
        if crew.is_over(job):
            return  # answered in time; a busy loop runs timers before it hears of it
        if not job.future.done():
            message = "The rules did not answer in time, so nothing was sent. Try again."
            job.future.set_exception(PolicyUnavailable(message, cause="late"))
        if crew.starved(job, self._deadline_s):
            again_s = self._deadline_s
            job.timer = asyncio.get_running_loop().call_later(again_s, self._expire, crew, job)
            return
        if crew.expire(job) and self.one_more_late():
            crew.hire()

    def one_more_late(self) -> bool:
        """Count an engine that does not end; whether another may take its place."""
        self._late += 1
        if self._late > LATE_MAX:
            self._exhaust()
        return not self._suspect

    def _exhaust(self) -> None:
        if self._suspect:
            return
        self._suspect = True
        _log.error("policy revision suspect: %d engines late", self._late)
        self._on_exhausted()

    def late_ended(self) -> None:
        """A late engine finished and closed itself."""
        self._late -= 1

    def settle(self, job: _Job, answer: Any) -> None:
        """An engine answered in time. Runs in the event loop."""
        if job.timer is not None:
            job.timer.cancel()
        if not job.future.done():
            job.future.set_result(answer)

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """From an engine's thread into the event loop, which may be gone by then."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            _log.debug("event loop closed before an engine finished")


class _Crew:
    """The engines of one bundle, all taking questions from one queue.

    One is built to begin with, the others when there are more questions than engines: to compile
    the rules and read the data is most of what a reload costs.
    """

    def __init__(self, owner: EmbeddedOPA, bundle: Bundle, engines: int) -> None:
        self.bundle = bundle
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.owner = owner
        self._lock = threading.Lock()
        self._engines_max = engines
        self._working = 0  # engines, but for late ones
        self._open = 0  # questions that wait or run, but for late ones
        self._hired = 0
        self._dismissed = False

    async def start(self) -> None:
        """Hire one and wait until it has compiled the bundle. Raises PolicyRejected."""
        runner = self.hire()
        try:
            async with asyncio.timeout(OPEN_S_MAX):
                await runner.ready
        except TimeoutError:
            if self._forsake(runner):
                self.owner.one_more_late()
            message = f"the rules do not compile and answer within {OPEN_S_MAX:g} s"
            raise PolicyRejected([f"{FOLD_PATH}:1:1: {message}"]) from None

    def hire(self) -> _Runner:
        """One more engine, built in its own thread."""
        runner = _Runner(self)
        self._hired += 1
        self._working += 1
        runner.start()
        return runner

    def ask(self, job: _Job) -> None:
        """Put a question to whichever engine is free. Another is hired if none may be."""
        with self._lock:
            self._open += 1
            wanted = self._working < min(self._open, self._engines_max)
        self.jobs.put(job)
        if wanted:
            self.hire()

    @property
    def open_questions(self) -> int:
        """Those that wait or run, but for those of late engines."""
        with self._lock:
            return self._open

    def built(self, runner: _Runner) -> bool:
        """An engine is ready, or will never be; whether somebody still waits for it."""
        with self._lock:
            runner.built = True
            return not runner.forsaken

    def _forsake(self, runner: _Runner) -> bool:
        """Nobody waits for an engine any more; whether it is still being built."""
        with self._lock:
            runner.forsaken = not runner.built
            return runner.forsaken

    def dismiss(self) -> None:
        """Each engine ends after the questions already asked."""
        if not self._dismissed:
            self._dismissed = True
            for _ in range(self._hired):
                self.jobs.put(None)

    def begin(self, job: _Job, runner: _Runner) -> bool:
        """Whether `job` is still wanted; it belongs to `runner` then."""
        with self._lock:
            if job.state is not _State.QUEUED:
                return False
            job.state, job.runner = _State.RUNNING, runner
            job.began_s, job.began_cpu_s = time.monotonic(), time.thread_time()
            return True

    def starved(self, job: _Job, deadline_s: float) -> bool:
        """Whether a running job is late for want of a processor and not by its own doing.

        A machine that is overloaded must not look like rules that never end: an engine that got
        less than half of the deadline in processor time is given more, up to a bound.
        """
        with self._lock:
            if job.state is not _State.RUNNING or job.runner is None or job.runner.ident is None:
                return False
            if time.monotonic() - job.began_s > STARVED_S_MAX:
                return False
            # The thread is alive: it needs this lock to leave the state RUNNING.
            clock = time.pthread_getcpuclockid(job.runner.ident)
            return time.clock_gettime(clock) - job.began_cpu_s < deadline_s / 2

    def end(self, job: _Job) -> bool:
        """Whether `job` ended before its deadline."""
        with self._lock:
            in_time = job.state is _State.RUNNING
            self._open -= in_time
            job.state = _State.OVER
            return in_time

    def is_over(self, job: _Job) -> bool:
        """Whether `job` has its answer, or is not wanted any more."""
        with self._lock:
            return job.state is _State.OVER

    def expire(self, job: _Job) -> bool:
        """The deadline of `job` is over; whether an engine is now late."""
        with self._lock:
            late = job.state is _State.RUNNING
            if job.state in {_State.RUNNING, _State.QUEUED}:
                job.state = _State.LATE
                self._open -= 1
                self._working -= late
            return late

    def abandon(self, job: _Job) -> None:
        """Nobody waits any more. A running one stays on its timer: it may still become late."""
        with self._lock:
            if job.state is _State.QUEUED:
                job.state = _State.OVER
                self._open -= 1
            if job.state is _State.OVER and job.timer is not None:
                job.timer.cancel()


class _Runner(threading.Thread):
    """One engine and its thread; a daemon, because a late evaluation never joins."""

    def __init__(self, crew: _Crew) -> None:
        super().__init__(name="opa-engine", daemon=True)
        self._crew = crew
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready.add_done_callback(_look_at)
        self.built = self.forsaken = False  # change only under the crew's lock

    def run(self) -> None:
        owner = self._crew.owner
        try:
            engine = build(self._crew.bundle)
        except (PolicyRejected, MemoryError) as error:
            if not self._crew.built(self):
                owner.post(owner.late_ended)
            owner.post(_fail, self.ready, error)
            return
        try:
            if self._crew.built(self):
                owner.post(_succeed, self.ready)
                self._serve(engine)
            else:
                owner.post(owner.late_ended)
        finally:
            engine.close()

    def _serve(self, engine: OpaEngine) -> None:
        crew, owner = self._crew, self._crew.owner
        while (job := crew.jobs.get()) is not None:
            if not crew.begin(job, self):
                continue
            answer = _evaluate(engine, job.document)
            if not crew.end(job):
                owner.post(owner.late_ended)
                return
            owner.post(owner.settle, job, answer)


def _do_nothing() -> None:
    """Until somebody wants to know."""


def _look_at(future: asyncio.Future[None]) -> None:
    """Nobody may be waiting for a replacement; its failure was logged."""
    if not future.cancelled() and future.exception() is not None:
        _log.error("an engine could not be built: %s", future.exception())


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _evaluate(engine: OpaEngine, document: Mapping[str, Any]) -> Any:
    """The raw answer, or the exception as a value: it has to cross from a thread."""
    try:
        return engine.eval_document(QUERY, document)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not a decision
        return error


def read_answer(answer: Any, revision: str, took_us: int) -> Decision:
    """The decision in `answer`; what is not one is a deny, a broken engine PolicyUnavailable."""
    if isinstance(answer, OpaUndefinedError):
        return no_result(revision, engine=ENGINE_NAME, took_us=took_us)
    if isinstance(answer, OpaError) and answer.code not in _ENGINE_CODES:
        return failed(revision, engine=ENGINE_NAME, took_us=took_us)
    if isinstance(answer, BaseException):
        message = "The rules cannot be asked, so nothing was sent. Try again."
        raise PolicyUnavailable(message, cause="broken") from answer
    return read_result(answer, revision, engine=ENGINE_NAME, took_us=took_us)

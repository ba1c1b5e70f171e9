"""A writer that can be struck at a chosen system call: `python -m support.struck_writer`, in tests.

The process loads everything once. For each job that comes in (one line of JSON: `home`, `scenario`,
`strace` with its arguments, or `file_bytes_max`) it forks a child that waits, has strace take hold
of it, lets it run one scenario and answers with one line: how the child ended, what it had said by
then, and what strace wrote. With `file_bytes_max` there is no strace: the kernel itself then cuts
the write that reaches that size, and refuses the next.

What the child says goes into memory that it shares with its parent: saying makes no system call, so
nothing that is struck is the test's own, and what was said stays when the child is killed.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sekisho_audit import pruning
from sekisho_audit.errors import LedgerError, Poisoned
from sekisho_audit.events import Event
from sekisho_audit.ledger import Ledger, Limits
from support.ledgers import ORIGIN, STAFF, decision, intent, outcome, received
from support.old_ledgers import AUTHORITY, after_days, planned

SAID_BYTES = 256 * 1024
ATTACHED_S = 20.0
GO = signal.SIGUSR1  # blocked and waited for: no call that a fault could be meant for
_SET_TRACER, _ANY_TRACER = 0x59616D61, 2**64 - 1  # PR_SET_PTRACER of prctl(2)
# A frame is larger, so each batch begins a new segment of both families.
SEGMENT_BYTES = 200
ERASED = "leaver-1@ledger.example"
STAYS = "stayer-2@ledger.example"
LATER = "joiner-3@ledger.example"
NEWCOMER = "joiner-4@ledger.example"
# Ids are given, so that each run makes the same calls and a test knows what it looks for.
_ID = "01a20aa5-b98b-718b-a87b-4300000{:05d}"
# The moment in them: years later their content would be over, and not be stored.
_THEN_US = 0x01A20AA5B98B * 1_000


def identifier(number: int) -> str:
    """A dated id that is the same in every run."""
    return _ID.format(number)


class Voice:
    """What the child says, one line of JSON each."""

    def __init__(self, shared: mmap.mmap) -> None:
        self._shared = shared
        self._end = 0

    def say(self, **what: Any) -> None:
        """Say something that will be heard whatever happens next."""
        line = json.dumps(what).encode() + b"\n"
        self._shared[self._end : self._end + len(line)] = line
        self._end += len(line)

    def heard(self) -> list[dict[str, Any]]:
        """What was said, for the parent."""
        said = self._shared[:].split(b"\0", 1)[0]
        return [json.loads(line) for line in said.splitlines()]


class Story:
    """One life of a ledger, told while it goes on."""

    def __init__(self, home: Path, voice: Voice) -> None:
        self._home = home
        self._voice = voice
        self._number = 0
        self._opened: Ledger | None = None

    def _next(self) -> str:
        self._number += 1
        return identifier(self._number)

    def run(self, scenario: str) -> None:
        """Run a scenario; after an error, try to go on: a writer that failed must refuse."""
        try:
            SCENARIOS[scenario](self)
        except (OSError, LedgerError) as error:
            self._voice.say(failed=type(error).__name__, why=str(error))
            if self._opened is not None:
                self._go_on(self._opened)

    def _go_on(self, ledger: Ledger) -> None:
        """What callers do who did not hear that it is over."""
        try:
            self._append(ledger, NEWCOMER)
            self._voice.say(went_on="appended")
        except LedgerError as error:
            self._voice.say(refused=str(error))
        if ledger.poisoned is None:
            return
        try:
            ledger.write_checkpoint()
            self._voice.say(went_on="signed")
        except Poisoned as error:
            self._voice.say(refused=str(error))

    def _open(self) -> Ledger:
        ledger = Ledger.open(
            *(self._home / "data" / "ledger", self._home / "keys", ORIGIN),
            limits=Limits(segment_bytes=SEGMENT_BYTES),
            now_us=lambda: _THEN_US,
        )
        self._opened = ledger
        self._voice.say(opened=ledger.size)
        return ledger

    def _append(self, ledger: Ledger, principal: str) -> None:
        """Append an event with content of a principal, and say where it stands."""
        exchange, number = self._next(), self._number
        text = f"words {number} of {principal}"
        made = received(exchange, text.encode(), principal)
        event = Event(self._next(), made.type, exchange, principal, made.data, None, made.payloads)
        [place] = ledger.append_batch([event])
        self._voice.say(
            event=event.id, index=place.index, leaf=place.leaf, principal=principal, text=text
        )

    def _exchange(self, ledger: Ledger) -> None:
        """An intent and its outcome."""
        exchange = self._next()
        made = [decision(exchange), sent := intent(exchange, "s-1")]
        for batch in (made, [outcome(sent)]):
            for event, place in zip(batch, ledger.append_batch(batch), strict=True):
                self._voice.say(event=event.id, index=place.index, leaf=place.leaf)

    def _sign(self, ledger: Ledger) -> None:
        ledger.write_checkpoint()
        self._voice.say(signed=ledger.size)

    def life(self) -> None:
        """Open, append, rotate, sign, erase, append, close."""
        ledger = self._open()
        ledger.open_session("s-1", 1)
        self._append(ledger, ERASED)
        self._append(ledger, STAYS)
        self._exchange(ledger)
        self._sign(ledger)
        self._append(ledger, ERASED)
        self._voice.say(erasing=ERASED)
        ledger._keyring.erase(ERASED)
        self._voice.say(erased=ERASED)
        self._append(ledger, LATER)
        ledger.close()
        self._voice.say(closed=ledger.size)

    def again(self) -> None:
        """Open what a crash left, write a little, close."""
        self._number = 1_000
        ledger = self._open()
        self._append(ledger, LATER)
        ledger.close()
        self._voice.say(closed=ledger.size)

    def new_key(self) -> None:
        """Open, append, change the signing key, append, close."""
        self._number = 2_000
        ledger = self._open()
        self._append(ledger, STAYS)
        key = ledger.rotate_key()
        self._voice.say(rotated=key.line())
        self._append(ledger, STAYS)
        ledger.close()
        self._voice.say(closed=ledger.size)

    def prune(self) -> None:
        """Open what is years old, prune it, append, close."""
        self._number = 3_000
        ledger = self._open()
        try:
            plan = planned(ledger, lambda: _THEN_US, after_days(60))
            if ledger.signed is None:
                raise RuntimeError("it was signed when it was opened")
            prepared = pruning.prepare(ledger.directory, ledger.signed[0], plan)
        except OSError as error:
            self._voice.say(unprepared=str(error))
        else:
            pruning.begin(ledger, prepared, (STAFF,), AUTHORITY)
            self._voice.say(recorded=plan.size)
            pruning.finish(ledger)
            self._voice.say(pruned=plan.size)
        self._append(ledger, STAYS)
        ledger.close()
        self._voice.say(closed=ledger.size)


SCENARIOS: dict[str, Callable[[Story], None]] = {
    "life": Story.life,
    "again": Story.again,
    "new_key": Story.new_key,
    "prune": Story.prune,
}


def _child(job: dict[str, Any], voice: Voice) -> None:
    home, scenario, limit = Path(job["home"]), job["scenario"], job.get("file_bytes_max")
    status = 0
    try:
        # Where only a parent may trace, strace is none. What else the kernel says of it is no harm.
        ctypes.CDLL(None).prctl(_SET_TRACER, ctypes.c_ulong(_ANY_TRACER), 0, 0, 0)
        signal.sigwait([GO])
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        Story(home, voice).run(scenario)
    except BaseException as error:  # noqa: BLE001 - it must not become a second parent
        voice.say(broken=repr(error))
        status = 1
    finally:
        os._exit(status)


def _attached(child: int) -> bool:
    return b"TracerPid:\t0\n" not in Path(f"/proc/{child}/status").read_bytes()


def _traced(child: int, arguments: list[str], log: Path) -> tuple[int, str]:
    """Let the child go when strace has it; how the child ended, and what strace complained of."""
    command = ["strace", "-q", "-y", "-s", "0", "-o", str(log), "-p", str(child), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        until_s = time.monotonic() + ATTACHED_S
        while not _attached(child) and tracer.poll() is None and time.monotonic() < until_s:
            time.sleep(0.0005)
        os.kill(child, GO)
        _, status = os.waitpid(child, 0)
        _, problem = tracer.communicate()
    return status, problem.decode()


def _strike(job: dict[str, Any]) -> dict[str, Any]:
    shared = mmap.mmap(-1, SAID_BYTES)
    child = os.fork()
    if child == 0:
        _child(job, Voice(shared))
    calls: list[str] = []
    problem = ""
    if "strace" in job:
        log = Path(job["log"])
        status, problem = _traced(child, job["strace"], log)
        calls = log.read_text(errors="replace").splitlines()
    else:
        os.kill(child, GO)
        _, status = os.waitpid(child, 0)
    heard = Voice(shared).heard()
    shared.close()
    return {"status": status, "said": heard, "calls": calls, "problem": problem}


def main() -> None:
    """Serve jobs until the input ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [GO])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_strike(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Strikes a writer at each of its system calls, and judges what is left of its ledger.

    with Striker() as striker:
        for call in striker.calls("life"):
            told = striker.strike("life", call, "error=EIO")
            assert not judge(told)

A call is named by its system call and how often that was made before, counted by strace from the
moment it took hold: every run of a scenario makes the same calls.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from sekisho_audit import pruning
from sekisho_audit.errors import LedgerError, Unusable
from sekisho_audit.events import Event
from sekisho_audit.keyring import Keyring
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, Frame, frames, held_from, segments
from sekisho_audit.seal import Unreadable, unseal
from sekisho_audit.verify import verify
from support.ledgers import open_ledger, received
from support.struck_writer import ERASED, SEGMENT_BYTES, identifier

_TESTS = Path(__file__).resolve().parents[1]
_MEMORY = "/dev/shm"  # each process makes a folder of its own in it
_LINE = re.compile(r"(\w+)\((.*)")
_CHANGING = ("write", "mkdir", "rename", "unlink", "ftruncate", "link", "chmod")
NEEDS = "strace is needed for this test: sudo apt-get install strace"


@dataclass(frozen=True, slots=True)
class SystemCall:
    """The `nth` call of this name, as it was made in the run that nobody disturbed."""

    name: str
    nth: int
    text: str

    @property
    def changes(self) -> bool:
        """Whether it changes what a later start finds."""
        return self.name.startswith(_CHANGING) or "O_CREAT" in self.text or "O_TRUNC" in self.text

    @property
    def matters(self) -> bool:
        """Whether it changes, secures or reads what is stored."""
        return self.changes or self.name in {"read", "fsync", "fdatasync"}

    @property
    def bytes(self) -> int:
        """How many bytes a write writes."""
        return int(self.text.rsplit(", ", 1)[1].split(")")[0])


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a run that was struck."""

    home: Path
    status: int
    said: list[dict[str, Any]]
    calls: list[str]
    problem: str

    def of(self, name: str) -> list[dict[str, Any]]:
        """What was said under this name."""
        return [item for item in self.said if name in item]


class Striker:
    """The process that forks writers, and the folder in which each gets a home of its own."""

    def __init__(self) -> None:
        if shutil.which("strace") is None:
            raise RuntimeError(NEEDS)
        # Which calls are made counts, not how long a disk takes for them.
        self._kept = TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
        self._folder = Path(self._kept.name)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.struck_writer"],
            cwd=_TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.communicate(timeout=30)
        self._kept.cleanup()

    def _run(self, start: Path | None, **job: Any) -> Told:
        """Run a scenario in the home that all runs share, which is a copy of `start` or empty."""
        home = self._folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        if start is None:
            home.mkdir()
        else:
            shutil.copytree(start, home)
        if self._server.stdin is None or self._server.stdout is None:
            raise RuntimeError("no pipe")
        job = {"home": str(home), "log": str(self._folder / "strace.log"), **job}
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return Told(home, **json.loads(self._server.stdout.readline()))

    def calls(self, scenario: str, start: Path | None = None) -> list[SystemCall]:
        """Every system call that a scenario makes on files of the ledger and its keys."""
        everything = ["-e", "trace=%file,%desc"]
        self._run(start, scenario=scenario, strace=everything)  # the first fills caches
        told = self._run(start, scenario=scenario, strace=everything)
        if told.status or told.of("failed") or not told.of("closed"):
            raise RuntimeError(f"undisturbed, it should end well: {told.said} {told.problem}")
        counts: Counter[str] = Counter()
        found = []
        for line in told.calls:
            match = _LINE.match(line)
            if match is None:
                continue
            counts[match[1]] += 1
            if str(told.home) in line:
                text = line.replace(str(told.home), "")
                found.append(SystemCall(match[1], counts[match[1]], text))
        return found

    def strike(
        self, scenario: str, call: SystemCall, fault: str, start: Path | None = None
    ) -> Told:
        """Run a scenario in which one call meets with a fault, in strace's words."""
        inject = f"inject={call.name}:{fault}:when={call.nth}"
        strace = ["-e", f"trace={call.name}", "-e", inject]
        return self._run(start, scenario=scenario, strace=strace)

    def limit(self, scenario: str, file_bytes_max: int) -> Told:
        """Run a scenario in which no file grows beyond a size: the kernel cuts that write short."""
        return self._run(None, scenario=scenario, file_bytes_max=file_bytes_max)


# -- what must hold afterwards

NOT_MET = "the fault was not met"
"""The writer made fewer calls of that name than in the run that was counted."""


def judge(told: Told, before: Told | None = None) -> list[str]:
    """What is wrong with a ledger whose writer was struck: nothing, if all is well.

    What was promised by a run `before` it must be there too.
    """
    known = told if before is None else replace(told, said=[*before.said, *told.said])
    return [*_wrong_run(told), *_wrong_ledger(known)]


def _wrong_run(told: Told) -> Iterator[str]:
    """What is wrong with the run itself."""
    killed = os.WIFSIGNALED(told.status)
    if told.problem:
        yield f"strace: {told.problem}"
    if told.calls and not killed and not any("(INJECTED)" in line for line in told.calls):
        yield NOT_MET
    if told.of("broken"):
        yield f"it broke: {told.of('broken')}"
    if told.of("went_on"):
        yield "the writer went on after an error"
    if told.of("failed") and told.of("opened") and not told.of("refused"):
        yield "the writer did not refuse what came after the error"


def _wrong_ledger(told: Told) -> Iterator[str]:
    """What is wrong with what the run left, now and after the next start."""
    ledger = told.home / "data" / "ledger"
    report = verify(ledger)
    if told.of("opened") and report.verdict is Verdict.TAMPERED:
        yield f"a crash looks like tampering: {report.faults[0]}"
    try:
        again = open_ledger(told.home, segment_bytes=SEGMENT_BYTES)
    except (OSError, LedgerError) as error:
        yield f"it does not start again: {error!r}"
        return
    if told.of("rotated") and again.key.line() != told.of("rotated")[0]["rotated"]:
        yield "the new signing key is not in force"
    yield from _lost(told, again)
    yield from _erasure(told, again)
    pruning.finish(again)
    yield from _pruned(told, ledger)
    again.append_batch([_last()])
    again.close()
    report = verify(ledger)
    if (report.verdict, report.unsigned_events) != (Verdict.SOUND, 0):
        yield f"not sound: {[str(fault) for fault in (*report.faults, *report.doubts)]}"


def _pruned(told: Told, ledger: Path) -> Iterator[str]:
    """A pruning that is on record is finished; one that is not has removed nothing."""
    first = held_from(ledger, EVENTS)
    for recorded in told.of("recorded"):
        if first != recorded["recorded"]:
            yield f"the ledger begins with event {first}, not with {recorded['recorded']}"
    if told.of("unprepared") and first:
        yield "leaves are gone, and nobody had them pruned"


def _last() -> Event:
    made = received(identifier(90_001), b"the last words", "last-9")
    return Event(
        identifier(90_002), made.type, made.exchange, made.principal, made.data, None, made.payloads
    )


def stored(ledger: Path) -> tuple[dict[str, tuple[dict[str, Any], Frame]], dict[str, bytes]]:
    """What stands in a ledger: leaves by event id, payloads by their hash."""
    leaves = {}
    for segment in segments(ledger, EVENTS):
        for frame in frames(segment, EVENTS):
            leaf = json.loads(frame.body)
            leaves[leaf["id"]] = (leaf, frame)
    payloads = {
        frame.digest.hex(): frame.body
        for segment in segments(ledger, PAYLOADS)
        for frame in frames(segment, PAYLOADS)
    }
    return leaves, payloads


def _lost(told: Told, ledger: Ledger) -> Iterator[str]:
    """Promises that are not kept, contents of people who stay that do not open."""
    leaves, payloads = stored(ledger.directory)
    for promised in told.of("event"):
        leaf, frame = leaves.get(promised["event"], ({}, None))
        if frame is None or leaf["n"] != promised["index"]:
            yield f"event {promised['index']} was promised and is not there"
        elif frame.digest.hex() != promised["leaf"]:
            yield f"event {promised['index']} is another one"
        elif promised.get("principal", ERASED) != ERASED:
            text = _text(leaf, payloads, ledger.secret_of)
            if text != promised["text"]:
                yield f"the content of event {promised['index']} does not open: {text}"


def _text(
    leaf: dict[str, Any], payloads: dict[str, bytes], secret_of: Callable[[str, str], bytes | None]
) -> str | None:
    """The content of an event, if somebody has its key."""
    [entry] = leaf["pl"]
    secret = secret_of(*entry["kref"].split("/", 1))
    if secret is None:
        return None
    try:
        return unseal(secret, leaf["id"], entry["name"], payloads[entry["ct"]]).decode()
    except Unreadable:
        return "unreadable"


def _erasure(told: Told, ledger: Ledger) -> Iterator[str]:
    """An erasure is whole or was not begun; one that was acknowledged stays."""
    leaves, payloads = stored(ledger.directory)
    expected = [item for item in told.of("event") if item.get("principal") == ERASED]
    texts = {
        _text(leaves[item["event"]][0], payloads, ledger.secret_of)
        for item in expected
        if item["event"] in leaves
    }
    name = ledger.pseudonym_of(ERASED)
    if told.of("erased"):
        if name is not None or texts - {None}:
            yield "who was erased is known again"
        yield from _left_behind(told.home / "keys")
    elif told.of("erasing"):
        whole = {item["text"] for item in expected}
        if texts not in ({None}, whole) or (name is None) != (texts == {None}):
            yield f"an erasure is half done: {name} {texts}"
    elif texts - {item["text"] for item in expected}:
        yield f"content of somebody who was not erased does not open: {texts}"


def _left_behind(keys: Path) -> Iterator[str]:
    """A file that was to become that of the keys and still knows the erased person."""
    for path in keys.glob("principals.keys.new"):
        copy = path.with_name("copy")
        shutil.copy(path, copy)
        with contextlib.suppress(Unusable):  # not even its first line is there
            ring = Keyring(copy, (keys / "kek").read_bytes())
            if ring.known(ERASED) is not None:
                yield f"{path.name} still has the keys of the erased"
            ring.close()
        copy.unlink()

"""What an author tries at a distance, in a process of its own: check, tests, comparison.

A worker decides for everybody, and no engine can be stopped. So what an author tries here runs in a
child that has bounds on time, processor and memory, none of the worker's secrets in its environment
and nobody who waits for it but the one who asked: rules that never end, or that end their process,
cost them their answer and nobody else anything.
"""

from __future__ import annotations

import asyncio
import io
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from sekisho.adapters.policy_check import TestReport, TestResult, check_bundle, test_bundle
from sekisho.adapters.policy_replay import compare
from sekisho.adapters.recorded_decisions import from_lines
from sekisho.errors import BadRequest, Overloaded, PolicyRejected, PolicyUnavailable, SekishoError

TRIAL_S_MAX = 60.0  # 5,000 inputs take some 10 s twice on a busy machine
WAIT_S_MAX = 5.0  # for another trial to end: a check takes a second, and threads are few
INPUTS_MAX = 5_000  # newest; more are for the command, which nobody waits for over a network
MEMORY_BYTES_MAX = 2 * 1024 * 1024 * 1024  # two engines with 10,000 principals take some 300 MiB
ANSWER_BYTES_MAX = 4 * 1024 * 1024  # a report of every group and rule of a large house
_PASSED_ON = frozenset({"PATH", "PYTHONPATH", "LANG", "LC_ALL", "GOGC", "VIRTUAL_ENV"})
_NAME = "inputs"
_COMPARE, _CHECK, _TEST = "compare", "check", "test"
FAULTS_MAX = 200  # of a bundle that is refused; nobody reads more before mending some
OUTPUT_CHARS_MAX = 2_000  # of a fault or of what a test prints


class Trials:
    """Runs one trial at a time; another one waits a little. Synchronous, for threads.

    All raise Overloaded while another one runs, and PolicyUnavailable if the child died.
    """

    def __init__(self, limit_s: float = TRIAL_S_MAX, wait_s: float = WAIT_S_MAX) -> None:
        self._limit_s, self._wait_s = limit_s, wait_s
        self._running = threading.Lock()

    def compare(self, before: Path, after: Path, lines: bytes) -> dict[str, Any]:
        """What `lines` of disclosed inputs would be by both: base, revision and the report.

        Raises BadRequest, PolicyRejected, PolicyUnavailable also for rules that are late.
        """
        return _read(self._child(_COMPARE, before, after, lines=lines))

    def check(self, directory: Path) -> list[str]:
        """Why the gateway would not run these rules; empty if it would."""
        try:
            faults: list[str] = self._child(_CHECK, directory)["faults"]
        except _Late:
            return [self._endless()]
        return faults

    def test(self, directory: Path) -> TestReport:
        """What the rules' own tests say. Of a print only the beginning comes back."""
        try:
            said = self._child(_TEST, directory)
        except _Late:
            return TestReport((), (), 0.0, (self._endless(),))
        return TestReport(
            tuple(TestResult(**one) for one in said["results"]),
            (),
            said["coverage_percent"],
            tuple(said["faults"]),
        )

    def _child(self, kind: str, *places: Path, lines: bytes = b"") -> dict[str, Any]:
        if not self._running.acquire(timeout=self._wait_s):
            raise Overloaded("Another trial of rules runs on this worker. Try again in a minute.")
        try:
            done = subprocess.run(  # noqa: S603 - this very interpreter and module
                [sys.executable, "-m", __name__, str(self._limit_s), kind, *map(str, places)],
                input=lines,
                capture_output=True,
                check=False,
                timeout=self._limit_s,
                env={name: text for name, text in os.environ.items() if name in _PASSED_ON},
            )
        except subprocess.TimeoutExpired:
            raise _Late(self._not_through(), cause="late") from None
        finally:
            self._running.release()
        if done.returncode != 0 or len(done.stdout) > ANSWER_BYTES_MAX:
            raise PolicyUnavailable(self._not_through(), cause="broken")
        said: dict[str, Any] = orjson.loads(done.stdout)
        return said

    def _not_through(self) -> str:
        return (
            f"The rules did not get through within {self._limit_s:g} s and the memory for it, so "
            "nothing came of it. Send fewer inputs, if you sent any, or look for a rule that does "
            "not end, makes too much, or is nested too deeply."
        )

    def _endless(self) -> str:
        return (
            f"data.yaml:1:1: the rules were not done after {self._limit_s:g} s: a rule or a test "
            "does not end. Set packs to off to find it"
        )


class _Late(PolicyUnavailable):
    """The child was killed when its time was over."""


def _read(said: dict[str, Any]) -> dict[str, Any]:
    """The report, or the error that the child met."""
    match said.get("refused"):
        case None:
            return said
        case "rules":
            raise PolicyRejected(said["faults"])
        case "inputs":
            raise BadRequest(said["message"])
        case _:
            raise PolicyUnavailable(said["message"], cause=said["cause"])


def _tried(before: Path, after: Path, lines: bytes) -> dict[str, Any]:
    try:
        found = from_lines(_NAME, io.BytesIO(lines))
        newest = found[-INPUTS_MAX:]
        left_out = len(found) - len(newest)
        base, revision, report = asyncio.run(compare(newest, before, after, left_out=left_out))
    except PolicyRejected as error:
        return {"refused": "rules", "faults": list(error.faults)}
    except PolicyUnavailable as error:
        return {"refused": "answer", "message": error.message, "cause": error.cause}
    except SekishoError as error:
        return {"refused": "inputs", "message": error.message}
    return {"base": base, "revision": revision, "report": report}


def _tested(directory: Path) -> dict[str, Any]:
    report = test_bundle(directory)
    results = [replace(one, output=one.output[:OUTPUT_CHARS_MAX]) for one in report.results]
    return {
        "results": results,
        "coverage_percent": report.coverage_percent,
        "faults": _few(report.faults),
    }


def _few(faults: Iterable[object]) -> list[str]:
    return [str(fault)[:OUTPUT_CHARS_MAX] for fault in islice(faults, FAULTS_MAX)]


def _done(kind: str, places: list[Path]) -> dict[str, Any]:
    match kind, places:
        case "compare", [before, after]:
            return _tried(before, after, sys.stdin.buffer.read())
        case "check", [place]:
            return {"faults": _few(check_bundle(place))}
        case _, [place]:
            return _tested(place)
        case _:
            raise SystemExit(2)


def main() -> None:
    """The child: a limit, what to do and with which directories in its arguments, inputs on its
    standard input.
    """
    limit_s, kind, *places = sys.argv[1:]
    seconds = int(float(limit_s)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (2 * seconds, 2 * seconds))  # two engines, two cores
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # inputs are nothing to leave lying about
    said = _done(kind, list(map(Path, places)))
    sys.stdout.buffer.write(orjson.dumps(said))
    sys.stdout.flush()
    os._exit(0)  # an engine that is late would be waited for


if __name__ == "__main__":
    main()

"""Two kept revisions compared on inputs that somebody sent, in a process of its own.

A worker decides for everybody, and no engine can be stopped. So what an author tries here runs in a
child that has bounds on time, processor and memory, none of the worker's secrets in its environment
and nobody who waits for it but the one who asked: rules that never end cost them their answer and
nobody else anything.
"""

from __future__ import annotations

import asyncio
import io
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson

from sekisho.adapters.policy_replay import compare
from sekisho.adapters.recorded_decisions import from_lines
from sekisho.errors import BadRequest, Overloaded, PolicyRejected, PolicyUnavailable, SekishoError

TRIAL_S_MAX = 60.0  # 5,000 inputs take some 10 s twice on a busy machine
INPUTS_MAX = 5_000  # newest; more are for the command, which nobody waits for over a network
MEMORY_BYTES_MAX = 2 * 1024 * 1024 * 1024  # two engines with 10,000 principals take some 300 MiB
ANSWER_BYTES_MAX = 4 * 1024 * 1024  # a report of every group and rule of a large house
_PASSED_ON = frozenset({"PATH", "PYTHONPATH", "LANG", "LC_ALL", "GOGC", "VIRTUAL_ENV"})
_NAME = "inputs"


class Trials:
    """Runs one comparison at a time. Synchronous, for threads."""

    def __init__(self, limit_s: float = TRIAL_S_MAX) -> None:
        self._limit_s = limit_s
        self._running = threading.Lock()

    def compare(self, before: Path, after: Path, lines: bytes) -> dict[str, Any]:
        """What `lines` of disclosed inputs would be by both: base, revision and the report.

        Raises BadRequest, Overloaded while another one runs, PolicyRejected, PolicyUnavailable for
        rules that do not get through.
        """
        if not self._running.acquire(blocking=False):
            raise Overloaded("Another comparison runs on this worker. Try again in a minute.")
        try:
            done = subprocess.run(  # noqa: S603 - this very interpreter and module
                [sys.executable, "-m", __name__, str(before), str(after), str(self._limit_s)],
                input=lines,
                capture_output=True,
                check=False,
                timeout=self._limit_s,
                env={name: text for name, text in os.environ.items() if name in _PASSED_ON},
            )
        except subprocess.TimeoutExpired:
            raise self._not_through("late") from None
        finally:
            self._running.release()
        if done.returncode != 0 or len(done.stdout) > ANSWER_BYTES_MAX:
            raise self._not_through("broken")
        return _read(orjson.loads(done.stdout))

    def _not_through(self, cause: str) -> PolicyUnavailable:
        message = (
            f"The rules did not get through these inputs within {self._limit_s:g} s and the memory "
            "for it, so nothing was compared. Send fewer, or look for a rule that does not end."
        )
        return PolicyUnavailable(message, cause=cause)


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


def main() -> None:
    """The child: two directories and a limit in its arguments, inputs on its standard input."""
    before, after, limit_s = sys.argv[1:]
    seconds = int(float(limit_s)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (2 * seconds, 2 * seconds))  # two engines, two cores
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # inputs are nothing to leave lying about
    said = _tried(Path(before), Path(after), sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(said))
    sys.stdout.flush()
    os._exit(0)  # an engine that is late would be waited for


if __name__ == "__main__":
    main()

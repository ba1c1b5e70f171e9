"""OPA's conformance corpus by the embedded engine: `make conformance OPA_CASES=DIR`.

Each case is asked of a fresh engine in a child process, which is killed and replaced when it takes
too long or dies, so that no case can hide the others. The outcome is compared with the known
failures beside this file: a new one, and one that is none any more, end with status 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from selectors import EVENT_READ, DefaultSelector

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.cases import Case, judge, read_cases, read_known

KNOWN = Path(__file__).with_name("known_failing.txt")
LIMIT_S = 20.0  # a case takes milliseconds
WORKERS = 2
ANSWER_BYTES = 1 << 20


class Child:
    """A process that judges one case at a time."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, case: Case) -> str:
        """What is wrong with the answer, empty if nothing is; also if there was none."""
        process = self._alive()
        if process.stdin is None or process.stdout is None:
            raise TypeError("the child has no pipes")
        try:
            process.stdin.write(json.dumps(dict(case.says)).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.end()
            return "crash"
        with DefaultSelector() as selector:
            selector.register(process.stdout, EVENT_READ)
            if not selector.select(self._limit_s):
                self.end()
                return f"not done after {self._limit_s:g} s"
        line = process.stdout.readline()
        if not line:
            status = process.wait()
            self.end()
            return f"crash, status {status}"
        return str(json.loads(line))

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            command = [sys.executable, str(Path(__file__).resolve()), "--child"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
        return self._process

    def end(self) -> None:
        """Kill it; the next case gets another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def run(
    cases: Sequence[Case], *, limit_s: float = LIMIT_S, workers: int = WORKERS
) -> dict[str, str]:
    """What is wrong, by id, of the cases that failed."""
    children: SimpleQueue[Child] = SimpleQueue()
    for _ in range(workers):
        children.put(Child(limit_s))

    def one(case: Case) -> str:
        child = children.get()
        try:
            return child.judge(case)
        finally:
            children.put(child)

    try:
        with ThreadPoolExecutor(workers) as pool:
            outcomes = dict(zip((case.id for case in cases), pool.map(one, cases), strict=True))
    finally:
        for _ in range(workers):
            children.get().end()
    return {name: text for name, text in outcomes.items() if text}


def report(cases: Sequence[Case], failed: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """What is not as the list of known failures says; empty if all is."""
    asked = {case.id for case in cases}
    return [
        *(f"fails: {name}: {text}" for name, text in failed.items() if name not in known),
        *(f"passes, take it out of {KNOWN.name}: {name}" for name in known
          if name in asked and name not in failed),
        *(f"is no case, take it out of {KNOWN.name}: {name}" for name in known
          if name not in asked),
    ]  # fmt: skip


def main() -> int:
    """0 if exactly the known cases fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", type=Path, help="directory with the cases")
    parser.add_argument("--known", type=Path, default=KNOWN)
    options = parser.parse_args()
    cases = read_cases(options.cases)
    if not cases:
        print(f"no cases in {options.cases}", file=sys.stderr)
        return 2
    began = time.monotonic()
    failed = run(cases)
    wrong = report(cases, failed, read_known(options.known))
    for line in wrong:
        print(line[:1000])
    passed = len(cases) - len(failed)
    print(
        f"{passed} of {len(cases)} cases pass ({100 * passed / len(cases):.1f} %), "
        f"{len(failed)} fail, {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


def child() -> None:
    """Judge what comes in, one case a line, until nothing comes any more."""
    for line in sys.stdin.buffer:
        print(json.dumps(judge(json.loads(line))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        child()
        sys.exit(0)
    sys.exit(main())

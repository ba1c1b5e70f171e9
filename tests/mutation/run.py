"""Are the tests of the evidence sharp? `.venv/bin/python tests/mutation/run.py [module ...]`.

Puts one small fault after the other (mutants.py) into a module and runs the module's tests; a fault
that no test notices is a survivor. A module passes if at least 90 of 100 are noticed, and if the
rest are the ones that docs/reference/mutation.md explains.

Each fault has a process of its own, forked from one that has loaded everything but our packages, so
that starting costs little. Nothing on the disk is changed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from mutation.mutants import Mutant, mutants  # noqa: E402 - found by the line above

# Every byte in turn: a minute for each fault, and what only they notice has no sharp test.
_NOT_LONG = "not (every_flipped_byte or every_cut)"
# The tests of each module, the quick ones first; a later group runs for what is left alive.
TESTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "tree": (("test_tree.py",), ("test_rfc9162.py",)),
    "checkpoint": (("test_checkpoint.py",),),
    "canon": (("test_canon.py",), ("test_vectors.py",)),
    "store": (("test_store.py",),),
    # The verifier is three modules, which are tested as one.
    "verify": (
        ("test_verify_directory.py",),
        ("test_verify.py", "-k", _NOT_LONG),
        ("test_verify_pruned.py", "test_verify_keys.py", "test_verify_anchors.py"),
        ("test_disclosed.py",),
    ),
    "verdict": (
        ("test_verdict.py",),
        ("test_verify.py", "-k", _NOT_LONG),
        ("test_disclosed.py", "test_verify_anchors.py"),
    ),
    "kept": (("test_kept.py",), ("test_verify.py", "-k", _NOT_LONG)),
    "pruned": (("test_pruned.py",), ("test_verify_pruned.py",), ("test_pruning.py",)),
    "officer_rules": (("test_officer_rules.py",),),
}
KILLED_PERCENT_MIN = 90
PAGE = ROOT / "docs" / "reference" / "mutation.md"
_OURS = ("sekisho", "sekisho_audit", "support", "conftest", "test_")
_OPTIONS = (
    *("-x", "-q", "-n", "0", "--no-header", "--tb=no", "-W", "ignore"),
    *("-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
)
_MEMORY_BYTES = 4 << 30
_SPARE_S = 10  # of CPU: forking, loading, and a busy machine
_WALL_S = 240
_TOLD_EVERY = 20
_IN_MEMORY = Path("/dev/shm")  # most of a test's time is waiting for the disk
_NONE_FOUND = 5  # pytest's exit code: a mistake of ours, not a fault that was noticed


class _Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from code that is not the one on the disk."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(
        self, name: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        exec(self._code, module.__dict__)  # noqa: S102 - it is our own module, with one fault


@dataclass(frozen=True, slots=True)
class Subject:
    """A module under test; `cpu_s` is what its tests take without a fault, group by group."""

    name: str
    cpu_s: tuple[float, ...] = ()

    @property
    def path(self) -> Path:
        """Its file."""
        return ROOT / "audit" / "sekisho_audit" / f"{self.name}.py"

    def mutants(self) -> tuple[ast.Module, list[Mutant]]:
        """A fresh tree with its faults."""
        tree = ast.parse(self.path.read_text())
        return tree, mutants(tree)

    def code(self, number: int | None) -> CodeType:
        """The module with fault `number`, or as it is."""
        tree, faults = self.mutants()
        if number is not None:
            faults[number].put()
        return compile(ast.fix_missing_locations(tree), str(self.path), "exec")


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for known in (0, 1, 2):
        os.dup2(nowhere, known)


def _test(subject: Subject, number: int | None, group: int, cpu_s: float, report: int) -> None:
    """In the child: put the fault in, run the tests, leave with pytest's exit code."""
    os.setpgid(0, 0)
    _be_quiet()
    limit = int(5 * cpu_s + _SPARE_S)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    name = f"sekisho_audit.{subject.name}"
    sys.meta_path.insert(0, _Faulty(name, subject.path, subject.code(number)))
    file, *select = TESTS[subject.name][group]
    files = [part for part in (file, *select) if part.endswith(".py")]
    rest = [part for part in select if not part.endswith(".py")]
    paths = [str(ROOT / "tests" / "audit" / item) for item in files]
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as place:
        code = pytest.main([*paths, *rest, *_OPTIONS, f"--basetemp={place}/t"])
    loaded = [name for name in sys.modules if not name.startswith((*_OURS, "__main__"))]
    os.write(report, json.dumps({"cpu_s": time.process_time(), "loaded": loaded}).encode())
    os._exit(int(code))


def _fork(subject: Subject, number: int | None, group: int, cpu_s: float) -> tuple[int, int]:
    """A child at work: its process id, and where it reports."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _test(subject, number, group, cpu_s, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return pid, reading


def _baseline(subject: Subject) -> Subject:
    """How long the tests take without a fault; loads what they load, to be forked with it."""
    took = []
    for group in range(len(TESTS[subject.name])):
        for _ in range(2):  # the second time everything is loaded already
            pid, reading = _fork(subject, None, group, cpu_s=200)
            with os.fdopen(reading, "rb") as pipe:
                told = pipe.read()
            _, status = os.waitpid(pid, 0)
            if status:
                sys.exit(f"the tests of {subject.name} fail without a fault (status {status})")
            for name in json.loads(told)["loaded"]:
                with contextlib.suppress(ImportError, AttributeError):
                    importlib.import_module(name)
        took.append(json.loads(told)["cpu_s"])
    return Subject(subject.name, tuple(took))


@dataclass(slots=True)
class _Running:
    number: int
    group: int
    reading: int
    since: float


def _tried(subject: Subject, workers: int, numbers: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """Each fault as soon as it was tried, and whether any of the groups of tests noticed it."""
    waiting = [(number, 0) for number in reversed(numbers)]
    running: dict[int, _Running] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number, group = waiting.pop()
            pid, reading = _fork(subject, number, group, subject.cpu_s[group])
            running[pid] = _Running(number, group, reading, time.monotonic())
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.01)
            for old, item in running.items():
                if time.monotonic() - item.since > _WALL_S:
                    os.kill(old, signal.SIGKILL)
            continue
        item = running.pop(pid)
        os.close(item.reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what a test had started
        code = os.waitstatus_to_exitcode(status)
        if code == _NONE_FOUND:
            sys.exit("pytest found no tests: the table of tests is wrong")
        if code == 0 and item.group + 1 < len(subject.cpu_s):
            waiting.append((item.number, item.group + 1))
        else:
            yield item.number, code != 0


def _explained() -> set[str]:
    """The survivors of the page: the first two columns of its tables."""
    lines = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {f"{cells[0].strip('| `')}: {cells[1].strip('`')}" for cells in lines}


def main() -> None:
    """Run, print, and fail if a module is below its bound or a survivor is not explained."""
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", action="append", help="faults whose name holds this, or that")
    asked = parser.parse_args()
    os.chdir(ROOT)
    explained, failed = _explained(), False
    for name in asked.modules:
        began = time.monotonic()
        subject = _baseline(Subject(name))
        faults = subject.mutants()[1]
        only = asked.only or [""]
        numbers = [at for at, fault in enumerate(faults) if any(one in str(fault) for one in only)]
        left = 0
        for count, (number, noticed) in enumerate(_tried(subject, asked.workers, numbers), 1):
            left += not noticed
            if count % _TOLD_EVERY == 0:
                print(
                    f"  {count} of {len(numbers)} tried, {left} left", file=sys.stderr, flush=True
                )
            if noticed:
                continue
            known = f"{name}.{faults[number]}" in explained
            failed |= not known
            mark = "explained" if known else "NOT EXPLAINED"
            print(f"  line {faults[number].line}, {mark}: {name}.{faults[number]}", flush=True)
        percent = 100 * (len(numbers) - left) / max(1, len(numbers))
        took = time.monotonic() - began
        print(f"{name}: {percent:.1f} % of {len(numbers)} killed, {took:.0f} s", flush=True)
        failed |= percent < KILLED_PERCENT_MIN
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""What `sekisho policy check` and `sekisho policy test` say about a directory of rules.

Both use the engine that will run the rules. A check is what the gateway does at start, with every
fault listed; a test runs each `test_*` rule by itself and counts the lines of the shipped modules
that some test reached. An evaluation cannot be cancelled, so everything has a time limit here too:
the caller is a command, and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from opa_bindings import OpaEngine, OpaError, OpaUndefinedError

from sekisho.adapters.bounded import bounded
from sekisho.adapters.bundle import (
    Bundle,
    Fault,
    Module,
    build,
    faults_of,
    read_bundle,
    syntax_tree,
)
from sekisho.adapters.opa_embedded import read_answer
from sekisho.adapters.policy_lint import lint
from sekisho.adapters.policy_smoke import SMOKE_INPUTS, smoke_fault
from sekisho.errors import PolicyRejected, PolicyUnavailable

_T = TypeVar("_T")

TIME_S_MAX = 60.0  # for all rules of a bundle; the shipped tests take about a second


@dataclass(frozen=True, slots=True)
class TestResult:
    """One `test_*` rule. `output` is what it printed, or why it failed."""

    __test__ = False  # not a test itself, whatever a collector thinks of the name

    file: str
    name: str
    passed: bool
    output: str


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Lines of one module that the tests reached, and those they did not."""

    file: str
    covered: int
    missed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TestReport:
    """The outcome of all tests; `faults` if the bundle could not even be loaded."""

    __test__ = False

    results: tuple[TestResult, ...]
    coverage: tuple[FileCoverage, ...]
    coverage_percent: float
    faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there was something to run and all of it passed."""
        return bool(self.results) and not self.faults and all(r.passed for r in self.results)

    def __str__(self) -> str:
        """For a terminal: what failed, what was not reached, the sum."""
        lines = list(self.faults)
        lines += [
            f"{result.file}: {result.name} failed: {result.output}"
            for result in self.results
            if not result.passed
        ]
        lines += [
            f"{file.file}: not reached: {', '.join(map(str, file.missed))}"
            for file in self.coverage
            if file.missed
        ]
        passed = sum(result.passed for result in self.results)
        lines.append(
            f"{passed} of {len(self.results)} tests passed, "
            f"{self.coverage_percent:.1f} % of lines reached"
        )
        return "\n".join(lines)


def check_bundle(directory: Path) -> list[Fault]:
    """All faults, each with its place; empty if the gateway would run the bundle."""
    return _checked(directory, strict=False)


def review_bundle(directory: Path) -> list[Fault]:
    """As `check_bundle`, with what is unused and what does not say what it is for: no reason to
    refuse a revision that decides, or to keep anybody from going back to it.
    """
    return _checked(directory, strict=True)


def _checked(directory: Path, *, strict: bool) -> list[Fault]:
    faults: list[Fault] = []
    try:
        bundle = _in_time(lambda: read_bundle(directory))
        faults += lint(bundle) if strict else []
        try_bundle(bundle)
    except PolicyRejected as error:
        faults += [Fault.read(text) for text in error.faults]
    return sorted(faults, key=lambda fault: fault.order)


def try_bundle(bundle: Bundle) -> None:
    """Compile it and ask what must be denied. Raises PolicyRejected with all faults."""
    _in_time(lambda: _smoke(bundle))


def test_bundle(directory: Path) -> TestReport:
    """Run every `test_*` rule of the bundle's `_test.rego` files."""
    try:
        return _in_time(lambda: _run(read_bundle(directory)))
    except PolicyRejected as error:
        return TestReport((), (), 0.0, tuple(error.faults))


test_bundle.__test__ = False  # type: ignore[attr-defined]  # as above


def _in_time(work: Callable[[], _T]) -> _T:
    """As `bounded`, with PolicyRejected for rules that do not end."""
    try:
        return bounded(work, TIME_S_MAX)
    except TimeoutError as error:
        text = (
            f"the rules were {error}: one does not end or is too long. Set packs to off to find it"
        )
        raise PolicyRejected([f"data.yaml:1:1: {text}"]) from None


def _smoke(bundle: Bundle) -> None:
    faults = []
    with build(bundle) as engine:
        for case in SMOKE_INPUTS:
            try:
                answer: Any = engine.eval_document("sekisho.decision", case.document)
            except OpaError as error:
                faults += [str(fault) for fault in faults_of(error)]
                continue
            try:
                fault = smoke_fault(case, read_answer(answer, bundle.revision, 0))
            except PolicyUnavailable as error:
                fault = error.message
            if fault:
                faults.append(f"sekisho/main.rego:1:1: {fault}")
    if faults:
        raise PolicyRejected(faults)


def _run(bundle: Bundle) -> TestReport:
    with OpaEngine() as parser:
        names = [(module, name) for module in bundle.tests for name in _tests_in(parser, module)]
    lines = _Lines(bundle)
    results = []
    with build(bundle, with_tests=True) as engine:
        green = _all_at_once(engine, {name.rsplit(".", 1)[0] for _, name in names}, lines)
        for module, name in names:
            if name in green:
                results.append(
                    TestResult(module.path, name.rsplit(".", 1)[1], passed=True, output="")
                )
                continue
            results.append(_one(engine, module.path, name))
            lines.add(engine.last_coverage)
    return TestReport(tuple(results), lines.report(), lines.percent())


def _tests_in(parser: OpaEngine, module: Module) -> Iterator[str]:
    """The full paths of the test rules of one module, each once."""
    tree = syntax_tree(parser, module)
    package = [str(step["value"]) for step in tree["package"]["path"][1:]]
    seen = set()
    for rule in tree.get("rules", []):
        name = str(rule["head"]["ref"][0]["value"])
        if name.startswith("test_") and name not in seen:
            seen.add(name)
            yield ".".join((*package, name))


def _all_at_once(engine: OpaEngine, packages: set[str], lines: _Lines) -> set[str]:
    """The tests that are true when their whole package is asked for: most, in a tenth of the time.

    Those that are not are run again one by one, to learn why.
    """
    green = set()
    for package in sorted(packages):
        try:
            values = engine.eval_document(package, coverage=True)
        except OpaError:
            continue
        lines.add(engine.last_coverage)
        green |= {f"{package}.{name}" for name, value in values.items() if value is True}
    return green


def _one(engine: OpaEngine, file: str, path: str) -> TestResult:
    printed: list[str] = []
    engine.print_handler = lambda message, place: printed.append(f"{place}: {message}")
    name = path.rsplit(".", 1)[1]
    try:
        value = engine.eval_document(path, coverage=True)
    except OpaUndefinedError:
        return TestResult(file, name, passed=False, output="\n".join((*printed, "not true")))
    except OpaError as error:
        return TestResult(file, name, passed=False, output=f"{error.code}: {error.message}")
    return TestResult(file, name, passed=value is True, output="\n".join(printed))


class _Lines:
    """Adds up the coverage of many evaluations."""

    def __init__(self, bundle: Bundle) -> None:
        self._covered: dict[str, set[int]] = {module.path: set() for module in bundle.modules}
        self._all: dict[str, set[int]] = {module.path: set() for module in bundle.modules}

    def add(self, coverage: dict[str, Any] | None) -> None:
        """Take the engine's report of one evaluation."""
        for path, file in (coverage or {}).get("files", {}).items():
            if path in self._all:
                covered = _numbers(file.get("covered"))
                self._covered[path] |= covered
                self._all[path] |= covered | _numbers(file.get("not_covered"))

    def report(self) -> tuple[FileCoverage, ...]:
        """What was reached, by file."""
        return tuple(
            FileCoverage(path, len(self._covered[path]), tuple(sorted(lines - self._covered[path])))
            for path, lines in sorted(self._all.items())
        )

    def percent(self) -> float:
        """Reached lines of all modules but the tests."""
        lines = sum(map(len, self._all.values()))
        return 100.0 * sum(map(len, self._covered.values())) / lines if lines else 0.0


def _numbers(ranges: list[dict[str, Any]] | None) -> set[int]:
    numbers: set[int] = set()
    for part in ranges or []:
        numbers |= set(range(part["start"]["row"], part["end"]["row"] + 1))
    return numbers

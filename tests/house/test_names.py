"""Tests mirror the source, so that whoever changes a module knows where its tests are."""

from __future__ import annotations

import ast
from pathlib import Path

EXCEPTIONS = Path(__file__).resolve().parents[1] / "golden" / "untested.txt"
BARRED = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


def test_every_module_has_its_test_file(root: Path, sources: list[Path]) -> None:
    """gateway/sekisho/a/b.py is tested by tests/gateway/a/test_b.py; exceptions only shrink."""
    missing = {
        path.relative_to(root).as_posix()
        for path in sources
        if _has_code(path) and not _test_of(path, root).exists()
    }
    allowed = {
        line.split("#")[0].strip()
        for line in EXCEPTIONS.read_text().splitlines()
        if line.split("#")[0].strip()
    }
    new = sorted(missing - allowed)
    assert not new, f"write a test file for each: {new}"
    done = sorted(allowed - missing)
    assert not done, f"take these out of tests/golden/untested.txt, they have tests: {done}"


def test_no_module_has_a_name_that_says_nothing(sources: list[Path]) -> None:
    """A module named `utils` collects what nobody thought about."""
    assert not [path for path in sources if path.stem in BARRED]


def _has_code(path: Path) -> bool:
    """Whether a module does something: values, Protocols and migrations alone do not.

    Migrations are tested as a whole, against the declared tables.
    """
    if path.name == "__main__.py" or "migrations" in path.parts:
        return False
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_stub(node)
        for node in ast.walk(ast.parse(path.read_text()))
    )


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A method of a Protocol: a docstring and `...` at most."""
    return all(
        isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in node.body
    )


def _test_of(path: Path, root: Path) -> Path:
    part = "gateway" if path.is_relative_to(root / "gateway") else "audit"
    inner = path.relative_to(root / part).parts[1:]
    if inner[-1] == "__init__.py":
        inner = (*inner[:-2], f"{inner[-2]}.py") if len(inner) > 1 else ("init.py",)
    return root.joinpath("tests", part, *inner[:-1], f"test_{inner[-1]}")

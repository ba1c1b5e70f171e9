"""Modules and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
# One file by promise: an auditor runs it without installing anything.
SINGLE_FILES = {"audit/sekisho_audit/exports/standalone.py": 750}


def test_no_module_is_longer_than_a_reading(root: Path, sources: list[Path]) -> None:
    """A longer one is two modules."""
    long = {
        path.relative_to(root).as_posix(): count
        for path in sources
        if (count := len(path.read_text().splitlines()))
        > SINGLE_FILES.get(path.relative_to(root).as_posix(), MODULE_LINES_MAX)
    }
    assert not long, f"split: {long}"


def test_no_function_is_longer_than_a_screen(root: Path, sources: list[Path]) -> None:
    """A longer one hides steps that have names."""
    long = {
        f"{path.relative_to(root)}:{node.lineno} {node.name}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert not long, f"split: {sorted(long)}"


def test_every_module_says_what_it_promises(root: Path, sources: list[Path]) -> None:
    """The docstring is what a reader meets first; an empty __init__ needs none."""
    silent = [
        path.relative_to(root).as_posix()
        for path in sources
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"begin with a docstring: {silent}"

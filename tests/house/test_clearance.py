"""Proof that an exchange may leave comes from one place."""

from __future__ import annotations

import ast
from pathlib import Path

MAKER = "gateway/sekisho/stages/clear.py"


def test_only_the_stage_clear_makes_a_clearance(root: Path, sources: list[Path]) -> None:
    """No other module calls the constructor, under any name, or copies one with changes."""
    makers = {
        path.relative_to(root).as_posix()
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Clearance"
    }
    assert makers == {MAKER}


def test_a_clearance_is_imported_under_its_own_name(sources: list[Path]) -> None:
    """An alias would hide a constructor call from the test above."""
    aliases = [
        (path.name, name.asname)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in node.names
        if name.asname and (name.name == "Clearance" or name.name.endswith("clearance"))
    ]
    assert not aliases


def test_nobody_replaces_parts_of_a_clearance(root: Path, sources: list[Path]) -> None:
    """`dataclasses.replace` would make a new proof from an old one."""
    edited = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"replace", "dataclasses.replace", "copy.replace"}
        and node.args
        and ast.unparse(node.args[0]).split(".")[-1] in {"clearance", "recorded"}
    ]
    assert not edited, f"cleared things are not edited: {edited}"

"""Writes what is generated from the code: `python -m support.reference`.

That is docs/reference/settings.md, errors.md, events.md and policy.md, the file of audit/schemas
and those of policies/schema. Tests compare them, so a setting, an error code, a field of an event
or of the contract with policy cannot exist undocumented.
Run it from tests/ with the project's interpreter after adding one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sekisho.config import Settings
from sekisho.config.load import sections
from sekisho.errors import SekishoError
from support import event_reference, policy_reference, policy_schemas
from support.advice import WHAT_TO_DO

ROOT = Path(__file__).resolve().parents[2]
SETTINGS_PAGE = ROOT / "docs" / "reference" / "settings.md"
ERRORS_PAGE = ROOT / "docs" / "reference" / "errors.md"
EVENTS_PAGE = ROOT / "docs" / "reference" / "events.md"
POLICY_PAGE = ROOT / "docs" / "reference" / "policy.md"
SCHEMAS_FILE = ROOT / "audit" / "schemas" / "events-v1.json"
SOURCES = ROOT / "gateway" / "sekisho"

_LISTED = {"anchors", "backends", "issuers", "notify.channels"}
_SETTINGS_HEAD = """\
# Settings

A TOML file, by default `sekisho.toml`; `SEKISHO_SECTION__NAME` overrides any value, lists are given
as JSON. Relative paths are relative to the file. An unknown key is a fault. Generated from
`gateway/sekisho/config/sections.py` (`make fmt` does not touch it; see CONTRIBUTING.md).
"""

_ERRORS_HEAD = """\
# Error codes

Every refusal has the OpenAI shape, `{"error": {"message", "type", "param", "code"}}`. The codes
below are stable; messages are for people, say more, and may change. Codes with status 500 that name
something of an installation are those of commands. Generated from the source and
`tests/support/advice.py`; see CONTRIBUTING.md.

| code | status | what to do | where |
|---|---|---|---|
"""


def settings_page() -> str:
    """The reference of all settings."""
    parts = [_SETTINGS_HEAD]
    tables = sections()
    top = {name: field for name, field in Settings.model_fields.items() if name not in tables}
    parts.append(_table("Top level", None, top))
    for name, model in tables.items():
        title = f"[[{name}]]" if name in _LISTED else f"[{name}]"
        fields = {
            key: field for key, field in model.model_fields.items() if f"{name}.{key}" not in tables
        }
        parts.append(_table(title, model.__doc__, fields))
    return "\n".join(parts)


def _table(title: str, text: str | None, fields: dict[str, FieldInfo]) -> str:
    lines = [f"## {title}", ""]
    if text:
        lines += [text.strip(), ""]
    lines += ["| setting | default | bounds | why |", "|---|---|---|---|"]
    for name, field in fields.items():
        lines.append(
            f"| `{name}` | {_default(field)} | {_bounds(field)} | {field.description or ''} |"
        )
    return "\n".join([*lines, ""])


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the shipped pack"
    if field.default is PydanticUndefined:
        return "required"
    return "absent" if field.default is None else f"`{field.default}`"


def _bounds(field: FieldInfo) -> str:
    words = get_args(field.annotation)
    if words and all(isinstance(word, str) for word in words):
        return " ".join(f"`{word}`" for word in words)
    found: dict[str, Any] = {}
    for part in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤")):
            value = getattr(part, name, None)
            if value is not None:
                found[sign] = value
    return " ".join(f"{sign} {value}" for sign, value in found.items())


def errors_page() -> str:
    """The reference of all error codes."""
    found: dict[tuple[str, int], set[str]] = {}
    for code, status, where in _codes():
        found.setdefault((code, status), set()).add(where)
    return _ERRORS_HEAD + "".join(
        f"| `{code}` | {status} | {WHAT_TO_DO.get(code, '')} | "
        f"{', '.join(sorted(found[code, status]))} |\n"
        for code, status in sorted(found)
    )


def codes() -> set[str]:
    """Every code there is."""
    return {code for code, _, _ in _codes()}


def _codes() -> Iterator[tuple[str, int, str]]:
    """Every code with its status and file, read from the source: importing would miss modules."""
    trees = {
        path.relative_to(SOURCES).as_posix(): ast.parse(path.read_text())
        for path in sorted(SOURCES.rglob("*.py"))
    }
    statuses = _statuses(trees.values())
    for where, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in statuses:
                code = _constant(node, "code")
                if code is not None:
                    yield str(code), statuses[node.name], where
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                for given in node.keywords:
                    known = given.arg == "code" and isinstance(given.value, ast.Constant)
                    if known and node.func.id in statuses:
                        yield str(ast.literal_eval(given.value)), statuses[node.func.id], where


def _statuses(trees: Iterable[ast.Module]) -> dict[str, int]:
    """The HTTP status of every class below SekishoError, own or inherited."""
    classes = {
        node.name: node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {SekishoError.__name__: SekishoError.status}
    grown = True
    while grown:
        grown = False
        for name, node in classes.items():
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            parent = next((base for base in bases if base in found), None)
            if name not in found and parent is not None:
                found[name] = int(_constant(node, "status") or found[parent])
                grown = True
    return found


def _constant(node: ast.ClassDef, name: str) -> Any:
    """The value of `name = constant` in a class body, or None."""
    for line in node.body:
        if not isinstance(line, ast.Assign) or not isinstance(line.value, ast.Constant):
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in line.targets):
            return line.value.value
    return None


def main() -> None:
    """Write them all."""
    SETTINGS_PAGE.write_text(settings_page())
    ERRORS_PAGE.write_text(errors_page())
    EVENTS_PAGE.write_text(event_reference.events_page())
    POLICY_PAGE.write_text(policy_reference.policy_page())
    SCHEMAS_FILE.write_text(event_reference.schemas_file())
    policy_schemas.main()


if __name__ == "__main__":
    main()

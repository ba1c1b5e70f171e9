"""Makes docs/reference/events.md and the file of schemas from the tables of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sekisho_audit import otel
from sekisho_audit.events import NOT_YET_WRITTEN, RESERVED, TYPES
from sekisho_audit.kinds import KINDS, EventType, Field
from sekisho_audit.schemas import ENVELOPE, UNSAID, document

_COLUMNS = 100

_HEAD = f"""\
# Events

Everything that the ledger holds, by type. Other programs find the same in
[events-v1.json](../../audit/schemas/events-v1.json) (JSON Schema, draft 2020-12; one schema a type,
`urn:sekisho:event:<type>:1`); [SPEC.md](../../audit/SPEC.md) has the bytes and the rules between
events. Generated from `audit/sekisho_audit`; see CONTRIBUTING.md.

Types and optional fields may be added under version 1; nothing is renamed, narrowed or taken away.
Validate with the file of the newest release that wrote the ledger: it takes what older ones wrote.

What the schemas do not say:

{chr(10).join(f"- {line}" for line in UNSAID)}

Where OpenTelemetry has a name for a field, it is given, as of
{otel.CONVENTIONS}. The status of all of them is {otel.STATUS}.
"""


def schemas_file() -> str:
    """The file of schemas, in lines short enough to read and to compare."""
    return _pretty(document(), "") + "\n"


def _pretty(value: Any, indent: str) -> str:
    short = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(short) <= _COLUMNS or not isinstance(value, dict | list):
        return short
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {_pretty(item, inner)}" for name, item in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    parts = [_pretty(item, inner) for item in value]
    return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}]"


def events_page() -> str:
    """The reference of all events."""
    return "\n".join(
        [_HEAD, _envelope(), _kinds(), *(_event(kind, known) for kind, known in TYPES.items())]
    )


def _envelope() -> str:
    lines = ["## Members of every event", "", "| member | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in ENVELOPE.items()), ""])


def _kinds() -> str:
    lines = ["## What fields hold", "", "| kind | values |", "|---|---|"]
    return "\n".join([*lines, *(f"| {kind.name} | {kind.says} |" for kind in KINDS), ""])


def _event(kind: str, known: EventType) -> str:
    lines = [f"## {kind}", "", f"{known.when} {_needs(kind, known)}", ""]
    if known.fields:
        lines += [*_fields(known, otel.ATTRIBUTES.get(kind, {})), ""]
    payloads = [f"- `{name}`: {text}." for name, text in known.payloads.items()]
    payloads += [
        f"- `{name}` (optional): {text}." for name, text in known.optional_payloads.items()
    ]
    if payloads:
        lines += ["Payloads:", "", *payloads, ""]
    return "\n".join(lines)


def _needs(kind: str, known: EventType) -> str:
    needed = [
        name for name, needs in (("exchange", known.exchange), ("actor", known.actor)) if needs
    ]
    said = [f"Needs {' and '.join(needed)}." if needed else "Needs neither exchange nor actor."]
    if kind in RESERVED:
        said.append("Written by auditd alone.")
    if kind in NOT_YET_WRITTEN:
        said.append("Not yet emitted.")
    return " ".join(said)


def _fields(known: EventType, names: Mapping[str, otel.Attribute]) -> list[str]:
    lines = ["| field | holds | meaning |", "|---|---|---|"]
    lines += [_row(name, field, "") for name, field in known.required.items()]
    lines += [_row(name, field, "optional ") for name, field in known.optional.items()]
    if not names:
        return lines
    told = ["OpenTelemetry", "---", *(_attributes(name, names) for name in known.fields)]
    return [f"{line} {attribute} |" for line, attribute in zip(lines, told, strict=True)]


def _row(name: str, field: Field, optional: str) -> str:
    holds = field.kind.name or f"one of {field.kind.says}"
    unit = f" Unit: {field.unit}." if field.unit else ""
    return f"| `{name}` | {optional}{holds} | {field.means}{unit} |"


def _attributes(name: str, names: Mapping[str, otel.Attribute]) -> str:
    found = []
    for path, attribute in names.items():
        if path.split(".")[0] == name:
            member = "" if path == name else f"`{path}`: "
            differs = f" ({attribute.differs})" if attribute.differs else ""
            found.append(f"{member}`{attribute.name}`{differs}")
    return ", ".join(found)

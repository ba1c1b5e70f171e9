"""Policy inputs and bundles for tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[2] / "policies"

RUNAWAY = """package packs.team.runaway

deny contains {"code": "never", "msg": "Never."} if {
	input.request.model == "runaway"
	some a in numbers.range(1, 800)
	some b in numbers.range(1, 800)
	a + b == -1
}
"""
"""Seconds for any engine, far beyond every deadline of the tests, and then over: nothing can cancel
it, so a test that left one running for good would slow down all that follow."""


def document(**changes: Any) -> dict[str, Any]:
    """A policy input that the shipped rules allow; `request__model="x"` changes one member."""
    made: dict[str, Any] = {
        "schema": "sekisho.input/v1",
        "stage": "request",
        "exchange": "0192e4a0-0000-7000-8000-000000000001",
        "principal": {
            "id": "staff-7",
            "groups": ["employees"],
            "roles": ["employee"],
            "training_until": None,
            "authentication": "api_key",
        },
        "request": {
            "endpoint": "chat.completions",
            "model": "model-1",
            "assistant": None,
            "backend": "backend-1",
            "trust": "external",
            "mode": "assistant",
            "stream": False,
            "max_tokens": None,
            "estimated_tokens": 10,
            "tools": [],
            "hosted": [],
            "unknown_fields": [],
        },
        "tool": None,
        "content": {
            "labels": [],
            "entities": {},
            "chars": 40,
            "hidden_chars": 0,
            "opaque_chars": 0,
            "size": "small",
        },
        "approval": {"state": "none", "by": []},
        "context": {
            "time_ns": 1_700_000_000_000_000_000,
            "office_hours": True,
            "ip": "192.0.2.1",
            "spend": None,
            "limits": None,
            "halt": False,
        },
    }
    for name, value in changes.items():
        part, _, member = name.partition("__")
        if member:
            made[part][member] = value
        else:
            made[part] = value
    return made


def bundle(folder: Path, **files: str) -> Path:
    """A copy of the shipped bundle in `folder` with more files: `packs__team__a` is a rule file."""
    made = folder / "policies"
    shutil.copytree(SHIPPED, made)
    for name, source in files.items():
        path = made / (name.replace("__", "/") + ".rego")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    return made

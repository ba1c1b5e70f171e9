"""Policy inputs and bundles for tests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

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
            "training": "none",
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
            "weekday": "wed",
            "hour": 10,
            "content_days": 180,
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


def call(name: str = "crm.read", **changes: Any) -> dict[str, Any]:
    """A policy input about a call of a function that the request offered."""
    tool = {"name": name, "arguments": {}, "whole": True}
    about = {"stage": "tool_call", "request__mode": "copilot", "request__tools": [name]}
    return document(**{**about, "tool": tool, **changes})


def answer(**changes: Any) -> dict[str, Any]:
    """A policy input about a whole answer; `content` is what the scanner saw of that."""
    return document(**{"stage": "response", **changes})


def bundle(folder: Path, **files: str) -> Path:
    """A copy of the shipped bundle in `folder` with more files: `packs__team__a` is a rule file."""
    made = folder / "policies"
    shutil.copytree(SHIPPED, made)
    for name, source in files.items():
        path = made / (name.replace("__", "/") + ".rego")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    give_modes(made)
    return made


def give_modes(directory: Path) -> None:
    """Make modes of data.yaml name the packs that are there, new ones enforced."""
    packs = sorted({rule.parent.name for rule in directory.glob("packs/*/*.rego") if _runs(rule)})
    data = directory / "data.yaml"
    known = yaml.safe_load(data.read_text("utf-8")).get("modes", {})
    if packs == sorted(known):
        return
    lines = "".join(f'  {pack}: "{known.get(pack, "enforce")}"\n' for pack in packs)
    text = re.sub(
        r"^modes:\n(  .*\n)*", f"modes:\n{lines}", data.read_text("utf-8"), flags=re.MULTILINE
    )
    data.write_text(text if lines else text.replace("modes:\n", "modes: {}\n"), "utf-8")


def _runs(rule: Path) -> bool:
    return not rule.name.endswith("_test.rego")

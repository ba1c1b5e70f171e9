"""deploy/opa: its two policies by the real engine, and that they fit what the gateway asks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from opa_bindings import OpaEngine

from sekisho.adapters.opa_channel import OpaChannel, OpaPlace
from support.opa_data_api import data_api
from support.rules import document

FOLDER = Path(__file__).parents[2] / "deploy" / "opa"


@pytest.fixture
def engine() -> Iterator[OpaEngine]:
    with OpaEngine() as made:
        for path in sorted(FOLDER.glob("*.rego")):
            made.add_policy(path.name, path.read_text("utf-8"))
        yield made


@pytest.mark.parametrize("package", ["system.authz_test", "system.log_test"])
def test_the_policies_own_tests(engine: OpaEngine, package: str) -> None:
    """As `opa test deploy/opa` runs them; each rule named test_ is true."""
    source = (FOLDER / f"{'authz' if 'authz' in package else 'mask'}_test.rego").read_text("utf-8")
    named = [line.split()[0] for line in source.splitlines() if line.startswith("test_")]
    values = engine.eval_document(package)

    assert named
    assert dict.fromkeys(named, True) == {name: values.get(name) for name in named}


async def test_what_the_gateway_asks_is_allowed(engine: OpaEngine) -> None:
    """The very path that the channel sends, as OPA hands it to its policy."""
    with data_api(None) as api:
        channel = OpaChannel(OpaPlace(api.url), 5.0)
        await channel.open()
        await channel.ask(document())
        await channel.close_connection()
    (asked,) = api.seen
    path = urlsplit(asked.path).path.strip("/").split("/")

    assert engine.eval_document("system.authz.allow", {"method": asked.method, "path": path})


def test_the_mask_leaves_nothing_of_a_person(engine: OpaEngine) -> None:
    """Every pointer that it gives names a member of the facts, and people and places are among
    them.
    """
    facts = document(tool={"name": "crm.read", "arguments": {"id": 1}})
    pointers = engine.eval_document("system.log.mask", {"input": facts})

    assert all(_at({"input": facts}, pointer) is not _ABSENT for pointer in pointers)
    assert {"/input/principal/id", "/input/context/ip", "/input/tool/arguments"} <= set(pointers)


_ABSENT = object()


def _at(node: Any, pointer: str) -> Any:
    for step in pointer.strip("/").split("/"):
        if not isinstance(node, dict) or step not in node:
            return _ABSENT
        node = node[step]
    return node


def test_the_configuration_is_readable() -> None:
    """One bundle, polled within the time that a reload waits, and a decision log with the mask."""
    told = yaml.safe_load((FOLDER / "opa.yaml").read_text("utf-8"))

    assert ["sekisho"] == list(told["bundles"])
    assert told["bundles"]["sekisho"]["polling"]["max_delay_seconds"] < 60
    assert "/system/log/mask" == told["decision_logs"]["mask_decision"]


def test_the_command_line() -> None:
    """The shell reads it, and it asks OPA for authorization."""
    script = FOLDER / "run.sh"
    assert 0 == subprocess.run(["sh", "-n", str(script)], check=False).returncode
    assert "--authorization=basic" in script.read_text("utf-8")

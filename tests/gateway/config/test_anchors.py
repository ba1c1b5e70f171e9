"""Anchors in the settings: each kind has what it needs and nothing that means nothing to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sekisho.config.anchors import AnchorSettings
from sekisho_audit.anchors.options import plan
from sekisho_audit.cosignature import Cosigner

KEY = Cosigner("w.example/1", bytes(32)).key.line()
PIN = {"name": "nas", "kind": "pin", "path": "/nas"}
WITNESS = {"name": "w1", "kind": "witness", "url": "https://w.example/w/", "keys": [KEY]}


@pytest.mark.parametrize("about", [PIN, WITNESS], ids=["pin", "witness"])
def test_auditd_takes_what_the_settings_say(about: dict[str, Any]) -> None:
    """One form in the file and on the command line."""
    settings = AnchorSettings(**about)
    [planned] = plan([settings.argument()], "ledger.example/test")
    assert (planned.anchor.name, planned.interval_s) == (about["name"], 300)
    assert None not in json.loads(settings.argument()).values()


WRONG: dict[str, dict[str, Any]] = {
    "needs path": {"name": "nas", "kind": "pin"},
    "needs keys": {"name": "w1", "kind": "witness", "url": "https://w.example"},
    "needs roots": {"name": "tsa", "kind": "rfc3161", "url": "https://tsa.example"},
    "has no url": {**PIN, "url": "https://w.example"},
    "has no path": {**WITNESS, "path": "/nas"},
    "whole path": {**PIN, "path": "nas"},
    "name": {**PIN, "name": "Na S"},
    "kind": {**PIN, "kind": "blockchain"},
    "interval_s": {**PIN, "interval_s": 0.5},
    "url": {**WITNESS, "url": "https://user:pass@w.example"},
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_is_named(fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        AnchorSettings(**WRONG[fault])

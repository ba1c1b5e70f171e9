"""Anchors of a command line: described whole, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.anchors.options import INTERVAL_S, BadAnchor, plan
from sekisho_audit.checkpoint import Signer
from sekisho_audit.cosignature import Cosigner

ORIGIN = "ledger.example/test"
KEY = Cosigner("w.example/1", bytes(32)).key.line()
PIN = {"kind": "pin", "name": "nas", "path": "/nas"}
WITNESS = {"kind": "witness", "name": "w1", "url": "https://w.example", "keys": [KEY]}


def planned(*abouts: Any) -> list[tuple[str, str, float]]:
    found = plan([json.dumps(about) for about in abouts], ORIGIN)
    return [(one.anchor.name, one.anchor.kind, one.interval_s) for one in found]


def test_each_kind_is_built() -> None:
    assert planned(PIN, {**WITNESS, "interval_s": 60, "monitor_url": "https://m.example"}) == [
        ("nas", "pin", INTERVAL_S),
        ("w1", "witness", 60.0),
    ]
    assert planned() == []


WRONG: dict[str, Any] = {
    "a text": "pin",
    "no kind": {"name": "a"},
    "another kind": {**PIN, "kind": "blockchain"},
    "no name": {"kind": "pin", "path": "/nas"},
    "a path as name": {**PIN, "name": "../nas"},
    "a long name": {**PIN, "name": "n" * 33},
    "no place": {"kind": "pin", "name": "nas"},
    "more": {**PIN, "url": "https://w.example"},
    "too often": {**PIN, "interval_s": 0},
    "not a number": {**PIN, "interval_s": True},
    "not a time": {**PIN, "interval_s": "300"},
    "too slow": {**WITNESS, "timeout_s": 3600},
    "no url": {**WITNESS, "url": "w.example"},
    "a list as url": {**WITNESS, "url": ["https://w.example"]},
    "no keys": {**WITNESS, "keys": []},
    "a ledger's key": {**WITNESS, "keys": [Signer("w.example/1", bytes(32)).key.line()]},
    "no such authorities": {**WITNESS, "ca_file": "/nowhere/ca.pem"},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_described_whole_is_refused(case: str) -> None:
    """At start, not when it is used for the first time."""
    with pytest.raises(BadAnchor):
        planned(WRONG[case])


def test_no_json_is_refused(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"kind": "pin"'):
        with pytest.raises(BadAnchor):
            plan([text], ORIGIN)


def test_names_are_unique_and_few() -> None:
    with pytest.raises(BadAnchor, match="one name"):
        planned(PIN, {**WITNESS, "name": "nas"})
    with pytest.raises(BadAnchor, match="at most"):
        planned(*[{**PIN, "name": f"n{number}"} for number in range(17)])

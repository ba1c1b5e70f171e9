"""Leaves of one type are found without reading the others, also in a ledger that is broken."""

from __future__ import annotations

from pathlib import Path

from sekisho_audit.canon import decode
from sekisho_audit.needles import leaves_of_type
from sekisho_audit.scan import EVENTS, frames, segments
from support.ledgers import small_ledger


def test_all_of_a_type_are_found_in_order(memory_path: Path) -> None:
    ledger = small_ledger(memory_path, segment_bytes=1_000)
    every = [decode(f.body) for s in segments(ledger, EVENTS) for f in frames(s, EVENTS)]
    for kind in {leaf["type"] for leaf in every}:
        found = list(leaves_of_type(ledger, kind))
        assert [leaf for leaf, _ in found] == [leaf for leaf in every if leaf["type"] == kind]
        assert all(decode(body) == leaf for leaf, body in found)
    assert list(leaves_of_type(ledger, "audit.key_rotated")) == []


def test_what_is_broken_is_passed_over(memory_path: Path) -> None:
    ledger = small_ledger(memory_path, segment_bytes=1_000)
    (ledger / "events" / "000000999999.seg").write_bytes(b"")
    path = segments(ledger, EVENTS)[0].path
    path.write_bytes(path.read_bytes()[:-1])
    assert len(list(leaves_of_type(ledger, "audit.boot"))) == 1
    (ledger / "events" / "x").write_bytes(b"")
    assert len(list(leaves_of_type(ledger, "audit.boot"))) == 1

"""The files of a pruning: read whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sekisho_audit.pruned import (
    BadPruned,
    encode_state,
    fits_hashes,
    parse_state,
    read_pruned,
    records,
    stored_hashes,
)
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tree import CompactRange
from support.ledgers import small_ledger
from support.old_ledgers import old_ledger, pruned_ledger


def test_a_ledger_that_was_never_pruned(memory_path: Path) -> None:
    ledger = small_ledger(memory_path)
    assert read_pruned(ledger) is None
    assert stored_hashes(ledger, 0, 5) == []
    assert records(ledger) == []


def test_hashes_are_those_of_the_leaves_that_went(memory_path: Path) -> None:
    ledger = pruned_ledger(memory_path)
    pruned = read_pruned(ledger)
    assert pruned is not None
    assert stored_hashes(ledger, 2, 3) == list(pruned.hashes())[2:5]
    edge = CompactRange()
    for digest in pruned.hashes():
        edge.append(digest)
    assert edge.root().hex() == pruned.root
    assert fits_hashes(ledger, pruned.size, pruned.root)
    assert not fits_hashes(ledger, pruned.size, "00")
    assert not fits_hashes(ledger, pruned.size - 1, pruned.root)
    first = segments(ledger, EVENTS)[0]
    assert first.first == pruned.size
    assert [one.names(pruned) for one in records(ledger)] == [True]


def test_nothing_of_what_was_said_is_left(memory_path: Path) -> None:
    """Ids and pseudonyms that rules need, for as long as they need them; no leaf of before."""
    whole = old_ledger(memory_path / "a")
    first = next(iter(frames(segments(whole, EVENTS)[0], EVENTS)))
    raw = (pruned_ledger(memory_path / "b") / "pruned" / "state").read_bytes()
    assert first.body not in raw
    assert b"what was asked" not in raw
    assert b'"n":3,' not in raw


@pytest.mark.parametrize(
    "wrong",
    [{"format": "x"}, {"size": 0}, {"size": -1}, {"size": "9"}, {"payloads": None}, {"more": 1}],
)
def test_another_form_is_refused(memory_path: Path, wrong: dict[str, object]) -> None:
    ledger = pruned_ledger(memory_path)
    raw = (ledger / "pruned" / "state").read_bytes()
    said = json.loads(raw)
    with pytest.raises(BadPruned):
        parse_state(ledger, encode_state({**said, **wrong}))
    with pytest.raises(BadPruned, match="canonical"):
        parse_state(ledger, raw + b"\n")
    with pytest.raises(BadPruned):
        parse_state(ledger, b"[1]")

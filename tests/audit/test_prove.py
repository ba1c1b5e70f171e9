"""Proofs from a directory alone: under its last checkpoint, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit import prove as module
from sekisho_audit.checkpoint import BadNote, VerifierKey
from sekisho_audit.prove import NotProvable, prove
from support.ledgers import open_ledger, run_exchange, small_ledger


def test_every_event_under_the_checkpoint_is_proved(tmp_path: Path) -> None:
    ledger = small_ledger(tmp_path)
    key = VerifierKey.parse((ledger / "vkey").read_text().strip())
    proofs = list(prove(ledger, lambda _: True))
    assert [proof.index for proof in proofs] == list(range(len(proofs)))
    assert {proof.check(key).size for proof in proofs} == {len(proofs)}


def test_events_behind_the_checkpoint_are_not(tmp_path: Path) -> None:
    """The writer goes on while somebody proves."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    ledger.write_checkpoint()
    signed = ledger.size
    run_exchange(ledger, "s-1")
    assert len(list(prove(ledger.directory, lambda _: True))) == signed
    with pytest.raises(NotProvable, match="behind the checkpoint"):
        list(prove(ledger.directory, lambda leaf: leaf["n"] == signed))
    ledger.close()


def test_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROOFS_MAX", 3)
    with pytest.raises(NotProvable, match="name one exchange"):
        list(prove(small_ledger(tmp_path), lambda _: True))


def test_a_checkpoint_of_another_key_proves_nothing(tmp_path: Path) -> None:
    ledger, other = small_ledger(tmp_path / "a"), small_ledger(tmp_path / "b")
    (ledger / "checkpoint").write_bytes((other / "checkpoint").read_bytes())
    with pytest.raises(BadNote):
        list(prove(ledger, lambda _: True))

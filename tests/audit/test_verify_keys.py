"""An auditor with an old key is led to the new one; a thief of the old one gets nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.ledger import Ledger
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Report, Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tree import leaf_hash, root_of
from sekisho_audit.verify import verify
from support.ledgers import ORIGIN, open_ledger, run_exchange


def grown(home: Path, *, rotations: int = 1) -> Ledger:
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    for _ in range(rotations):
        run_exchange(ledger, "s-1")
        ledger.rotate_key()
    run_exchange(ledger, "s-1")
    ledger.close()
    return ledger


def bodies(directory: Path) -> list[bytes]:
    return [f.body for one in segments(directory, EVENTS) for f in frames(one, EVENTS)]


def said(report: Report) -> str:
    return " ".join(str(fault) for fault in (*report.faults, *report.doubts))


@pytest.mark.parametrize("rotations", [1, 3])
def test_every_key_of_the_chain_will_do(tmp_path: Path, rotations: int) -> None:
    """The oldest that an auditor kept, any between, the one in force; the report names them."""
    ledger = grown(tmp_path, rotations=rotations)
    assert len(ledger.keys) == rotations + 1
    for key in (*ledger.keys, None):
        report = verify(ledger.directory, key=key)
        assert report.verdict == Verdict.SOUND, said(report)
        assert len(report.keys) == rotations
        assert ledger.keys[0].line() in report.keys[0]


def test_a_stray_file_is_named_and_nothing_else(tmp_path: Path) -> None:
    """It hides no segment: changes of keys are found beside it."""
    ledger = grown(tmp_path, rotations=2)
    for family in ("events", "payloads"):
        (ledger.directory / family / "notes.txt").write_bytes(b"mine")
    report = verify(ledger.directory, key=ledger.keys[0])
    assert sorted(fault.file or "" for fault in report.faults) == [
        "events/notes.txt",
        "payloads/notes.txt",
    ]
    assert (report.verdict, report.doubts) == (Verdict.TAMPERED, [])
    assert report.size == ledger.size


def test_a_receipt_and_a_pin_of_the_old_key_hold(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    sent = run_exchange(ledger, "s-1")
    old, note, seed = ledger.key, ledger.note(), (tmp_path / "keys" / "signing.key").read_bytes()
    ledger.rotate_key()
    ledger.close()
    leaves = bodies(ledger.directory)
    index = next(at for at, body in enumerate(leaves) if sent.id.encode() in body)
    receipt = Receipt(index, leaf_hash(leaves[index]), note)
    for key in (old, ledger.key):
        report = verify(ledger.directory, key=key, pinned=note, receipt=receipt)
        assert report.verdict == Verdict.SOUND, said(report)
    forged = Signer(ORIGIN, seed).sign(Checkpoint(ORIGIN, ledger.size, root_of([])))
    assert verify(ledger.directory, key=old, pinned=forged).verdict != Verdict.SOUND


def test_a_thief_of_the_old_key_signs_nothing_new(tmp_path: Path) -> None:
    """The checkpoint over all events, signed with the key that was replaced."""
    ledger = open_ledger(tmp_path)
    stolen = (tmp_path / "keys" / "signing.key").read_bytes()
    old = ledger.key
    ledger.rotate_key()
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.close()
    directory = ledger.directory
    root = root_of([leaf_hash(body) for body in bodies(directory)])
    thief = Signer(ORIGIN, stolen)
    (directory / "checkpoint").write_bytes(thief.sign(Checkpoint(ORIGIN, ledger.size, root)))
    (directory / "vkey").write_text(f"{old.line()}\n")
    for key in (old, ledger.keys[-1]):
        report = verify(directory, key=key)
        assert report.verdict == Verdict.TAMPERED
        assert "no signature by the key" in said(report)


def test_a_key_that_was_never_in_force_is_none(tmp_path: Path) -> None:
    ledger = grown(tmp_path)
    stranger = Signer(ORIGIN, bytes(32)).key
    assert "never in force" in said(verify(ledger.directory, key=stranger))
    assert verify(ledger.directory, key=stranger).verdict == Verdict.TAMPERED


def test_a_vkey_of_before_is_a_fault_or_an_unfinished_change(tmp_path: Path) -> None:
    """Killed between the event and the new vkey: nothing was tampered with, nothing is sound."""
    ledger = grown(tmp_path, rotations=2)
    line = {key: f"{key.line()}\n" for key in ledger.keys}
    (ledger.directory / "vkey").write_text(line[ledger.keys[1]])
    report = verify(ledger.directory, key=ledger.keys[0])
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert "not finished" in said(report)
    (ledger.directory / "vkey").write_text(line[ledger.keys[0]])
    assert verify(ledger.directory, key=ledger.keys[0]).verdict == Verdict.TAMPERED


def test_history_before_a_change_cannot_be_another(tmp_path: Path) -> None:
    """Both keys signed the events before; the thief of the new key alone cannot replace them."""
    ledger = grown(tmp_path)
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "keys", other / "keys")
    (other / "keys" / "last-signed").unlink()
    twin = open_ledger(other)
    twin.open_session("s-1", 1)
    run_exchange(twin, "s-1")
    twin.close()
    report = verify(twin.directory, key=ledger.keys[0])
    assert report.verdict == Verdict.TAMPERED
    assert VerifierKey.parse(ledger.keys[0].line()) != twin.key

"""What is signed: once for each size, published whole, under the key in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.checkpoint import Checkpoint, open_note
from sekisho_audit.hand_over import HandOver
from sekisho_audit.last_signed import LastSigned
from sekisho_audit.signed_notes import SignedNotes

ORIGIN = "ledger.example/test"


@pytest.fixture
def notes(tmp_path: Path) -> SignedNotes:
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "signing.key").write_bytes(bytes(32))
    hand_over = HandOver(tmp_path / "keys", tmp_path, ORIGIN, bytes(32), known=False)
    return SignedNotes(tmp_path, hand_over, LastSigned(tmp_path / "keys"))


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, bytes([size] * 32))


def test_one_note_for_each_size(notes: SignedNotes) -> None:
    """All who ask at one size are given the same bytes."""
    assert notes.known(3) == b""
    note = notes.note(checkpoint(3))
    assert notes.known(3) is note is notes.note(checkpoint(3))
    assert open_note(note, notes.key) == checkpoint(3)
    assert open_note(notes.note(checkpoint(4)), notes.key) == checkpoint(4)


def test_it_is_published_when_it_changed(tmp_path: Path, notes: SignedNotes) -> None:
    """The file, and what others are shown; the copy beside the keys at once, or in its time."""
    assert notes.write(checkpoint(1), keep=False)
    assert (tmp_path / "keys" / "last-signed").read_bytes() == notes.note(checkpoint(1))
    assert notes.write(checkpoint(1), keep=True) is None
    second = notes.write(checkpoint(2), keep=False)
    assert (tmp_path / "checkpoint").read_bytes() == second
    assert notes.signed == (checkpoint(2), second)
    assert (tmp_path / "keys" / "last-signed").read_bytes() == notes.note(checkpoint(1))
    third = notes.write(checkpoint(3), keep=True)
    assert (tmp_path / "keys" / "last-signed").read_bytes() == third


def test_a_new_key_signs_from_its_event_on(tmp_path: Path, notes: SignedNotes) -> None:
    """A note of the old key is not given out again, also for the same size."""
    old, note = notes.key, notes.note(checkpoint(5))
    new, words = notes.new_key(checkpoint(5))
    assert words["old"] == old.line()
    notes.take_over(new, checkpoint(5))
    assert notes.key == new.key != old
    assert notes.note(checkpoint(5)) != note
    notes.finish_hand_over(checkpoint(6))
    published = (tmp_path / "checkpoint").read_bytes()
    assert open_note(published, old) == open_note(published, new.key) == checkpoint(6)
    assert list(notes.keys) == [old, new.key]

"""Checkpoints in a folder elsewhere: every one that our key signed must be of our history."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sekisho_audit.anchors.pin import Pin, file_name
from sekisho_audit.anchors.port import AnchorFailed, Diverged
from sekisho_audit.checkpoint import Checkpoint, Signer, open_note
from sekisho_audit.errors import SecondLedger
from sekisho_audit.last_signed import check_ancestors
from support.claims import ORIGIN, SIGNER, Grown


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "nas").mkdir()
    return tmp_path / "nas"


@pytest.fixture
def pin(place: Path) -> Pin:
    return Pin("nas", place, ORIGIN)


def names(pin: Pin) -> list[str]:
    return sorted(path.name for path in pin.folder.iterdir())


def test_each_checkpoint_has_its_file(pin: Pin) -> None:
    """Written whole, readable by nobody else, and the evidence is what was read back."""
    ledger, files = Grown(5), []
    for _ in range(3):
        evidence = pin.take(ledger.claim())
        assert open_note(evidence.files["note"], SIGNER.key) == ledger.checkpoint()
        files.append(file_name(ledger.checkpoint()))
        ledger.grow(7)
    assert names(pin) == files
    assert (pin.folder / files[0]).stat().st_mode & 0o777 == 0o600
    assert [one.checkpoint.size for one in pin.known([SIGNER.key])] == [19, 12, 5]


def test_the_same_checkpoint_twice_is_one_file(pin: Pin) -> None:
    """Killed after the file and before the event: the next start pins again."""
    ledger = Grown(5)
    assert pin.take(ledger.claim()) == pin.take(ledger.claim())
    assert len(names(pin)) == 1


def test_a_larger_checkpoint_of_ours_stops(pin: Pin, place: Path) -> None:
    """An old copy was restored, or a clone has gone on."""
    ledger = Grown(5)
    pin.take(ledger.clone().grow(4).claim())
    again = Pin("nas", place, ORIGIN)
    with pytest.raises(Diverged, match="over 9 events") as caught:
        again.take(ledger.claim())
    assert open_note(caught.value.proof, SIGNER.key).size == 9
    assert len(names(pin)) == 1


@pytest.mark.parametrize("theirs", [1, 2, 3])
def test_another_history_of_any_size_stops(pin: Pin, place: Path, theirs: int) -> None:
    """Shorter, as long, longer: the clone that pins second is the one that notices."""
    ledger = Grown(5)
    clone = ledger.clone().grow(theirs, "clone")
    ledger.grow(2)
    pin.take(clone.claim())
    with pytest.raises(Diverged):
        Pin("nas", place, ORIGIN).take(ledger.claim())


def test_both_clones_notice(pin: Pin, place: Path) -> None:
    """The one that pinned first finds the other's file at its next look."""
    ledger = Grown(5)
    pin.take(ledger.claim())
    clone, other = ledger.clone().grow(1, "clone"), Pin("nas", place, ORIGIN)
    other.take(clone.claim())
    ledger.grow(3)
    with pytest.raises(Diverged):
        pin.look(ledger.claim())
    # What was refused is not pinned, so the clone has one more try, until the first writes again.
    other.take(clone.grow(1, "clone").claim())


def test_what_our_key_did_not_sign_stops_nobody_who_runs(pin: Pin) -> None:
    """Whoever can write to the place could stop us with a made-up file; it is told all the same."""
    ledger = Grown(5)
    pin.take(ledger.claim())
    forged = Grown(50, signer=Signer(ORIGIN, bytes(32)))
    (pin.folder / file_name(forged.checkpoint())).write_bytes(forged.claim().note)
    with pytest.raises(AnchorFailed, match="not signed by our key"):
        pin.take(ledger.grow(1).claim())
    assert {one.checkpoint.size: one.signed for one in pin.known([SIGNER.key])} == {
        5: True,
        50: False,
    }


def test_a_longer_ledger_of_our_name_stops_a_start_whoever_signed_it(pin: Pin) -> None:
    """A copy of data and keys from before a change of keys does not know the later key."""
    later = Signer(ORIGIN, bytes(32))
    pin.take(Grown(9, signer=later).claim([later]))
    known = pin.known([SIGNER.key])
    with pytest.raises(SecondLedger, match="by a key that is not known here"):
        check_ancestors(known, 5, {})
    check_ancestors(known, 9, {})  # shorter ones prove nothing: anybody could have written them


def test_a_longer_ledger_of_another_name_stops_nobody(pin: Pin) -> None:
    other = Signer("other.example/log", bytes(32))
    note = other.sign(Checkpoint("other.example/log", 9, bytes(32)))
    pin.folder.mkdir(parents=True)
    (pin.folder / f"{9:012d}-{'0' * 16}.note").write_bytes(note)
    assert pin.known([SIGNER.key]) == []


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 100_000])
def test_a_file_that_is_no_note_proves_nothing(pin: Pin, body: bytes) -> None:
    ledger = Grown(5)
    pin.take(ledger.claim())
    (pin.folder / f"{9:012d}-{'0' * 16}.note").write_bytes(body)
    assert len(pin.known([SIGNER.key])) == 1
    with pytest.raises(AnchorFailed, match="not signed"):
        pin.look(ledger.claim())


def test_other_files_are_left_alone(pin: Pin) -> None:
    """A backup's own files, other ledgers' folders."""
    ledger = Grown(5)
    pin.take(ledger.claim())
    (pin.folder / ".backup-state").write_bytes(b"x")
    pin.take(ledger.grow(1).claim())
    other = Pin("nas", pin.folder.parent, "other.example/log")
    assert list(other.known([SIGNER.key])) == []
    assert other.folder != pin.folder


def test_a_missing_mount_is_no_empty_place(tmp_path: Path) -> None:
    """The folder under a mount point would take the pins and lose them with the next mount."""
    pin = Pin("nas", tmp_path / "none", ORIGIN)
    for ask in (lambda: pin.take(Grown(5).claim()), lambda: pin.known([SIGNER.key])):
        with pytest.raises(AnchorFailed, match="not there"):
            ask()
    assert not (tmp_path / "none").exists()


def test_a_place_that_cannot_be_written_is_a_failure(place: Path) -> None:
    """Also a file where the folder should be."""
    pin = Pin("nas", place, ORIGIN)
    pin.folder.write_bytes(b"")
    with pytest.raises(AnchorFailed) as caught:
        pin.take(Grown(5).claim())
    assert caught.value.cause == "disk"


def test_notes_of_earlier_keys_count(pin: Pin) -> None:
    """After a rotation the pins of the old key are as good as before."""
    old, new = SIGNER, Signer(ORIGIN, b"n" * 32)
    ledger = Grown(5)
    pin.take(ledger.claim())
    ledger.signer = new
    pin.take(ledger.grow(2).claim([old, new]))
    fork = Grown(5, branch="fork").grow(9)
    (pin.folder / file_name(fork.checkpoint())).write_bytes(fork.claim().note)
    with pytest.raises(Diverged):
        pin.look(ledger.claim([old, new]))


def test_what_is_known_at_start_is_compared(pin: Pin) -> None:
    """Before the first event is written, without tiles."""
    ledger = Grown(5)
    pin.take(ledger.claim())
    pin.take(ledger.grow(3).claim())
    known = pin.known([SIGNER.key])
    roots = {one.checkpoint.size: one.checkpoint.root for one in known}
    check_ancestors(known, 8, roots)
    with pytest.raises(SecondLedger, match=str(os.fspath(pin.folder))):
        check_ancestors(known, 7, roots)

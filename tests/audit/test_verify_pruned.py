"""The verifier on a pruned ledger: what an insider might do with its beginning is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from sekisho_audit import pruning
from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.errors import Unusable
from sekisho_audit.ledger import Ledger
from sekisho_audit.pruned import encode_state, read_pruned
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Report, Verdict
from sekisho_audit.store import frame
from sekisho_audit.tree import leaf_hash
from sekisho_audit.verify import verify
from support.ledgers import STAFF
from support.old_ledgers import (
    AUTHORITY,
    Clock,
    after_days,
    have_officer,
    live,
    open_at,
    planned,
    prune,
    pruned_ledger,
    recorded,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned ledger that went on, with the notes of before, to be copied."""
    home = tmp_path_factory.mktemp("pruned")
    clock = Clock()
    ledger = open_at(home, clock)
    live(ledger, clock, 100)
    (home / "before").write_bytes(ledger.note())
    (home / "middle").write_bytes(ledger.note())
    shutil.copytree(ledger.directory, home / "whole")
    prune(ledger, clock, after_days(200))
    live(ledger, clock, 3)
    ledger.close()
    return home


@pytest.fixture
def home(made: Path, memory_path: Path) -> Path:
    shutil.copytree(made, memory_path / "home")
    return memory_path / "home"


def told(report: Report) -> str:
    return " | ".join(map(str, (*report.faults, *report.doubts)))


def test_notes_and_receipts_of_before_still_fit(home: Path) -> None:
    """Their roots are computed from the hashes that stayed."""
    directory = home / "data" / "ledger"
    key = VerifierKey.parse((directory / "vkey").read_text().strip())
    body = (home / "whole" / "events" / "000000000000.seg").read_bytes()
    at = body.index(b"\n") + 1
    first = body[at + 36 : at + 36 + int.from_bytes(body[at : at + 4])]
    receipt = Receipt(0, leaf_hash(first), (home / "before").read_bytes())
    pinned = [(home / "before").read_bytes()]
    report = verify(directory, key=key, pinned=pinned, receipt=receipt)
    assert (report.verdict, told(report)) == (Verdict.SOUND, "")
    wrong = Receipt(0, leaf_hash(b"another"), (home / "before").read_bytes())
    assert verify(directory, key=key, receipt=wrong).verdict is Verdict.CANNOT_TELL


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    said = json.loads(path.read_bytes())
    change(said)
    path.write_bytes(encode_state(said))


def _forget_sessions(said: dict[str, object]) -> None:
    said["book"]["sessions"] = ["s-1", "s-2"]  # type: ignore[index]


def _flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(bytes(raw))


def _no_state(ledger: Path) -> None:
    (ledger / "pruned" / "state").unlink()


def _no_folder(ledger: Path) -> None:
    shutil.rmtree(ledger / "pruned")


def _no_hashes(ledger: Path) -> None:
    (ledger / "pruned" / "hashes").unlink()


def _another_hash(ledger: Path) -> None:
    _flip(ledger / "pruned" / "hashes", 40)


def _one_hash_less(ledger: Path) -> None:
    path = ledger / "pruned" / "hashes"
    path.write_bytes(path.read_bytes()[:-32])


def _one_hash_more(ledger: Path) -> None:
    path = ledger / "pruned" / "hashes"
    path.write_bytes(path.read_bytes() + bytes(32))


def _half_a_hash(ledger: Path) -> None:
    path = ledger / "pruned" / "hashes"
    path.write_bytes(path.read_bytes() + b"x")


def _another_state(ledger: Path) -> None:
    rewrite(ledger / "pruned" / "state", _forget_sessions)


def _no_json(ledger: Path) -> None:
    (ledger / "pruned" / "state").write_bytes(b"[" * 100_000)


def _one_segment_more_gone(ledger: Path) -> None:
    min((ledger / "events").iterdir()).unlink()


def _payloads_gone(ledger: Path) -> None:
    min((ledger / "payloads").iterdir()).unlink()


def _a_foreign_file(ledger: Path) -> None:
    (ledger / "pruned" / "note").write_bytes(b"")


def _forged_leaf_back(ledger: Path) -> None:
    """Somebody puts back a history of their own in place of the one that was pruned."""
    body = b'{"forged":true}'
    record = frame(leaf_hash(body), body)
    (ledger / "events" / "000000000000.seg").write_bytes(
        b"sekisho-events-v1 000000000000\n" + record
    )


CHANGES = [
    *(_no_state, _no_folder, _no_hashes, _another_hash, _one_hash_less, _one_hash_more),
    *(_half_a_hash, _another_state, _no_json, _one_segment_more_gone, _payloads_gone),
    *(_a_foreign_file, _forged_leaf_back),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_what_is_left_is_found(home: Path, change: Callable[[Path], None]) -> None:
    directory = home / "data" / "ledger"
    assert verify(directory).verdict is Verdict.SOUND
    change(directory)
    report = verify(directory)
    assert report.verdict is Verdict.TAMPERED, told(report)


WRITERS = [
    *(_no_state, _no_folder, _no_hashes, _another_hash, _one_hash_less, _another_state, _no_json),
    *(_one_segment_more_gone, _payloads_gone),
]


@pytest.mark.parametrize("change", WRITERS)
def test_the_writer_does_not_go_on_with_it(home: Path, change: Callable[[Path], None]) -> None:
    """Writing on would bury it."""
    change(home / "data" / "ledger")
    with pytest.raises(Unusable):
        open_at(home, Clock(after_days(2_000)))


def test_a_prefix_that_is_just_gone(made: Path, memory_path: Path) -> None:
    """Also with hashes and a state beside it, as no event of this ledger names them."""
    whole = memory_path / "ledger"
    shutil.copytree(made / "whole", whole)
    for path in sorted((whole / "events").iterdir())[:3]:
        path.unlink()
    assert "missing" in told(verify(whole))
    shutil.copytree(made / "data" / "ledger" / "pruned", whole / "pruned")
    report = verify(whole)
    assert report.verdict is Verdict.TAMPERED
    assert "no event of this ledger says" in told(report)


def test_the_files_of_an_earlier_pruning(memory_path: Path) -> None:
    """They are true, and do not reach to the leaves that are held."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 120)
    prune(ledger, clock, after_days(100))
    shutil.copytree(ledger.directory / "pruned", memory_path / "earlier")
    prune(ledger, clock, after_days(300))
    ledger.close()
    assert verify(ledger.directory).verdict is Verdict.SOUND
    shutil.rmtree(ledger.directory / "pruned")
    shutil.copytree(memory_path / "earlier", ledger.directory / "pruned")
    report = verify(ledger.directory)
    assert report.verdict is Verdict.TAMPERED
    assert "events before this file are missing" in told(report)
    with pytest.raises(Unusable, match="are missing"):
        open_at(memory_path, clock)


def test_a_pruning_that_nobody_signed_cannot_be_told(memory_path: Path) -> None:
    """Whoever has the disk and no key can append an event and remove what it says."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    before = (ledger.directory / "checkpoint").read_bytes()
    prune(ledger, clock, after_days(200))
    (ledger.directory / "checkpoint").write_bytes(before)
    abandon(ledger)
    report = verify(ledger.directory)
    assert report.verdict is Verdict.CANNOT_TELL
    assert "not signed yet" in told(report)


def abandon(ledger: Ledger) -> None:
    """Let go of the files as a killed process does."""
    ledger.files.close()
    ledger._keyring.close()
    ledger._lock.release()


def test_a_state_that_is_nonsense_under_a_true_signature(memory_path: Path) -> None:
    """Whoever holds the key can have anything recorded; the verifier says so and does not fall."""
    for number, member in enumerate(("book", "custody", "sums", "rotations", "log")):
        home = memory_path / str(number)
        clock = Clock()
        ledger = open_at(home, clock)
        live(ledger, clock, 80)
        folder = ledger.directory / "pruned"
        folder.mkdir()
        _prune_with(ledger, clock, member)
        abandon(ledger)
        report = verify(ledger.directory)
        assert report.verdict is Verdict.TAMPERED, member
        assert "pruned/state" in told(report)


def _prune_with(ledger: Ledger, clock: Clock, member: str) -> None:
    have_officer(ledger)
    plan = planned(ledger, clock, after_days(100))
    assert ledger.signed is not None
    prepared = pruning.prepare(ledger.directory, ledger.signed[0], plan)
    path = ledger.directory / "pruned" / "state.new"
    rewrite(path, lambda said: said.update({member: {"x": [1]}}))
    forged = replace(prepared, state=sha256(path.read_bytes()).hexdigest())
    pruning.begin(ledger, forged, (STAFF,), AUTHORITY)
    pruning.finish(ledger)


def test_the_root_that_a_pruning_names_is_compared(memory_path: Path) -> None:
    """Before its leaves go, while everybody can still compute it."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 80)
    have_officer(ledger)
    plan = planned(ledger, clock, after_days(100))
    assert ledger.signed is not None
    prepared = pruning.prepare(ledger.directory, ledger.signed[0], plan)
    index = pruning.begin(ledger, replace(prepared, root="0" * 64), (STAFF,), AUTHORITY)
    abandon(ledger)
    report = verify(ledger.directory)
    assert report.verdict is Verdict.TAMPERED
    assert f"not the ones that the pruning at event {index} signs" in told(report)


def test_an_unfinished_one_is_sound_and_told(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 80)
    recorded(ledger, clock, after_days(100))
    abandon(ledger)
    report = verify(ledger.directory)
    assert (report.verdict, report.pruned) == (Verdict.SOUND, 0)
    assert any("not finished" in note for note in report.notes)
    assert read_pruned(ledger.directory) is None


def test_what_was_to_go_and_is_still_there_ends_no_reading(home: Path) -> None:
    """Killed between removing one file and the next; what stays is read as before."""
    directory = home / "data" / "ledger"
    before = verify(directory)
    for name in sorted(path.name for path in (home / "whole" / "events").iterdir())[:2]:
        shutil.copyfile(home / "whole" / "events" / name, directory / "events" / name)
    report = verify(directory)
    assert (report.verdict, told(report)) == (Verdict.SOUND, "")
    assert (report.size, report.root) == (before.size, before.root)
    assert any("not finished" in note for note in report.notes)


def test_a_ledger_made_by_the_helper_is_sound(memory_path: Path) -> None:
    assert verify(pruned_ledger(memory_path)).verdict is Verdict.SOUND

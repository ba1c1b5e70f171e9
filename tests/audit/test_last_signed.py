"""A ledger that is older than its keys: noticed before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sekisho_audit import last_signed as module
from sekisho_audit.checkpoint import Checkpoint, VerifierKey, open_note, read_unverified
from sekisho_audit.errors import SecondLedger, Unusable
from sekisho_audit.last_signed import Elsewhere, accept_rollback, check_ancestors
from support.ledgers import open_ledger, run_exchange

ROOTS = {0: b"0" * 32, 5: b"5" * 32}


def grown(home: Path, exchanges: int = 1) -> Path:
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    for _ in range(exchanges):
        run_exchange(ledger, "s-1")
    ledger.close()
    return ledger.directory


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_an_old_copy_of_the_data_is_refused_untouched(tmp_path: Path) -> None:
    """The snapshot of last night, restored beside the keys of today."""
    ledger = grown(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "snapshot")
    grown(tmp_path)
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "snapshot", tmp_path / "data")
    before = files(ledger)
    with pytest.raises(SecondLedger, match="old copy"):
        open_ledger(tmp_path)
    assert files(ledger) == before


def test_another_history_of_the_same_key_is_refused(tmp_path: Path) -> None:
    """A clone that went on differently, brought back: as long, or longer, but not ours."""
    grown(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "clone")
    grown(tmp_path / "clone", 3)
    grown(tmp_path)
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "clone" / "data", tmp_path / "data")
    with pytest.raises(SecondLedger, match="are others"):
        open_ledger(tmp_path)


def test_a_person_may_give_up_what_is_lost(tmp_path: Path) -> None:
    """Then the ledger says so, once, and the next start is an ordinary one."""
    grown(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "snapshot")
    grown(tmp_path)
    lost = open_note((tmp_path / "keys" / "last-signed").read_bytes(), key_of(tmp_path))
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "snapshot", tmp_path / "data")
    assert accept_rollback(tmp_path / "keys", lost.size - 1) is None
    assert accept_rollback(tmp_path / "keys", lost.size) == lost
    ledger = open_ledger(tmp_path)
    ledger.close()
    for _ in range(2):
        open_ledger(tmp_path).close()
    raw = b"".join(path.read_bytes() for path in (ledger.directory / "events").iterdir())
    assert raw.count(b'"type":"audit.rolled_back"') == 1
    assert f'"root":"{lost.root.hex()}","size":{lost.size}'.encode() in raw
    assert not (tmp_path / "keys" / "rollback-accepted").exists()


def test_a_ledger_that_is_lost_altogether_may_be_begun_anew(tmp_path: Path) -> None:
    """Its first events say what was given up, so that nobody takes it for the one before."""
    grown(tmp_path)
    lost = read_unverified((tmp_path / "keys" / "last-signed").read_bytes())
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(SecondLedger):
        open_ledger(tmp_path)
    assert accept_rollback(tmp_path / "keys", lost.size) == lost
    ledger = open_ledger(tmp_path)
    ledger.close()
    open_ledger(tmp_path).close()
    raw = b"".join(path.read_bytes() for path in (ledger.directory / "events").iterdir())
    assert raw.count(b'"type":"audit.rolled_back"') == 1
    assert f'"root":"{lost.root.hex()}","size":{lost.size}'.encode() in raw


def key_of(home: Path) -> VerifierKey:
    return VerifierKey.parse((home / "data" / "ledger" / "vkey").read_text().strip())


def test_an_acceptance_is_good_for_one_checkpoint(tmp_path: Path) -> None:
    """A second rollback is a second decision."""
    grown(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "snapshot")
    grown(tmp_path)
    raw = (tmp_path / "keys" / "last-signed").read_bytes()
    assert accept_rollback(tmp_path / "keys", read_unverified(raw).size)
    grown(tmp_path)
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "snapshot", tmp_path / "data")
    with pytest.raises(SecondLedger):
        open_ledger(tmp_path)


def test_nothing_to_give_up(tmp_path: Path) -> None:
    assert accept_rollback(tmp_path, 7) is None


def test_a_damaged_file_is_said_to_be_no_evidence(tmp_path: Path) -> None:
    grown(tmp_path)
    (tmp_path / "keys" / "last-signed").write_bytes(b"x")
    with pytest.raises(Unusable, match="remove this file"):
        open_ledger(tmp_path)
    (tmp_path / "keys" / "last-signed").unlink()
    open_ledger(tmp_path).close()


def test_a_crash_is_no_rollback(tmp_path: Path) -> None:
    """What was signed was durable before, so a killed writer always has at least as much."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.write_checkpoint(keep=True)
    run_exchange(ledger, "s-1")
    for part in (ledger.files, ledger._keyring):
        part.close()
    ledger._lock.release()
    open_ledger(tmp_path).close()


def test_a_busy_ledger_writes_it_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in ten seconds, whatever happens; and at the end."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    kept = tmp_path / "keys" / "last-signed"
    first = kept.read_bytes()
    for _ in range(3):
        run_exchange(ledger, "s-1")
        ledger.write_checkpoint()
    assert kept.read_bytes() == first
    monkeypatch.setattr(module, "KEPT_S", 0.0)
    run_exchange(ledger, "s-1")
    note = ledger.write_checkpoint()
    assert kept.read_bytes() == note
    ledger.close()
    assert kept.read_bytes() == (ledger.directory / "checkpoint").read_bytes()


@pytest.mark.parametrize(("size", "root"), [(6, b"6" * 32), (5, b"x" * 32), (3, b"3" * 32)])
def test_only_ancestors_pass(size: int, root: bytes) -> None:
    """Longer than the ledger, another root, a root that nobody computed."""
    told = Elsewhere("here", Checkpoint("ledger.example/test", size, root))
    with pytest.raises(SecondLedger, match="here has"):
        check_ancestors([told], 5, ROOTS)


def test_ancestors_pass() -> None:
    told = [Elsewhere("here", Checkpoint("o.example/l", size, ROOTS[size])) for size in ROOTS]
    check_ancestors(told, 5, ROOTS)

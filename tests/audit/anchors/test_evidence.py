"""Evidence on the disk: whole, written once, found by the digest that the event names."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.port import Evidence


@pytest.fixture
def folder(tmp_path: Path) -> EvidenceFolder:
    return EvidenceFolder(tmp_path / "data" / "anchors")


def test_all_files_of_one_evidence_stand_together(tmp_path: Path, folder: EvidenceFolder) -> None:
    digest = folder.keep("tsa", 42, Evidence({"note": b"n", "tsr": b"t"}, main="tsr"))
    assert digest == sha256(b"t").hexdigest()
    files = sorted((tmp_path / "data" / "anchors").glob("*/*"))
    assert [(one.name, one.read_bytes()) for one in files] == [
        (f"000000000042-tsa-{digest[:8]}.note", b"n"),
        (f"000000000042-tsa-{digest[:8]}.tsr", b"t"),
    ]
    assert files[0].parent.stat().st_mode & 0o777 == 0o700


def test_what_is_there_is_not_touched(tmp_path: Path, folder: EvidenceFolder) -> None:
    """The event may name it already."""
    folder.keep("pin", 42, Evidence({"note": b"n"}))
    [path] = (tmp_path / "data" / "anchors").glob("*/*")
    before = path.stat().st_mtime_ns
    folder.keep("pin", 42, Evidence({"note": b"n"}))
    assert path.stat().st_mtime_ns == before


def test_a_second_ledger_stops_the_next_start(tmp_path: Path, folder: EvidenceFolder) -> None:
    """With the proof beside it; until somebody removes the file."""
    assert folder.stopped() is None
    path = folder.stop("a clone pinned 9 events", b"proof")
    assert "a clone pinned 9 events" in (folder.stopped() or "")
    assert str(path) in (folder.stopped() or "")
    assert [one.read_bytes() for one in path.parent.glob("second-*.note")] == [b"proof"]
    path.unlink()
    assert folder.stopped() is None
    folder.stop("only a word", b"")
    assert len(list(path.parent.glob("second-*.note"))) == 1

"""Evidence from elsewhere, years later: what it dates, what it contradicts, what is missing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.port import Evidence
from sekisho_audit.checkpoint import Checkpoint, Signer, split_note
from sekisho_audit.cli import main
from sekisho_audit.cosignature import Cosigner
from sekisho_audit.events import Event
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Report, Verdict
from sekisho_audit.time_stamp import check, read_roots, request
from sekisho_audit.verify import verify
from sekisho_audit.verify_anchors import Anchors
from support.ledgers import ORIGIN, open_ledger, run_exchange
from support.stamping import StampingAuthority

WITNESS = Cosigner("witness.example/w1", bytes(32))
STRANGER = Cosigner("witness.example/w2", b"2" * 32)
AT_S = 1_764_000_000


def anchored(home: Path, times_s: tuple[int, ...] = (AT_S,)) -> Ledger:
    """A ledger whose checkpoints a witness has cosigned at these times."""
    ledger, folder = open_ledger(home), EvidenceFolder(home / "data" / "anchors")
    ledger.open_session("s-1", 1)
    for time_s in times_s:
        run_exchange(ledger, "s-1")
        note = ledger.note()
        line = WITNESS.line(split_note(note)[0], time_s).encode()
        log(ledger, folder, "w1", "witness", Evidence({"note": note + line}))
    ledger.close()
    return ledger


def log(ledger: Ledger, folder: EvidenceFolder, name: str, kind: str, evidence: Evidence) -> None:
    size, root = ledger.size, ledger.root().hex()
    digest = folder.keep(name, size, evidence)
    data = {"anchor": name, "kind": kind, "size": size, "root": root, "evidence": digest}
    ledger.record_all([Event(uuid7(), "anchor.made", None, None, data)])


def said(report: Report) -> str:
    return " ".join(str(item) for item in (*report.faults, *report.doubts, *report.notes))


def trusting(**more: object) -> Anchors:
    return Anchors(witnesses=[WITNESS.key], **more)  # type: ignore[arg-type]


def test_a_witness_dates_events_from_both_sides(tmp_path: Path) -> None:
    """Those before the checkpoint from above, those after the recorded cosignature from below."""
    ledger = anchored(tmp_path, (AT_S, AT_S + 60))
    report = verify(tmp_path / "data", anchors=trusting())
    assert report.verdict == Verdict.SOUND, said(report)
    first, second = report.anchors
    assert (first.size, first.logged, first.time) == (6, 6, "2025-11-24T16:00:00Z")
    assert second.time == "2025-11-24T16:01:00Z"
    assert second.logged == second.size < ledger.size
    assert "witness.example/w1+" in first.by


def test_a_witness_that_is_not_trusted_dates_nothing(tmp_path: Path) -> None:
    """Whoever holds the evidence can make up a witness; asked for, its absence is a doubt."""
    anchored(tmp_path)
    assert verify(tmp_path / "data").anchors == []
    report = verify(tmp_path / "data", anchors=Anchors(witnesses=[STRANGER.key]))
    assert (report.verdict, report.anchors) == (Verdict.CANNOT_TELL, [])
    assert "no checkpoint cosigned by witness.example/w2" in said(report)


def test_a_history_that_was_rewritten_after_it_was_anchored_is_found(tmp_path: Path) -> None:
    """The thief of the signing key makes a new ledger; the old evidence contradicts it."""
    anchored(tmp_path)
    evidence = tmp_path / "evidence"
    (tmp_path / "data" / "anchors").rename(evidence)
    (tmp_path / "data").rename(tmp_path / "old")
    for name in ("last-signed", "principals.keys"):
        (tmp_path / "keys" / name).unlink()
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    for _ in range(4):
        run_exchange(ledger, "s-1")
    ledger.close()
    assert verify(ledger.directory).verdict == Verdict.SOUND
    report = verify(ledger.directory, anchors=trusting(folders=[evidence], asked=True))
    assert report.verdict == Verdict.TAMPERED
    assert "are not the ones that the evidence" in said(report)


def test_events_that_were_cut_behind_an_anchor_are_missed(tmp_path: Path) -> None:
    ledger = anchored(tmp_path)
    folder = tmp_path / "elsewhere"
    signer = Signer(ORIGIN, (tmp_path / "keys" / "signing.key").read_bytes())
    EvidenceFolder(folder).keep(
        "nas", 999, Evidence({"note": signer.sign(Checkpoint(ORIGIN, 999, bytes(32)))})
    )
    report = verify(ledger.directory, anchors=Anchors([folder]))
    assert report.verdict == Verdict.TAMPERED
    assert "events were removed" in said(report)


def test_missing_evidence_is_told_or_is_a_doubt(tmp_path: Path) -> None:
    """A note while nobody asked for it; a doubt in the folder that was named."""
    ledger = anchored(tmp_path)
    for path in (tmp_path / "data" / "anchors").glob("*/*"):
        path.unlink()
    report = verify(tmp_path / "data")
    assert report.verdict == Verdict.SOUND
    assert "1 of 1 recorded anchors have no evidence here" in said(report)
    folder = tmp_path / "data" / "anchors"
    asked = verify(ledger.directory, anchors=Anchors([folder], asked=True))
    assert asked.verdict == Verdict.CANNOT_TELL


@pytest.mark.parametrize("body", [b"", b"x", b"\xff" * 9, b"x" * 100_000])
def test_what_is_no_evidence_is_a_doubt(tmp_path: Path, body: bytes) -> None:
    """It cannot be called sound, and proves nothing against the ledger."""
    anchored(tmp_path)
    (tmp_path / "data" / "anchors" / "odd.note").write_bytes(body)
    report = verify(tmp_path / "data", anchors=trusting())
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])


def test_a_cosignature_that_was_changed_is_a_doubt(tmp_path: Path) -> None:
    """An earlier time, say; it is of a key that is trusted, and does not hold."""
    anchored(tmp_path)
    [path] = (tmp_path / "data" / "anchors").glob("*/*")
    body = split_note(path.read_bytes())[0]
    note = path.read_bytes().rpartition("— ".encode())[0]
    path.write_bytes(note + WITNESS.line(body.replace(ORIGIN, "x.example/y"), 7).encode())
    report = verify(tmp_path / "data", anchors=trusting())
    assert report.verdict == Verdict.CANNOT_TELL
    assert "does not fit" in said(report)


def test_an_event_that_names_evidence_of_another_checkpoint_is_a_fault(tmp_path: Path) -> None:
    ledger, folder = open_ledger(tmp_path), EvidenceFolder(tmp_path / "data" / "anchors")
    digest = folder.keep("nas", ledger.size, Evidence({"note": ledger.note()}))
    data = {"anchor": "nas", "kind": "pin", "size": 1, "root": "00" * 32, "evidence": digest}
    run = Event(uuid7(), "anchor.made", None, None, data)
    ledger.open_session("s-1", 1)
    ledger.record_all([run])
    ledger.close()
    report = verify(tmp_path / "data")
    assert report.verdict == Verdict.TAMPERED
    assert "another checkpoint" in said(report)


def test_time_stamps_are_checked_or_said_not_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the roots it trusts; without, the command that does it."""
    authority = StampingAuthority(tmp_path / "tsa")
    ledger, folder = open_ledger(tmp_path), EvidenceFolder(tmp_path / "data" / "anchors")
    note = ledger.note()
    stamp = authority.stamp(request(note).body)
    log(ledger, folder, "tsa", "rfc3161", Evidence({"tsr": stamp, "note": note}, main="tsr"))
    ledger.close()
    unchecked = verify(tmp_path / "data")
    assert (unchecked.verdict, unchecked.anchors) == (Verdict.SOUND, [])
    assert "openssl ts -verify" in said(unchecked)
    roots = read_roots(authority.roots)
    checked = verify(
        tmp_path / "data", anchors=Anchors(check_stamp=lambda raw, text: check(raw, text, roots))
    )
    [told] = checked.anchors
    assert (checked.verdict, told.by, told.logged) == (Verdict.SOUND, "time stamp", told.size)
    arguments = ["verify", str(tmp_path / "data"), "--tsa-roots", str(authority.roots)]
    assert main(arguments) == 0
    assert "says time stamp; events after" in capsys.readouterr().out
    other = StampingAuthority(tmp_path / "other")
    assert main([*arguments[:-1], str(other.roots)]) == 2


def test_the_command_takes_keys_and_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As lines or files; what is no folder or no key is refused."""
    anchored(tmp_path, tuple(AT_S + 60 * step for step in range(5)))
    path = str(tmp_path / "data")
    (tmp_path / "w.key").write_text(WITNESS.key.line() + "\n")
    for key in (WITNESS.key.line(), str(tmp_path / "w.key")):
        arguments = ["verify", path, "--witness", key, "--anchors", f"{path}/anchors"]
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert said.count("Anchored ") == 2
        assert "and 3 more between" in said
    for wrong in (["--anchors", f"{path}/none"], ["--witness", "x+y"], ["--tsa-roots", path]):
        assert main(["verify", path, *wrong]) == 2
    assert time.time() > AT_S

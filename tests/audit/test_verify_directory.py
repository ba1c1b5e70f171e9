"""What is told of each file of a ledger: where the fault is, and that reading ends there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.report import Fault, Report, Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, Family, Segment, frames, segments
from sekisho_audit.store import frame
from sekisho_audit.verify import KEY_OF_THE_LEDGER, find_ledger, verify
from support.ledgers import ORIGIN, open_ledger, run_held_exchange

SEGMENT_BYTES = 300


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """One of several segments of both families, closed."""
    opened = open_ledger(tmp_path, segment_bytes=SEGMENT_BYTES)
    opened.open_session("s-1", 1)
    for _ in range(3):
        run_held_exchange(opened, "s-1")
    opened.close()
    assert len(segments(opened.directory, EVENTS)) > 3
    assert len(segments(opened.directory, PAYLOADS)) > 3
    return opened.directory


def signer(ledger: Path) -> Signer:
    return Signer(ORIGIN, (ledger.parents[1] / "keys" / "signing.key").read_bytes())


def paths(ledger: Path, family: Family) -> list[Path]:
    return [segment.path for segment in segments(ledger, family)]


def told(report: Report, file: str) -> list[Fault]:
    return [fault for fault in report.faults if fault.file == file]


def says(report: Report, file: str, what: str) -> bool:
    return any(what in fault.what for fault in told(report, file))


# -- the key


@pytest.mark.parametrize("raw", [None, b"\xff\xfe", b"no key\n"])
def test_a_key_that_cannot_be_read_is_a_fault_of_its_file(ledger: Path, raw: bytes | None) -> None:
    known = signer(ledger).key
    (ledger / "vkey").unlink()
    if raw is not None:
        (ledger / "vkey").write_bytes(raw)
    for key in (known, None):
        report = verify(ledger, key=key)
        assert says(report, "vkey", "the key of the ledger cannot be read")
        assert not says(report, "vkey", "Errno")  # in words
        assert KEY_OF_THE_LEDGER not in report.notes
    assert verify(ledger).size == 0
    assert verify(ledger, key=known).size > 0


def test_a_second_line_in_the_file_of_the_key_is_a_fault(ledger: Path) -> None:
    path = ledger / "vkey"
    path.write_bytes(path.read_bytes() + b"and more\n")
    report = verify(ledger, key=signer(ledger).key)
    assert report.verdict is Verdict.TAMPERED
    assert told(report, "vkey")


def test_a_key_line_without_its_end_is_a_fault(ledger: Path) -> None:
    path = ledger / "vkey"
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    report = verify(ledger)
    assert says(report, "vkey", "the end of the key line is missing: auditd writes a newline")
    assert not says(report, "vkey", "more than one")


def test_whose_key_was_trusted_is_said(ledger: Path) -> None:
    assert KEY_OF_THE_LEDGER in verify(ledger).notes
    assert KEY_OF_THE_LEDGER not in verify(ledger, key=signer(ledger).key).notes


def test_another_key_in_the_directory_is_a_fault(ledger: Path) -> None:
    other = Signer(ORIGIN, bytes(32)).key
    (ledger / "vkey").write_text(f"{other.line()}\n")
    report = verify(ledger, key=signer(ledger).key)
    assert says(report, "vkey", "is not the one given")


# -- the checkpoint


@pytest.mark.parametrize("raw", [None, b"", b"hello"])
def test_a_checkpoint_that_does_not_hold_is_a_fault_of_its_file(
    ledger: Path, raw: bytes | None
) -> None:
    (ledger / "checkpoint").unlink()
    if raw is not None:
        (ledger / "checkpoint").write_bytes(raw)
    report = verify(ledger)
    assert says(report, "checkpoint", "the checkpoint does not hold")
    assert (report.origin, report.signed_size) == (ORIGIN, 0)
    assert report.size > 0


def test_a_checkpoint_of_another_name_is_a_fault(ledger: Path) -> None:
    report = verify(ledger)
    other = Checkpoint("elsewhere", report.size, bytes.fromhex(report.root))
    (ledger / "checkpoint").write_bytes(signer(ledger).sign(other))
    report = verify(ledger)
    assert says(report, "checkpoint", "names another ledger than its key")
    assert report.origin == "elsewhere"


def test_a_checkpoint_over_other_events_is_named_as_such(ledger: Path) -> None:
    """Not as a pinned one, of which the auditor could say where it comes from."""
    size = verify(ledger).size
    for root_of_size, what in (
        (size, f"the first {size} events are not the ones that the checkpoint signs"),
        (size + 1, f"the checkpoint says {size + 1} events, {size} can be read"),
    ):
        signed = signer(ledger).sign(Checkpoint(ORIGIN, root_of_size, bytes(32)))
        (ledger / "checkpoint").write_bytes(signed)
        [fault] = verify(ledger).faults
        assert what in fault.what


# -- files that do not belong


def test_a_file_that_does_not_belong_is_named(ledger: Path) -> None:
    (ledger / "notes.txt").write_text("x")
    (ledger / "more").mkdir()
    report = verify(ledger)
    for name in ("notes.txt", "more"):
        assert says(report, name, "does not belong here")
    assert len(report.faults) == 2


def test_a_lock_holds_nothing(ledger: Path) -> None:
    (ledger / "lock").write_text("x")
    [fault] = verify(ledger).faults
    assert (fault.file, fault.what) == ("lock", "the lock must be empty")


def test_a_copy_needs_no_lock(ledger: Path) -> None:
    """It is the writer's, and says nothing."""
    (ledger / "lock").unlink()
    assert verify(ledger).verdict is Verdict.SOUND


@pytest.mark.parametrize("family", [EVENTS, PAYLOADS])
def test_a_strange_file_among_segments_is_named(ledger: Path, family: Family) -> None:
    (ledger / family.directory / "x.csv").write_text("x")
    report = verify(ledger)
    assert says(report, f"{family.directory}/x.csv", "does not belong here")


# -- events


def test_events_behind_a_missing_segment_are_not_read(ledger: Path) -> None:
    """One fault says it; what stands behind would all be out of its place."""
    every = paths(ledger, EVENTS)
    every[1].unlink()
    report = verify(ledger)
    assert says(report, f"events/{every[2].name}", "events before this file are missing")
    assert report.size == int(every[1].stem)
    assert not told(report, f"events/{every[3].name}")


def test_a_torn_segment_that_is_not_the_last_is_a_fault(ledger: Path) -> None:
    """A writer that was killed leaves only the end of the last one so."""
    every = paths(ledger, EVENTS)
    every[1].write_bytes(every[1].read_bytes()[:-1])
    (ledger / "checkpoint").write_bytes(signer(ledger).sign(_of_first(ledger, 1)))
    report = verify(ledger)
    assert says(report, f"events/{every[1].name}", "ends inside a record")
    assert report.doubts == []
    assert not any(told(report, f"events/{path.name}") for path in every[2:])


def _of_first(ledger: Path, size: int) -> Checkpoint:
    segment = segments(ledger, EVENTS)[0]
    first = next(iter(frames(segment, EVENTS)))
    assert size == 1
    return Checkpoint(ORIGIN, 1, first.digest)


def test_a_torn_end_is_a_fault_below_the_checkpoint_and_doubt_behind_it(ledger: Path) -> None:
    last = paths(ledger, EVENTS)[-1]
    name, raw = f"events/{last.name}", last.read_bytes()
    last.write_bytes(raw[:-1])
    report = verify(ledger)
    assert says(report, name, "ends inside a record")
    last.write_bytes(raw + b"\x00\x00")
    report = verify(ledger)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert (report.doubts[0].file, report.doubts[0].offset) == (name, len(raw))


def test_without_a_checkpoint_no_torn_end_is_a_fault(ledger: Path) -> None:
    """Nothing was signed, so also the first event may be one that a kill cut off."""
    (ledger / "checkpoint").unlink()
    first, *others = paths(ledger, EVENTS)
    for path in (*others, *paths(ledger, PAYLOADS)):
        path.unlink()
    first.write_bytes(first.read_bytes()[:-1])
    report = verify(ledger)
    assert [fault.file for fault in report.faults] == ["checkpoint"]
    assert [doubt.file for doubt in report.doubts] == [f"events/{first.name}"]


def test_what_no_kill_leaves_is_a_fault_at_the_end_too(ledger: Path) -> None:
    """Another segment's first line: nobody who was killed wrote that."""
    segment = segments(ledger, EVENTS)[-1]
    size = verify(ledger).size
    (segment.path.parent / f"{size:012d}.seg").write_bytes(EVENTS.header(size + 1))
    report = verify(ledger)
    assert says(report, f"events/{size:012d}.seg", "first line is not what the file name says")


# -- payloads


def stored(ledger: Path) -> int:
    return sum(1 for segment in segments(ledger, PAYLOADS) for _ in frames(segment, PAYLOADS))


def test_payloads_are_counted(ledger: Path) -> None:
    report = verify(ledger)
    assert (report.verdict, report.payloads) == (Verdict.SOUND, stored(ledger))


def test_a_missing_segment_of_payloads_is_a_fault_once(ledger: Path) -> None:
    """Its payloads are named as missing; what stands behind is read."""
    every = paths(ledger, PAYLOADS)
    gone = sum(1 for _ in frames(Segment(every[1], int(every[1].stem)), PAYLOADS))
    whole = stored(ledger)
    every[1].unlink()
    report = verify(ledger)
    assert says(report, f"payloads/{every[2].name}", "payloads before this file are missing")
    assert not told(report, f"payloads/{every[3].name}")
    assert report.payloads == whole - gone
    missing = [fault for fault in report.faults if "is missing or changed" in fault.what]
    assert len(missing) == gone
    assert all(fault.index is not None for fault in missing)


def test_a_torn_payload_that_an_event_names_is_a_fault(ledger: Path) -> None:
    last = paths(ledger, PAYLOADS)[-1]
    raw = last.read_bytes()
    last.write_bytes(raw[:-1])
    report = verify(ledger)
    assert says(report, f"payloads/{last.name}", "ends inside a record")
    last.write_bytes(raw + frame(bytes(32), b"x")[:20])
    report = verify(ledger)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert report.doubts[0].file == f"payloads/{last.name}"


def test_behind_a_torn_payload_every_file_is_said_to_lack_something(ledger: Path) -> None:
    every = paths(ledger, PAYLOADS)
    every[0].write_bytes(every[0].read_bytes()[:-1])
    report = verify(ledger)
    for path in every[1:]:
        assert says(report, f"payloads/{path.name}", "payloads before this file are missing")


# -- what is no ledger, and what cannot be told


@pytest.mark.parametrize("keep", [EVENTS.directory, PAYLOADS.directory])
def test_one_folder_is_no_ledger(tmp_path: Path, keep: str) -> None:
    (tmp_path / keep).mkdir()
    assert find_ledger(tmp_path) is None
    report = verify(tmp_path)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert report.doubts[0].what == f"there is no ledger in {tmp_path}"


@pytest.mark.parametrize("kept", [["vkey", "checkpoint"], ["vkey", "events"], ["vkey", "payloads"]])
def test_what_is_left_of_a_ledger_is_one(ledger: Path, tmp_path: Path, kept: list[str]) -> None:
    """Somebody took the rest away; that is a fault and no doubt."""
    rest = _parts(ledger, tmp_path, kept)
    assert find_ledger(rest) == rest
    assert verify(rest).verdict is Verdict.TAMPERED


@pytest.mark.parametrize("kept", [["vkey"], ["checkpoint"], ["checkpoint", "events"]])
def test_a_key_alone_is_no_ledger_and_nothing_is_without_one(
    ledger: Path, tmp_path: Path, kept: list[str]
) -> None:
    """An auditor keeps key and checkpoints too; a folder of events is everybody's."""
    rest = _parts(ledger, tmp_path, kept)
    assert find_ledger(rest) is None
    assert verify(rest).verdict is Verdict.CANNOT_TELL


def _parts(ledger: Path, place: Path, names: list[str]) -> Path:
    rest = place / "rest"
    rest.mkdir()
    for name in names:
        (ledger / name).rename(rest / name)
    return rest


def test_two_empty_folders_are_no_ledger(tmp_path: Path) -> None:
    for family in (EVENTS, PAYLOADS):
        (tmp_path / family.directory).mkdir()
    report = verify(tmp_path)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert report.doubts[0].what == "there is no ledger here: not one event and no key"


def test_events_without_a_key_are_a_ledger(ledger: Path) -> None:
    (ledger / "vkey").unlink()
    assert verify(ledger).verdict is Verdict.TAMPERED


def test_a_pinned_text_that_is_none_is_nothing_to_go_by(ledger: Path) -> None:
    report = verify(ledger, pinned=b"hello")
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert "cannot be read" in report.doubts[0].what


def test_one_pinned_checkpoint_or_several(ledger: Path) -> None:
    """Each that is given is compared, and the report says so."""
    now = (ledger / "checkpoint").read_bytes()
    early = signer(ledger).sign(_of_first(ledger, 1))
    size = verify(ledger).size
    both = [f"the first {n} events are those of the pinned checkpoint" for n in (1, size)]
    assert verify(ledger).proved == []
    assert verify(ledger, pinned=now).proved == both[1:]
    assert verify(ledger, pinned=[early, now]).proved == both


def test_progress_is_told(ledger: Path) -> None:
    seen: list[int] = []
    verify(ledger, progress=seen.append)
    assert seen == [0]


def test_a_file_that_cannot_be_read_is_no_verdict(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails says nothing about who wrote on it."""

    def failing(_ledger: Path, _family: Family) -> list[Segment]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sekisho_audit.verify.listed", failing)
    report = verify(ledger)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert report.doubts[0].what.startswith("a file cannot be read: ")

"""Starting again after a crash: what is cut, what is refused, what is known again."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.errors import Unusable
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, BrokenSegment, Frame, Segment, frames
from sekisho_audit.verify import verify
from support.ledgers import (
    decision,
    intent,
    open_ledger,
    received,
    run_exchange,
    small_ledger,
)

FIRST = "000000000000.seg"


def crashed(home: Path) -> tuple[Path, int, int]:
    """A ledger whose writer was killed; sizes of the event file at the checkpoint and now."""
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.write_checkpoint()
    path = ledger.directory / "events" / FIRST
    signed = path.stat().st_size
    exchange = uuid7()
    ledger.append_batch([received(exchange), decision(exchange), intent(exchange, "s-1")])
    size = path.stat().st_size
    _abandon(ledger)
    return ledger.directory, signed, size


def _abandon(ledger: Ledger) -> None:
    """Let go of the files as a killed process does."""
    ledger.files.close()
    ledger._keyring.close()
    ledger._lock.release()


def test_torn_tail_is_cut(memory_path: Path) -> None:
    """Wherever in a batch of several the file ends, the events before that place stay."""
    directory, signed, size = crashed(memory_path)
    original = (directory / "events" / FIRST).read_bytes()
    for end in range(signed, size + 1, 11):
        home = memory_path / f"at-{end}"
        shutil.copytree(memory_path / "data", home / "data")
        shutil.copytree(memory_path / "keys", home / "keys")
        path = home / "data" / "ledger" / "events" / FIRST
        path.write_bytes(original[:end])
        whole = _whole_frames(path)
        again = open_ledger(home)
        again.close()
        report = verify(path.parent.parent)
        assert report.verdict is Verdict.SOUND, (end, report.faults)
        assert _whole_frames(path)[: len(whole)] == whole
        shutil.rmtree(home)


def _whole_frames(path: Path) -> list[Frame]:
    found = []
    with contextlib.suppress(BrokenSegment):
        for frame in frames(Segment(path, 0), EVENTS):
            found.append(frame)  # noqa: PERF402 - the frames before the torn one count
    return found


@pytest.mark.parametrize("garbage", [b"\x00" * 100, b"\xff" * 100, b"\x00\x00\x00\x05abc"])
@pytest.mark.parametrize("name", ["events", "payloads"])
def test_garbage_behind_the_end_is_cut_and_recorded(
    tmp_path: Path, name: str, garbage: bytes
) -> None:
    """Zeros or noise behind the last record go, and the ledger says how many bytes went."""
    directory, _, _ = crashed(tmp_path)
    with (directory / name / FIRST).open("ab") as file:
        file.write(garbage)
    again = open_ledger(tmp_path)
    again.close()
    report = verify(directory)
    assert report.verdict is Verdict.SOUND
    assert report.types["audit.recovered"] == 1


def test_lost_intent_is_closed_after_a_crash(tmp_path: Path) -> None:
    """An intent that was open at the crash gets its one outcome when its session is given up."""
    directory, _, _ = crashed(tmp_path)
    again = open_ledger(tmp_path)
    assert again.sessions == {"s-1"}
    assert again.close_session("s-1", "session_lost") == 1
    again.close()
    report = verify(directory)
    assert (report.verdict, report.open_intents) == (Verdict.SOUND, 0)
    assert report.types["backend.intent"] == report.types["backend.outcome"]


@pytest.mark.parametrize("there", [0, 9])
@pytest.mark.parametrize("name", ["events", "payloads"])
def test_segment_that_was_never_begun_is_no_obstacle(tmp_path: Path, name: str, there: int) -> None:
    """A crash while a new segment is made leaves part of its first line, or a file of no bytes."""
    directory, _, _ = crashed(tmp_path)
    family = {"events": EVENTS, "payloads": PAYLOADS}[name]
    count = len(list(frames(Segment(directory / name / FIRST, 0), family)))
    (directory / name / f"{count:012d}.seg").write_bytes(family.header(count)[:there])
    open_ledger(tmp_path).close()
    assert verify(directory).verdict is Verdict.SOUND


def flip(path: Path, offset: int) -> None:
    body = bytearray(path.read_bytes())
    body[offset] ^= 1
    path.write_bytes(body)


def test_damage_below_the_checkpoint_is_refused(tmp_path: Path) -> None:
    """What was signed is never cut: the writer does not start on a damaged ledger."""
    directory, signed, _ = crashed(tmp_path)
    before = (directory / "events" / FIRST).read_bytes()
    for offset in range(0, signed, 31):
        flip(directory / "events" / FIRST, offset)
        with pytest.raises(Unusable):
            open_ledger(tmp_path)
        flip(directory / "events" / FIRST, offset)
    assert (directory / "events" / FIRST).read_bytes() == before


def test_damaged_payload_that_an_event_names_is_refused(tmp_path: Path) -> None:
    """A payload is cut only if no event names it."""
    directory, _, _ = crashed(tmp_path)
    path = directory / "payloads" / FIRST
    flip(path, path.stat().st_size - 1)
    with pytest.raises(Unusable):
        open_ledger(tmp_path)


def test_ledger_shorter_than_its_checkpoint_is_refused(tmp_path: Path) -> None:
    """A copy from before the checkpoint is not written on."""
    directory = small_ledger(tmp_path)
    path = directory / "events" / FIRST
    last = list(frames(Segment(path, 0), EVENTS))[-1]
    os.truncate(path, last.offset)
    with pytest.raises(Unusable, match="events are missing"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("name", ["checkpoint", "events/" + FIRST, "payloads/" + FIRST])
def test_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    """A removed checkpoint or segment needs a person."""
    directory = small_ledger(tmp_path)
    (directory / name).unlink()
    with pytest.raises(Unusable):
        open_ledger(tmp_path)


def test_other_origin_is_refused(tmp_path: Path) -> None:
    """A ledger goes on only under its own name."""
    directory = small_ledger(tmp_path)
    with pytest.raises(Unusable):
        Ledger.open(directory, tmp_path / "keys", "elsewhere.example/log")

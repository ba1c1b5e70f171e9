"""Reading segments: every byte counts; a torn write is told from what cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.scan import (
    EVENTS,
    PAYLOADS,
    BrokenSegment,
    Family,
    Segment,
    frames,
    read_frame,
    segments,
)
from sekisho_audit.store import frame

BODIES = [b"one", b"two" * 100, b"3"]


def write(tmp_path: Path, family: Family = EVENTS) -> Segment:
    directory = tmp_path / family.directory
    directory.mkdir(exist_ok=True)
    path = directory / "000000000000.seg"
    path.write_bytes(
        family.header(0) + b"".join(frame(family.digest(body), body) for body in BODIES)
    )
    return Segment(path, 0)


@pytest.mark.parametrize("family", [EVENTS, PAYLOADS])
def test_frames_are_read_back(tmp_path: Path, family: Family) -> None:
    """Bodies and places come back; a frame can be read by its place."""
    segment = write(tmp_path, family)
    found = list(frames(segment, family))
    assert [item.body for item in found] == BODIES
    assert read_frame(segment.path, found[1].offset, family) == found[1]
    assert segments(tmp_path, family) == [segment]


def test_digest_of_the_other_family_is_refused(tmp_path: Path) -> None:
    """A payload cannot be passed off as an event: the hashes differ."""
    segment = write(tmp_path, PAYLOADS)
    segment.path.write_bytes(segment.path.read_bytes().replace(b"payloads", b"events", 1))
    with pytest.raises(BrokenSegment, match="hash"):
        list(frames(segment, EVENTS))


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    """No byte of a segment can change unnoticed, and the place that is named lies before it."""
    segment = write(tmp_path)
    original = segment.path.read_bytes()
    for offset in range(len(original)):
        changed = bytearray(original)
        changed[offset] ^= 0x80
        segment.path.write_bytes(changed)
        with pytest.raises(BrokenSegment) as caught:
            list(frames(segment, EVENTS))
        assert caught.value.offset <= offset


def test_a_cut_may_be_torn_but_another_first_line_is_not(tmp_path: Path) -> None:
    """A killed writer leaves a beginning of the first line, never another one."""
    segment = write(tmp_path)
    header = EVENTS.header(0)
    for body, torn in ((header[:5], True), (b"sekisho-x", False), (b"x" * len(header), False)):
        segment.path.write_bytes(body)
        with pytest.raises(BrokenSegment) as caught:
            list(frames(segment, EVENTS))
        assert caught.value.torn is torn


@pytest.mark.parametrize("length", [0, EVENTS.frame_bytes_max + 1, 2**32 - 1])
def test_impossible_length_is_refused_without_reading_on(tmp_path: Path, length: int) -> None:
    """A hostile length does not make the reader allocate."""
    segment = write(tmp_path)
    segment.path.write_bytes(EVENTS.header(0) + length.to_bytes(4, "big") + bytes(40))
    with pytest.raises(BrokenSegment, match="impossible"):
        list(frames(segment, EVENTS))


@pytest.mark.parametrize("name", ["0.seg", "000000000000.seg.bak", "x", "00000000000a.seg"])
def test_foreign_file_is_refused(tmp_path: Path, name: str) -> None:
    """Only segments lie among segments."""
    write(tmp_path)
    (tmp_path / "events" / name).write_bytes(b"")
    with pytest.raises(BrokenSegment) as caught:
        segments(tmp_path, EVENTS)
    assert not caught.value.torn


def test_wrong_place_is_refused(tmp_path: Path) -> None:
    """Reading between two records finds no record."""
    segment = write(tmp_path)
    for offset in (3, 33, segment.path.stat().st_size - 2):
        with pytest.raises(BrokenSegment):
            read_frame(segment.path, offset, EVENTS)

"""Segment files as they are written, and the lock that keeps one writer."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sekisho_audit import store
from sekisho_audit.errors import Locked
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.store import DirectoryLock, SegmentReplaced, SegmentWriter, frame


def stored(body: bytes) -> bytes:
    return frame(EVENTS.digest(body), body)


@pytest.fixture
def writer(tmp_path: Path) -> SegmentWriter:
    (tmp_path / "events").mkdir()
    made = SegmentWriter(tmp_path, EVENTS, segment_bytes=200)
    made.start(0)
    return made


def test_full_segment_starts_the_next(tmp_path: Path, writer: SegmentWriter) -> None:
    """Segments are named by the ordinal of their first frame, and no frame is split."""
    bodies = [bytes([65 + number]) * 50 for number in range(12)]
    for body in bodies:
        [(path, offset)] = writer.write([stored(body)])
        writer.sync()
        assert path.read_bytes()[offset:] == stored(body)
    found = segments(tmp_path, EVENTS)
    assert len(found) > 3
    assert [item.body for segment in found for item in frames(segment, EVENTS)] == bodies
    count = 0
    for segment in found:
        assert segment.first == count
        count += len(list(frames(segment, EVENTS)))


def test_writing_goes_on_where_it_ended(tmp_path: Path, writer: SegmentWriter) -> None:
    """A second writer appends to the last segment of the first."""
    writer.write([stored(b"one")])
    writer.sync()
    path, size = writer.path, writer.path.stat().st_size
    writer.close()
    again = SegmentWriter(tmp_path, EVENTS, segment_bytes=200)
    again.resume(path, size, 1)
    again.write([stored(b"two")])
    again.sync()
    again.close()
    [segment] = segments(tmp_path, EVENTS)
    assert [item.body for item in frames(segment, EVENTS)] == [b"one", b"two"]


def test_file_of_another_size_is_not_resumed(tmp_path: Path, writer: SegmentWriter) -> None:
    """What was read and what is written on must be the same file."""
    writer.close()
    again = SegmentWriter(tmp_path, EVENTS, segment_bytes=200)
    with pytest.raises(SegmentReplaced):
        again.resume(writer.path, 7, 0)
    again.close()


def test_existing_segment_is_never_overwritten(tmp_path: Path, writer: SegmentWriter) -> None:
    """A name that is taken stops the writer."""
    (tmp_path / "events" / "000000000009.seg").write_bytes(b"evidence")
    with pytest.raises(FileExistsError):
        writer.start(9)


def test_nothing_to_write_is_nothing_written(writer: SegmentWriter) -> None:
    """An empty batch changes nothing."""
    size = writer.path.stat().st_size
    assert writer.write([]) == []
    writer.sync()
    assert writer.path.stat().st_size == size


def test_segments_are_private(writer: SegmentWriter) -> None:
    """Only the owner reads evidence."""
    assert writer.path.stat().st_mode & 0o777 == 0o600


def test_a_segment_is_full_at_its_size_and_not_before(tmp_path: Path) -> None:
    """The one that has exactly that many bytes takes no more; one byte less, and it takes one."""
    (tmp_path / "events").mkdir()
    header = len(EVENTS.header(0))
    for spare, wanted in ((0, 2), (1, 1)):
        made = SegmentWriter(tmp_path, EVENTS, segment_bytes=header + len(stored(b"first")) + spare)
        made.start(10 * spare)
        for body in (b"first", b"second"):
            made.write([stored(body)])
            made.sync()
        found = [item for item in segments(tmp_path, EVENTS) if item.first >= 10 * spare]
        assert len(found) == wanted
        made.close()


def test_a_batch_stands_as_it_was_given(writer: SegmentWriter) -> None:
    """Frames lie one behind the other, each where the answer says; the count grows by them."""
    batch = [stored(b"one"), stored(b"two" * 9), stored(b"3")]
    places = writer.write(batch)
    writer.sync()
    raw, end = writer.path.read_bytes(), len(EVENTS.header(0))
    for (path, offset), item in zip(places, batch, strict=True):
        assert (path, offset) == (writer.path, end)
        assert raw[offset : offset + len(item)] == item
        end += len(item)
    assert len(raw) == end
    assert writer.count == 3


class Disk:
    """Notes the order of writes and syncs, and lets them through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        for name in ("write_all", "sync_directory"):
            self._note(monkeypatch, store, name, name)
        self._note(monkeypatch, store.os, "fdatasync", "sync")

    def _note(
        self, monkeypatch: pytest.MonkeyPatch, where: ModuleType, name: str, said: str
    ) -> None:
        real = getattr(where, name)

        def noted(*arguments: object) -> None:
            self.seen.append(said)
            real(*arguments)

        monkeypatch.setattr(where, name, noted)


def test_what_was_written_is_synced_once(
    writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes, then one sync of data; with nothing new there is nothing to wait for."""
    disk = Disk(monkeypatch)
    writer.sync()
    assert disk.seen == []
    writer.write([stored(b"one")])
    writer.write([stored(b"two")])
    writer.sync()
    writer.sync()
    assert disk.seen == ["write_all", "write_all", "sync"]
    writer.write([stored(b"three")])
    writer.sync()
    assert disk.seen[3:] == ["write_all", "sync"]


def test_a_new_segment_is_durable_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first line is synced, then the directory that names it, before a frame is written."""
    (tmp_path / "events").mkdir()
    disk, made = Disk(monkeypatch), SegmentWriter(tmp_path, EVENTS, segment_bytes=200)
    made.start(0)
    assert disk.seen == ["write_all", "sync", "sync_directory"]
    assert made.path.read_bytes() == EVENTS.header(0)
    made.close()


@pytest.mark.parametrize("what", ["replaced", "removed", "cut", "longer"])
def test_a_segment_that_is_not_ours_any_more_takes_nothing(
    tmp_path: Path, writer: SegmentWriter, what: str
) -> None:
    """Found at the sync, so before anything is acknowledged."""
    writer.write([stored(b"one")])
    raw = writer.path.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(raw)
    if what == "replaced":
        other.replace(writer.path)
    elif what == "removed":
        writer.path.unlink()
    else:
        os.truncate(writer.path, len(raw) + (1 if what == "longer" else -1))
    with pytest.raises(FileNotFoundError if what == "removed" else SegmentReplaced):
        writer.sync()


def open_files() -> set[str]:
    """Descriptors of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.exists()}


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """One segment is open at a time, none after the end; the end may come twice, or first."""
    (tmp_path / "events").mkdir()
    before = open_files()
    made = SegmentWriter(tmp_path, EVENTS, segment_bytes=60)
    assert (made.path, made.count) == (tmp_path / "events", 0)
    made.close()
    assert open_files() == before
    made.start(0)
    for _ in range(4):
        made.write([stored(b"x" * 20)])
    assert len(open_files() - before) == 1
    assert before <= open_files()
    made.close()
    made.close()
    assert open_files() == before
    lock = DirectoryLock(tmp_path)
    with pytest.raises(Locked):
        DirectoryLock(tmp_path)
    assert len(open_files() - before) == 2
    lock.release()
    assert open_files() == before


def test_descriptor_zero_is_one_like_others(tmp_path: Path) -> None:
    """A service may be started without its standard input; then a segment gets that number."""
    (tmp_path / "events").mkdir()
    made, before = SegmentWriter(tmp_path, EVENTS, segment_bytes=200), open_files()
    kept = os.dup(0)
    os.close(0)
    try:
        made.start(0)
        assert made._fd == 0
        made.start(1)
        assert made._fd > 0
        made.close()
        made.start(2)
        assert made._fd == 0
        made.close()
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert open_files() == before


def test_lock_that_fails_otherwise_lets_go_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk's own error is not taken for another writer, and leaves nothing open."""
    before = open_files()

    def broken(_fd: int, _how: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(store.fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"):
        DirectoryLock(tmp_path)
    assert open_files() == before


def test_lock_is_an_empty_file_of_that_name(tmp_path: Path) -> None:
    """The specification names it, and the verifier wants it empty."""
    DirectoryLock(tmp_path).release()
    DirectoryLock(tmp_path).release()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("lock", b"")]


def test_lock_keeps_one_writer(tmp_path: Path) -> None:
    """The second is refused, and let in when the first has gone."""
    lock = DirectoryLock(tmp_path)
    with pytest.raises(Locked, match="another process"):
        DirectoryLock(tmp_path)
    lock.release()
    DirectoryLock(tmp_path).release()


def test_removed_lock_lets_nobody_in(tmp_path: Path) -> None:
    """`rm lock` beside a running writer must not make two: the second would cut the first's end."""
    lock = DirectoryLock(tmp_path)
    (tmp_path / "lock").unlink()
    with pytest.raises(Locked):
        DirectoryLock(tmp_path)
    lock.release()
    DirectoryLock(tmp_path).release()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EIO])
def test_lock_that_cannot_be_taken_is_not_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A disk that fails is told as that, so that nobody looks for a process that is not there."""

    def broken(_fd: int, _how: int) -> None:
        raise OSError(code, "no lock for you")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="no lock for you"):
        DirectoryLock(tmp_path)


def test_file_system_that_locks_no_directory_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS locks files that are open for writing, and no directory: the file is locked."""
    real = fcntl.flock

    def files_only(fd: int, how: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EBADF, "bad file descriptor")
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", files_only)
    lock = DirectoryLock(tmp_path)
    with pytest.raises(Locked):
        DirectoryLock(tmp_path)
    lock.release()


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed writer leaves no lock behind."""
    script = (
        "import os, sys, pathlib; from sekisho_audit.store import DirectoryLock; "
        "DirectoryLock(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert died.returncode == -signal.SIGKILL
    DirectoryLock(tmp_path).release()

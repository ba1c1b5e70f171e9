"""Appending to segment files: one writer for each family, frames in, durable on return of `sync`.

After each sync the open file is compared with the one that its path names: a segment that was
removed, replaced or cut under us must not go on taking evidence that nobody will ever find.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from sekisho_audit.durable import KEY_MODE, sync_directory, write_all
from sekisho_audit.errors import Locked
from sekisho_audit.scan import LENGTH, Family

# What file systems say that cannot lock a directory, NFS among them; the file is locked there.
_NOT_LOCKABLE = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP})


class SegmentReplaced(OSError):
    """The live segment is no longer the file we write to."""


def frame(digest: bytes, body: bytes) -> bytes:
    """The stored form of one record."""
    return LENGTH.pack(len(body)) + digest + body


class SegmentWriter:
    """Appends frames to the last segment of a family and starts a new one when it is full."""

    def __init__(self, ledger: Path, family: Family, *, segment_bytes: int) -> None:
        self._directory = ledger / family.directory
        self._family = family
        self._segment_bytes = segment_bytes
        self._fd = -1
        self._path = self._directory
        self._size = 0
        self._dirty = False
        self.count = 0

    def resume(self, path: Path, size: int, count: int) -> None:
        """Go on in an existing segment of `size` bytes; `count` frames exist in the family."""
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._path, self._size, self.count = path, size, count
        self._compare()

    def start(self, count: int) -> None:
        """Begin the segment whose first frame has ordinal `count`."""
        path = self._directory / f"{count:012d}.seg"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, KEY_MODE)
        header = self._family.header(count)
        write_all(fd, header)
        os.fdatasync(fd)
        sync_directory(self._directory)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._path, self._size, self.count = fd, path, len(header), count

    @property
    def path(self) -> Path:
        """The live segment."""
        return self._path

    def write(self, frames: Sequence[bytes]) -> list[tuple[Path, int]]:
        """Append frames; they are durable after the next `sync`. Returns where each one stands."""
        if not frames:
            return []
        if self._size >= self._segment_bytes:
            self.start(self.count)
        write_all(self._fd, b"".join(frames))
        places = []
        for item in frames:
            places.append((self._path, self._size))
            self._size += len(item)
        self.count += len(frames)
        self._dirty = True
        return places

    def sync(self) -> None:
        """Make everything written durable, and check that it went where readers will look."""
        if self._dirty:
            os.fdatasync(self._fd)
            self._dirty = False
        self._compare()

    def _compare(self) -> None:
        ours, named = os.fstat(self._fd), self._path.stat()
        if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino):
            raise SegmentReplaced(f"{self._path.name} was replaced while it was written")
        if ours.st_size != self._size:
            raise SegmentReplaced(
                f"{self._path.name} has {ours.st_size} bytes, {self._size} were written"
            )

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class DirectoryLock:
    """One writer for a ledger: an flock that the kernel releases when the process dies.

    The directory is locked beside the file `lock`: removing that file lets nobody in.
    """

    def __init__(self, ledger: Path) -> None:
        self._fds = [
            os.open(ledger / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, KEY_MODE),
            os.open(ledger, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
        ]
        try:
            fcntl.flock(self._fds[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            _lock_directory(self._fds[1])
        except BlockingIOError as error:
            self.release()
            raise Locked(
                f"another process writes this ledger ({ledger}); use its socket or stop it"
            ) from error
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Let another writer in."""
        while self._fds:
            os.close(self._fds.pop())


def _lock_directory(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NOT_LOCKABLE:
            raise

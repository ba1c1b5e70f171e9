"""Writing that is on the disk when it returns, or an error: the few file operations of the writer.

An error here is final for whoever called: after a failed fsync the kernel may have dropped the
pages and reported them clean, so trying again would turn a loss into a lie.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

KEY_MODE = 0o600
DIRECTORY_MODE = 0o700
_ZEROS_BYTES = 1_048_576


def write_all(fd: int, body: bytes) -> None:
    """Write `body` whole in one call. A short write is an error: it means a full disk."""
    written = os.write(fd, body)
    if written != len(body):
        raise OSError(
            errno.ENOSPC, f"the disk is full (short write: {written} of {len(body)} bytes)"
        )


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Create a private directory, and its parents, durably; fine if it is there."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    sync_directory(path.parent)


def create(path: Path, body: bytes) -> None:
    """Create a file that must not exist yet, durably: it has its whole content or is not there.

    Two at a time must not create the same file; who creates holds a lock.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, "it is there already", str(path))
    replace_file(path, body)


def replace_file(path: Path, body: bytes) -> None:
    """Put `body` in the place of a file: readers see the old one whole or the new one whole."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, KEY_MODE)
    try:
        write_all(fd, body)
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.rename(path)
    sync_directory(path.parent)


def overwrite(path: Path) -> None:
    """Overwrite a file with zeros, then remove it, durably; fine if it is not there.

    On disks that remap blocks, and file systems that copy on write, the old bytes may stay.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        overwrite_open(fd)
    finally:
        os.close(fd)
    path.unlink()
    sync_directory(path.parent)


def overwrite_open(fd: int) -> None:
    """Overwrite the whole content of an open file with zeros, durably."""
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_APPEND)
    left, offset = os.fstat(fd).st_size, 0
    while left > 0:
        written = os.pwrite(fd, bytes(min(left, _ZEROS_BYTES)), offset)
        left, offset = left - written, offset + written
    os.fsync(fd)

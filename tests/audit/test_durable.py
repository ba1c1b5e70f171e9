"""File operations that are on the disk when they return, or raise."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.durable import create, make_directory, replace_file, write_all


def test_short_write_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bytes than given is an error, not a reason to try the rest."""
    fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT)
    real = os.write
    monkeypatch.setattr(os, "write", lambda target, body: real(target, body[:1]))
    with pytest.raises(OSError, match=r"the disk is full \(short write: 1 of 3 bytes\)") as caught:
        write_all(fd, b"abc")
    assert caught.value.errno == errno.ENOSPC
    os.close(fd)


def test_created_file_is_private_and_never_replaces(tmp_path: Path) -> None:
    """A file is made with 0600, and only where there was none."""
    path = tmp_path / "key"
    create(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create(path, b"two")
    assert path.read_bytes() == b"one"


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_file_whose_creation_failed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A killed or failed creation leaves no part of a key that a later start would refuse."""
    path = tmp_path / "signing.key"

    def broken(*_arguments: Any) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        with pytest.raises(OSError, match="broken"):
            create(path, b"key")
    assert not path.exists()
    create(path, b"key")
    assert [item.name for item in tmp_path.iterdir()] == ["signing.key"]


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_failed_replacement_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Until the rename readers see the old file whole."""
    path = tmp_path / "checkpoint"
    replace_file(path, b"old")

    def broken(*_arguments: Any, **_options: Any) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        with pytest.raises(OSError, match="broken"):
            replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    replace_file(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_directories_are_private(tmp_path: Path) -> None:
    """A directory and the parents it needs are made for the owner alone."""
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    make_directory(tmp_path / "a" / "b")


def test_names_are_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is synced before the rename, the directory after it."""
    order: list[str] = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(fd: int) -> None:
        order.append("directory" if Path(f"/proc/self/fd/{fd}").is_dir() else "content")
        real_sync(fd)

    def rename(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    replace_file(tmp_path / "f", b"x")
    assert order == ["content", "rename", "directory"]

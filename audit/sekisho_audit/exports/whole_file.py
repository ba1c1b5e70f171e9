"""A file that is there whole or not at all.

It is written under another name in the same folder, synced, and given its name at the end. A file
that is there already stays, unless the caller says otherwise; if writing fails, nothing is left.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sekisho_audit.durable import KEY_MODE, sync_directory


class Exists(FileExistsError):
    """There is such a file already, and nobody said that it may go."""


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, readable by its owner only. Raises Exists, OSError."""
    if not force:
        _check_free(path)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_MODE)
    try:
        with os.fdopen(fd, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            fresh.replace(path)
        else:
            _name(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_directory(path.parent)


def _check_free(path: Path) -> None:
    if path.is_symlink() or path.exists():
        raise Exists(f"{path} is there already; choose another name, or give --force")


def _name(fresh: Path, path: Path) -> None:
    """Give the file its name; unlike a rename, a link never takes the place of another file."""
    try:
        os.link(fresh, path)
    except FileExistsError as error:
        raise Exists(f"{path} is there already; choose another name, or give --force") from error
    except OSError:  # a file system without links
        _check_free(path)
        fresh.replace(path)

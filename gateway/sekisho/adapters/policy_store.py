"""Bundles kept by the digest of their files: what was reviewed is what runs, also in a year.

    <data_dir>/policies/<digest of all files>/…      the exact files, read-only
    <data_dir>/policies/first                        what a worker began with that was never put in

A bundle appears under its name whole or not at all, and is never changed. Each reading computes its
digests again from the very bytes that are used: a damaged bundle, or one that somebody edited, is
refused. Putting the same files in again mends it.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sekisho.adapters.bundle import (
    DATA_BYTES_MAX,
    MODULES_MAX,
    Bundle,
    read_bundle,
)
from sekisho.errors import PolicyRejected, SekishoError
from sekisho_audit.durable import make_directory, sync_directory, write_all

_FILE_MODE = 0o400
_FOLDER_MODE = 0o700
_PATH_CHARS_MAX = 200
FILES_MAX = 2 * MODULES_MAX  # rules and as many tests
BYTES_MAX = DATA_BYTES_MAX
_FIRST = "first"
_FIRST_BYTES_MAX = 200  # two digests


class PolicyStoreUnusable(SekishoError):
    """A kept bundle is damaged or missing, or none can be kept; the message says what to do."""

    code = "policy_store_unusable"


class PolicyStore:
    """The directory of bundles. Safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, bundle: Bundle) -> str:
        """Keep the files of `bundle`; the digest of its contents. Raises PolicyStoreUnusable."""
        place = self.place(bundle.contents)
        try:
            if place.exists():
                if _same(place, bundle.contents):
                    return bundle.contents
                place.rename(self._root / f".damaged-{uuid.uuid4().hex}")
            self._write(place, bundle.files)
        except OSError as error:
            message = f"The bundle cannot be kept in {self._root}: {error.strerror}."
            raise PolicyStoreUnusable(message) from error
        return bundle.contents

    def place(self, contents: str) -> Path:
        """Where these contents are kept. Raises PolicyStoreUnusable for what is no digest."""
        kind, _, digest = contents.partition(":")
        if kind != "sha256" or not digest.isalnum():
            raise PolicyStoreUnusable(f"{contents!r} is no digest of a bundle.")
        return self._root / digest

    def read(self, revision: str, contents: str) -> Bundle:
        """The kept bundle, checked against both digests. Raises PolicyStoreUnusable."""
        place = self.place(contents)
        try:
            bundle = read_bundle(place)
        except PolicyRejected as error:
            raise _damaged(revision, place) from error
        if (bundle.revision, bundle.contents) != (revision, contents):
            raise _damaged(revision, place)
        return bundle

    def note_first(self, bundle: Bundle) -> None:
        """Keep what was taken from the settings' directory, which may be edited while it decides.

        Raises PolicyStoreUnusable.
        """
        contents = self.put(bundle)
        draft = self._root / f".new-{uuid.uuid4().hex}"
        try:
            draft.write_text(f"{bundle.revision} {contents}\n", "ascii")
            draft.replace(self._root / _FIRST)
        except OSError as error:
            draft.unlink(missing_ok=True)
            message = f"The rules in force cannot be noted in {self._root}: {error.strerror}."
            raise PolicyStoreUnusable(message) from error

    def first(self) -> Bundle | None:
        """What `note_first` kept last; None if nothing was. Raises PolicyStoreUnusable."""
        note = self._root / _FIRST
        try:
            with note.open("rb") as file:
                words = file.read(_FIRST_BYTES_MAX).decode("ascii", "replace").split()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PolicyStoreUnusable(f"{note} cannot be read: {error.strerror}.") from error
        if len(words) != 2:  # noqa: PLR2004 - revision and contents
            raise PolicyStoreUnusable(
                f"{note} no longer names the rules in force. A worker writes it anew at its start."
            )
        return self.read(*words)

    def _write(self, place: Path, files: Mapping[str, bytes]) -> None:
        make_directory(self._root)
        self._root.chmod(_FOLDER_MODE)
        draft = self._root / f".new-{uuid.uuid4().hex}"
        try:
            write_files(draft, files)
            for folder, _, _ in os.walk(draft):
                sync_directory(Path(folder))
            # Who was faster wrote the same bytes; a directory that is not empty is not replaced.
            if not place.exists():
                draft.rename(place)
            sync_directory(self._root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Lay out files below a new `folder`. Raises PolicyRejected for paths that lead elsewhere."""
    faults = [
        f"{name[:_PATH_CHARS_MAX]}:1: is no path inside a bundle"
        for name in files
        if not _is_inside(name)
    ]
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    faults += [
        f"{name}:1: is a file and also the folder of another"
        for name in sorted(folders.intersection(files))
        if _is_inside(name)
    ]
    if len(files) > FILES_MAX:
        faults.append(f"data.yaml:1: more than {FILES_MAX} files are no bundle")
    if sum(map(len, files.values())) > BYTES_MAX:
        faults.append(f"data.yaml:1: more than {BYTES_MAX} bytes are no bundle")
    if faults:
        raise PolicyRejected(faults)
    folder.mkdir(mode=_FOLDER_MODE)
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        try:
            write_all(descriptor, body)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        0 < len(name) <= _PATH_CHARS_MAX
        and name.isprintable()
        and "\\" not in name
        and not path.is_absolute()
        and path.as_posix() == name
        and not any(part.startswith(".") for part in path.parts)
    )


def _same(place: Path, contents: str) -> bool:
    try:
        return read_bundle(place).contents == contents
    except PolicyRejected:
        return False


def _damaged(revision: str, place: Path) -> PolicyStoreUnusable:
    return PolicyStoreUnusable(
        f"What is kept of {revision} is not what was put in: {place.name} is missing, damaged or "
        "was edited. Restore it from a backup, or put the same files in again."
    )

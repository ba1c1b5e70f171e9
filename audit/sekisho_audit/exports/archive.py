"""Opening a bundle that may be meant to harm: strictly, within limits, nothing is unpacked.

Refused before anything is read: names that are paths to elsewhere or stand twice, links, encrypted
members, more files or bytes than a bundle has, members that overlap. While reading, no member may
be longer than it says.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Self

from sekisho_audit.exports.bundle_form import BUNDLE_BYTES_MAX, FILES_MAX, LINE_BYTES_MAX, NAME

_PIECE_BYTES = 1024 * 1024
_ENCRYPTED = 0x1
_RATIO_MAX = 1_100  # deflate cannot do more: whoever says so lies about the size


class NoBundle(ValueError):
    """A file that cannot be read as a zip file at all."""


class BadArchive(ValueError):
    """A zip file that no export made, and what about it."""


class Archive:
    """A bundle that is open for reading."""

    def __init__(self, path: Path) -> None:
        """Raises NoBundle, BadArchive, OSError."""
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise NoBundle(f"not a zip file: {error}") from error
        try:
            self.sizes = self._checked(path.stat().st_size)
        except BadArchive:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _checked(self, file_bytes: int) -> dict[str, int]:
        sizes: dict[str, int] = {}
        packed = 0
        members = self._zip.infolist()
        if len(members) > FILES_MAX:
            raise BadArchive(f"{len(members)} files are more than a bundle has")
        for member in members:
            name = member.filename
            _check_member(member)
            if name in sizes:
                raise BadArchive(f"{name!r} stands twice")
            sizes[name] = member.file_size
            packed += member.compress_size
        if sum(sizes.values()) > BUNDLE_BYTES_MAX:
            raise BadArchive("unpacked, it is larger than a bundle may be")
        if packed > file_bytes:
            raise BadArchive("its files overlap")
        return sizes

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a file, piece by piece. Raises BadArchive."""
        size = 0
        try:
            with self._zip.open(name) as member:
                while piece := member.read(_PIECE_BYTES):
                    size += len(piece)
                    if size > self.sizes[name]:
                        raise BadArchive(f"{name} is longer than it says")
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise BadArchive(f"{name} does not unpack: {error}") from error
        except (KeyError, RuntimeError) as error:
            raise BadArchive(f"{name} is missing") from error

    def read(self, name: str, bytes_max: int) -> bytes:
        """A whole file. Raises BadArchive."""
        if self.sizes.get(name, 0) > bytes_max:
            raise BadArchive(f"{name} has more than {bytes_max} bytes")
        return b"".join(self.pieces(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file, without their ends. Raises BadArchive."""
        rest = b""
        for piece in self.pieces(name):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > LINE_BYTES_MAX:
                raise BadArchive(f"a line of {name} is longer than any event")
        if rest:
            raise BadArchive(f"the last line of {name} is not whole")

    def hashed(self, name: str) -> tuple[int, str]:
        """Length and SHA-256 of a file. Raises BadArchive."""
        digest, size = sha256(), 0
        for piece in self.pieces(name):
            digest.update(piece)
            size += len(piece)
        return size, digest.hexdigest()


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not NAME.fullmatch(name) or name != member.orig_filename:
        raise BadArchive(f"{member.orig_filename[:80]!r} is no name of a file in a bundle")
    kind = stat.S_IFMT(member.external_attr >> 16)  # 0: not from a Unix
    if member.flag_bits & _ENCRYPTED or kind not in {0, stat.S_IFREG}:
        raise BadArchive(f"{name} is encrypted, a link or no file")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BadArchive(f"{name} is packed in an unknown way")
    if member.file_size > _RATIO_MAX * (member.compress_size + 1):
        raise BadArchive(f"{name} says it unpacks to more than it can")

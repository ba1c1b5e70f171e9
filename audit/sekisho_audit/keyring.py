"""The keys of a ledger: its signing key, the key-encryption key, and one record per principal.

`principals.keys` is append-only: a magic line, then records, each sealed by the key-encryption key
(KEK) with its ordinal as associated data, so that none can be read, moved or dropped unnoticed. A
record gives a principal a random pseudonym, or a random key for one shelf (retention.py: a month or
a day, and a class of content; the record's member is called `month`, as it was when that was all).
Erasing a principal rewrites the file without them; what was sealed for them cannot be opened again.

`sync` must return before anything that depends on a new record is written.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sekisho_audit.durable import (
    DIRECTORY_MODE,
    KEY_MODE,
    create,
    make_directory,
    overwrite,
    overwrite_open,
    replace_file,
    write_all,
)
from sekisho_audit.errors import Unusable
from sekisho_audit.key_provider import KEY_BYTES, PLAIN_FILES, KeyProvider
from sekisho_audit.seal import forget_keys

SYSTEM = "@system"  # owner of payloads that belong to no principal
_MAGIC = b"sekisho-principal-keys-v1\n"
_LENGTH = struct.Struct(">I")
_NONCE_BYTES = 12
# A record holds an id, a shelf and a key.
_RECORD_BYTES_MAX = 16_384
# A file system that had the new size but not yet the data shows zeros; records end in 16 bytes of
# authentication code.
_UNWRITTEN = bytes(4)
_SIGNING, _KEK, _PEPPER, _SEARCH_KEY = "signing.key", "kek", "pepper", "search.key"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The three installation keys of `keys_dir`."""

    signing: bytes
    kek: bytes
    pepper: bytes


def check_apart(data_dir: Path, keys_dir: Path) -> None:
    """Keys and data must not lie inside one another: one backup must not undo erasures."""
    data, keys = data_dir.resolve(), keys_dir.resolve()
    if data == keys or data in keys.parents or keys in data.parents:
        raise Unusable(
            f"the keys ({keys}) and the data ({data}) lie inside one another; "
            "give keys_dir a place of its own"
        )


def _check_mode(path: Path, mode: int) -> None:
    loose = path.stat().st_mode & 0o777 & ~mode
    if loose:
        raise Unusable(f"{path} is open to others; run: chmod {mode:o} {path}")


def load_secrets(
    keys_dir: Path, *, create_missing: bool, provider: KeyProvider = PLAIN_FILES
) -> Secrets:
    """Read the installation keys; make them if there are none and `create_missing` says so.

    Raises Unusable, KeyUnavailable. The pepper is the gateway's, who reads the file itself.
    """
    if create_missing:
        make_directory(keys_dir)
    if not keys_dir.is_dir():
        raise Unusable(f"there is no directory of keys at {keys_dir}")
    _check_mode(keys_dir, DIRECTORY_MODE)
    found = [
        _key(keys_dir / name, guard, create_missing=create_missing)
        for name, guard in ((_SIGNING, provider), (_KEK, provider), (_PEPPER, PLAIN_FILES))
    ]
    return Secrets(*found)


def load_search_key(keys_dir: Path, provider: KeyProvider = PLAIN_FILES) -> bytes:
    """The key of the search index; made if it is not there, and then the index is built anew."""
    return _key(keys_dir / _SEARCH_KEY, provider, create_missing=True)


def _key(path: Path, provider: KeyProvider, *, create_missing: bool) -> bytes:
    if not path.exists():
        if not create_missing:
            raise Unusable(f"{path} is missing; restore it from its backup")
        create(path, provider.wrap(path.name, secrets.token_bytes(KEY_BYTES)))
    _check_mode(path, KEY_MODE)
    key = provider.unwrap(path.name, path.read_bytes())
    if len(key) != KEY_BYTES:
        raise Unusable(f"{path}: the guard of keys gave a key that is not {KEY_BYTES} bytes")
    return key


class Keyring:
    """Pseudonyms and keys of principals. Used by one thread."""

    def __init__(self, path: Path, kek: bytes, *, create_missing: bool = True) -> None:
        self._path = path
        self._cut_copy = path.with_name(path.name + ".cut")
        self._kek = AESGCM(kek)
        self._records = 0
        self._new: list[bytes] = []
        self._pseudonyms: dict[str, str] = {}
        self._principals: dict[str, str] = {}
        self._keys: dict[tuple[str, str], bytes] = {}
        self._broken = False
        self.cut_bytes = 0
        if not path.exists():
            if not create_missing:
                raise Unusable(f"{path} is missing; restore it from its backup")
            create(path, _MAGIC)
        _check_mode(path, KEY_MODE)
        self._size = self._load()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    # -- reading

    def _load(self) -> int:
        """Read the file; returns its size."""
        raw = self._path.read_bytes()
        if not raw.startswith(_MAGIC):
            raise Unusable(f"{self._path} is not a file of principal keys")
        offset = len(_MAGIC)
        while offset < len(raw):
            end, record = self._open(raw, offset, self._records)
            if record is None:
                self._cut_tail(raw, offset)
                break
            self._take(record)
            self._records += 1
            offset = end
        return offset

    def _open(self, raw: bytes, offset: int, ordinal: int) -> tuple[int, dict[str, str] | None]:
        start = offset + _LENGTH.size
        if start > len(raw):
            return len(raw), None
        (length,) = _LENGTH.unpack_from(raw, offset)
        end = start + length
        if not _NONCE_BYTES < length <= _RECORD_BYTES_MAX or end > len(raw):
            return len(raw), None
        nonce = raw[start : start + _NONCE_BYTES]
        try:
            plain = self._kek.decrypt(nonce, raw[start + _NONCE_BYTES : end], _bound(ordinal))
        except InvalidTag:
            return end, None
        record: dict[str, str] = json.loads(plain.decode())
        return end, record

    def _cut_tail(self, raw: bytes, offset: int) -> None:
        """Cut what a crash left unfinished; nothing was ever built on it. Keep a copy."""
        written = raw.rstrip(b"\0") if raw.endswith(_UNWRITTEN) else raw
        if self._whole(written, offset) or self._resumes(written, offset):
            raise Unusable(
                f"{self._path}, byte {offset}: a damaged record, or another key-encryption key; "
                "restore the file or the key from its backup"
            )
        replace_file(self._cut_copy, raw[offset:])
        replace_file(self._path, raw[:offset])
        self.cut_bytes = len(raw) - offset

    def _whole(self, raw: bytes, offset: int) -> bool:
        """Whether there is a record of its full length: a killed writer leaves only parts.

        Also one whose length is damaged and which opens as what it is.
        """
        start = offset + _LENGTH.size
        length = int.from_bytes(raw[offset:start], "big")
        full = _NONCE_BYTES < length <= _RECORD_BYTES_MAX and start + length <= len(raw)
        rest = _LENGTH.pack(max(0, len(raw) - start)) + raw[start:]
        return full or self._open(rest, 0, self._records)[1] is not None

    def _resumes(self, raw: bytes, offset: int) -> bool:
        """Whether the next record stands somewhere behind: then this one was damaged, not torn."""
        last = min(len(raw), offset + _RECORD_BYTES_MAX)
        return any(
            self._open(raw, start, self._records + 1)[1] is not None
            for start in range(offset + 1, last)
        )

    def _take(self, record: dict[str, str]) -> None:
        principal = record["principal"]
        if "pseudonym" in record:
            self._pseudonyms[principal] = record["pseudonym"]
            self._principals[record["pseudonym"]] = principal
        else:
            self._keys[principal, record["month"]] = bytes.fromhex(record["key"])

    # -- what others ask for

    def pseudonym(self, principal: str) -> str:
        """The pseudonym of a principal, made at the first use."""
        known = self._pseudonyms.get(principal)
        if known is None:
            known = "p-" + secrets.token_hex(8)
            self._add({"principal": principal, "pseudonym": known})
        return known

    def known(self, principal: str) -> str | None:
        """The pseudonym of a principal that has one; asking makes none."""
        return self._pseudonyms.get(principal)

    def key(self, principal: str, shelf: str) -> bytes:
        """The key of a principal for a shelf (`2026-11/reason`), made at the first use."""
        known = self._keys.get((principal, shelf))
        if known is None:
            known = secrets.token_bytes(KEY_BYTES)
            self._add({"principal": principal, "month": shelf, "key": known.hex()})
        return known

    def principal_of(self, pseudonym: str) -> str | None:
        """Who is behind a pseudonym; None after erasure."""
        return self._principals.get(pseudonym)

    def key_of(self, principal: str, shelf: str) -> bytes | None:
        """A key that exists already, or None."""
        return self._keys.get((principal, shelf))

    def shelves(self) -> list[tuple[str, str]]:
        """Principal and shelf of every key there is."""
        return list(self._keys)

    # -- writing

    def _add(self, record: dict[str, str]) -> None:
        self._take(record)
        plain = json.dumps(record).encode()
        self._new.append(self._seal(plain, self._records, os.urandom(_NONCE_BYTES)))
        self._records += 1

    def _seal(self, record: bytes, ordinal: int, nonce: bytes) -> bytes:
        sealed = nonce + self._kek.encrypt(nonce, record, _bound(ordinal))
        return _LENGTH.pack(len(sealed)) + sealed

    def _all_sealed(self) -> list[bytes]:
        """Every record anew. Nobody can append meanwhile, so each step counts."""
        spelled: dict[str, str] = {}
        records = []
        for principal, name in self._pseudonyms.items():
            spelled[principal] = json.dumps(principal)
            records.append(f'{{"principal": {spelled[principal]}, "pseudonym": "{name}"}}')
        for (principal, shelf), key in self._keys.items():
            known = spelled.get(principal) or json.dumps(principal)
            records.append(f'{{"principal": {known}, "month": "{shelf}", "key": "{key.hex()}"}}')
        nonces = os.urandom(_NONCE_BYTES * len(records))
        return [
            self._seal(record.encode(), place, nonces[at : at + _NONCE_BYTES])
            for place, (record, at) in enumerate(
                zip(records, range(0, len(nonces), _NONCE_BYTES), strict=True)
            )
        ]

    def sync(self) -> None:
        """Make new records durable. Nothing may depend on them before this returns.

        Raises OSError; after the first one always, since what is on the disk is not known then.
        """
        with self._writing():
            if self._new:
                fresh = b"".join(self._new)
                write_all(self._fd, fresh)
                self._new.clear()
                os.fdatasync(self._fd)
                self._size += len(fresh)
            self._compare()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._broken:
            raise OSError(errno.EIO, "an earlier write failed", str(self._path))
        self._broken = True
        yield
        self._broken = False

    def _compare(self) -> None:
        """Keys in a file that nobody will find would be lost with all that they sealed."""
        ours, named = os.fstat(self._fd), self._path.stat()
        same = (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)
        if not same or ours.st_size != self._size:
            raise OSError(errno.EIO, "somebody removed, replaced or changed it", str(self._path))

    def keys_of(self, principal: str) -> dict[str, bytes]:
        """The keys of a principal by shelf."""
        return {shelf: key for (owner, shelf), key in self._keys.items() if owner == principal}

    def erase(self, principal: str) -> int:
        """Destroy pseudonym and keys of a principal; returns how many keys there were.

        Raises OSError; then a restart shows whether they are destroyed.
        """
        gone = self.keys_of(principal)
        pseudonym = self._pseudonyms.pop(principal, None)
        if pseudonym is not None:
            del self._principals[pseudonym]
        return self.destroy([(principal, shelf) for shelf in gone])

    def destroy(self, keys: Collection[tuple[str, str]]) -> int:
        """Destroy keys (principal, shelf): write the file without them, and over the old one;
        returns how many there were. Raises OSError. What a disk keeps of overwritten blocks is
        not ours to say.
        """
        before = len(self._keys)
        for key in keys:
            self._keys.pop(key, None)
        sealed = self._all_sealed()
        forget_keys()
        fresh = _MAGIC + b"".join(sealed)
        with self._writing():
            # What a crash left beside it may hold parts of them too.
            for path in (self._cut_copy, self._path.with_name(self._path.name + ".new")):
                overwrite(path)
            replace_file(self._path, fresh)
            # Before the old one is closed: its number must not become that of another file.
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            if os.fstat(self._fd).st_nlink == 0:  # else it is somebody's backup
                overwrite_open(self._fd)
            os.close(self._fd)
        self._new.clear()
        self._fd, self._records, self._size = fd, len(sealed), len(fresh)
        return before - len(self._keys)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def _bound(ordinal: int) -> bytes:
    return b"sekisho-principal-keys-v1|%d" % ordinal

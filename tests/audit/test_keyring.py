"""Keys on the disk: made once, never readable without the KEK, gone after erasure."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.errors import Unusable
from sekisho_audit.keyring import Keyring, check_apart, load_secrets

KEK = bytes(range(32))
STAFF = "staff-7@ledger.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "principals.keys"


def filled(path: Path) -> tuple[str, bytes]:
    ring = Keyring(path, KEK)
    made = ring.pseudonym(STAFF), ring.key(STAFF, "2026-11")
    ring.pseudonym("staff-8")
    ring.key("staff-8", "2026-11")
    ring.sync()
    ring.close()
    return made


def test_keys_come_back(path: Path) -> None:
    """Pseudonym and key are the same after a restart, and lead back to the principal."""
    made = filled(path)
    ring = Keyring(path, KEK)
    assert (ring.pseudonym(STAFF), ring.key(STAFF, "2026-11")) == made
    assert ring.principal_of(made[0]) == STAFF
    assert ring.key_of(STAFF, "2026-10") is None
    ring.close()


def test_months_and_principals_have_their_own_keys(path: Path) -> None:
    """No two (principal, month) share a key, no two principals a pseudonym."""
    ring = Keyring(path, KEK)
    keys = {ring.key(who, month) for who in ("a", "b") for month in ("2026-11", "2026-12")}
    assert len(keys) == 4
    assert ring.pseudonym("a") != ring.pseudonym("b")
    ring.close()


def test_file_shows_nobody(path: Path) -> None:
    """The file names no principal and holds no key in clear."""
    _, key = filled(path)
    raw = path.read_bytes()
    assert STAFF.encode() not in raw
    assert key not in raw
    assert key.hex().encode() not in raw


def test_file_is_private(path: Path) -> None:
    """Only the owner reads it, and a file open to others is refused."""
    filled(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(Unusable, match="chmod 600"):
        Keyring(path, KEK)


def test_wrong_kek_is_refused(path: Path) -> None:
    """With another KEK nothing is cut, nothing is made anew."""
    filled(path)
    before = path.read_bytes()
    with pytest.raises(Unusable):
        Keyring(path, bytes(32))
    assert path.read_bytes() == before


def test_torn_tail_at_every_offset(path: Path) -> None:
    """A record cut anywhere is dropped with a copy kept; the ones before stay."""
    made = filled(path)
    whole = path.read_bytes()
    ring = Keyring(path, KEK)
    ring.key("late", "2026-12")
    ring.sync()
    ring.close()
    longer = path.read_bytes()
    for end in range(len(whole) + 1, len(longer)):
        path.write_bytes(longer[:end])
        ring = Keyring(path, KEK)
        assert (ring.pseudonym(STAFF), ring.key_of("late", "2026-12")) == (made[0], None)
        assert ring.cut_bytes == end - len(whole)
        ring.close()
        assert path.read_bytes() == whole
        assert path.with_name("principals.keys.cut").read_bytes() == longer[len(whole) : end]


def test_damaged_record_is_refused(path: Path) -> None:
    """A changed byte is refused and never cut away: that would lose keys."""
    filled(path)
    whole = path.read_bytes()
    for offset in range(len(whole)):
        changed = bytearray(whole)
        changed[offset] ^= 1 << (offset % 8)
        path.write_bytes(changed)
        with pytest.raises(Unusable):
            Keyring(path, KEK)
        assert path.read_bytes() == changed


def test_erased_principal_is_gone(path: Path) -> None:
    """After erasure neither the file nor memory knows the principal; others stay."""
    pseudonym, key = filled(path)
    ring = Keyring(path, KEK)
    other = ring.key("staff-8", "2026-11")
    assert ring.erase(STAFF) == 1
    assert ring.principal_of(pseudonym) is None
    assert ring.key_of(STAFF, "2026-11") is None
    ring.key("staff-9", "2026-11")
    ring.sync()
    ring.close()
    again = Keyring(path, KEK)
    assert again.key_of(STAFF, "2026-11") is None
    assert again.key_of("staff-8", "2026-11") == other
    assert again.pseudonym(STAFF) != pseudonym
    assert again.key(STAFF, "2026-11") != key
    again.close()


def test_erasure_takes_the_copy_of_a_torn_end_along(path: Path) -> None:
    """What a crash left of a record may be of the erased: no part of it stays."""
    filled(path)
    with path.open("ab") as file:
        file.write(b"\x00\x00\x00\x60" + bytes(40))
    ring = Keyring(path, KEK)
    copy = path.with_name("principals.keys.cut")
    assert copy.exists()
    ring.erase(STAFF)
    ring.close()
    assert not copy.exists()


BREAKS = ["write", "fsync", "open", "close"]


@pytest.mark.parametrize("call", BREAKS)
def test_failed_erasure_ends_writing(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whether the old file or the new one is there is not known, so no key is added to either."""
    filled(path)
    ring = Keyring(path, KEK)

    def broken(*_arguments: Any) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        with pytest.raises(OSError, match="broken"):
            ring.erase(STAFF)
    ring.key("staff-9", "2026-11")
    with pytest.raises(OSError, match="an earlier write failed"):
        ring.sync()
    with pytest.raises(OSError, match="an earlier write failed"):
        ring.erase("staff-8")
    ring.close()
    again = Keyring(path, KEK)
    assert again.key_of("staff-9", "2026-11") is None
    assert again.key_of("staff-8", "2026-11") is not None
    again.close()


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_failed_write_ends_writing(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A key whose record failed once is never taken for durable."""
    ring = Keyring(path, KEK)

    def broken(*_arguments: Any) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        ring.key(STAFF, "2026-11")
        with pytest.raises(OSError, match="broken"):
            ring.sync()
    for _ in range(2):
        with pytest.raises(OSError, match="an earlier write failed"):
            ring.sync()
    ring.close()


def _replaced(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body)


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


MISCHIEF = {
    "removed": Path.unlink,
    "moved": lambda path: path.rename(path.with_suffix(".old")),
    "replaced": _replaced,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "grown": _grown,
}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("story", MISCHIEF)
def test_file_changed_under_us_is_noticed(path: Path, story: str, *, fresh: bool) -> None:
    """A new key in a file that nobody finds again would take all it sealed with it; and who seals
    with an old key should hear at once that it is gone.
    """
    filled(path)
    ring = Keyring(path, KEK)
    if fresh:
        ring.key("staff-9", "2026-11")
    MISCHIEF[story](path)
    with pytest.raises(OSError, match=r"changed it|No such file"):
        ring.sync()
    ring.close()


def test_lost_file_is_not_made_anew(path: Path) -> None:
    """Where keys must be, an empty file would pass for nobody ever having had one."""
    with pytest.raises(Unusable, match="missing"):
        Keyring(path, KEK, create_missing=False)
    assert not path.exists()


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """The first start makes three private keys; the second reads them."""
    keys = tmp_path / "keys"
    made = load_secrets(keys, create_missing=True)
    assert load_secrets(keys, create_missing=False) == made
    assert len({made.signing, made.kek, made.pepper}) == 3
    assert {item.stat().st_mode & 0o777 for item in keys.iterdir()} == {0o600}
    assert keys.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["signing.key", "kek", "pepper", "."])
def test_keys_open_to_others_are_refused(tmp_path: Path, name: str) -> None:
    """Keys that others can read are no secret; the message says how to mend it."""
    keys = tmp_path / "keys"
    load_secrets(keys, create_missing=True)
    (keys / name).chmod(0o744)
    with pytest.raises(Unusable, match="chmod"):
        load_secrets(keys, create_missing=False)


def test_short_key_is_refused(tmp_path: Path) -> None:
    """A key of the wrong length is not used."""
    keys = tmp_path / "keys"
    load_secrets(keys, create_missing=True)
    (keys / "kek").write_bytes(b"short")
    with pytest.raises(Unusable, match="32 bytes"):
        load_secrets(keys, create_missing=False)


def test_places_apart_are_fine(tmp_path: Path) -> None:
    """Two directories side by side do not lie inside one another."""
    check_apart(tmp_path / "data", tmp_path / "data-keys")

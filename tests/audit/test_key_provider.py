"""Keys come from whoever guards them: asked once a start; any guard that keeps the promise fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sekisho_audit.key_provider import KEY_BYTES, PLAIN_FILES, KeyUnavailable
from sekisho_audit.keyring import load_search_key, load_secrets
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support.ledgers import ORIGIN, run_exchange


class Transit:
    """Wraps as a transit engine does: with a key that never leaves it, bound to a context."""

    def __init__(self) -> None:
        self._key = AESGCM(os.urandom(32))
        self.asked: list[str] = []
        self.away = False

    def wrap(self, name: str, key: bytes) -> bytes:
        nonce = os.urandom(12)
        return b"transit:v1:" + nonce + self._key.encrypt(nonce, key, name.encode())

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        self.asked.append(name)
        if self.away:
            raise KeyUnavailable("the transit engine does not answer; start it")
        nonce, sealed = wrapped[11:23], wrapped[23:]
        try:
            return self._key.decrypt(nonce, sealed, name.encode())
        except InvalidTag as error:
            raise KeyUnavailable(f"{name} is not what was wrapped; restore it") from error


def open_with(home: Path, guard: Transit) -> Ledger:
    return Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN, provider=guard)


def test_a_guard_is_asked_once_a_key_and_start(tmp_path: Path) -> None:
    """Not for payloads; and what lies in the directory of keys opens nothing by itself."""
    guard = Transit()
    ledger = open_with(tmp_path, guard)
    ledger.open_session("s-1", 1)
    for _ in range(20):
        run_exchange(ledger, "s-1")
    ledger.close()
    again = open_with(tmp_path, guard)
    again.close()
    assert guard.asked == ["signing.key", "kek"] * 2
    secrets = load_secrets(tmp_path / "keys", create_missing=False, provider=guard)
    for name, key in (("kek", secrets.kek), ("signing.key", secrets.signing)):
        assert key not in (tmp_path / "keys" / name).read_bytes()
    # The gateway reads this one.
    assert (tmp_path / "keys" / "pepper").read_bytes() == secrets.pepper
    assert load_search_key(tmp_path / "keys", guard) == load_search_key(tmp_path / "keys", guard)
    assert verify(tmp_path / "data" / "ledger").verdict is Verdict.SOUND


def test_without_its_guard_a_ledger_stays_closed(tmp_path: Path) -> None:
    """Nothing is made anew, whoever is away or wrong; then it opens as before."""
    guard = Transit()
    open_with(tmp_path, guard).close()
    before = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    guard.away = True
    with pytest.raises(KeyUnavailable, match="does not answer"):
        open_with(tmp_path, guard)
    guard.away = False
    with pytest.raises(KeyUnavailable, match="is not what was wrapped"):
        open_with(tmp_path, Transit())
    with pytest.raises(KeyUnavailable, match="is not 32 bytes"):
        Ledger.open(tmp_path / "data" / "ledger", tmp_path / "keys", ORIGIN)
    kek = tmp_path / "keys" / "kek"
    kek.write_bytes((tmp_path / "keys" / "signing.key").read_bytes())
    with pytest.raises(KeyUnavailable, match="kek is not what was wrapped"):
        open_with(tmp_path, guard)
    kek.write_bytes(before["kek"])
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    open_with(tmp_path, guard).close()


def test_plain_files_hold_the_keys() -> None:
    key = os.urandom(KEY_BYTES)
    assert PLAIN_FILES.unwrap("kek", PLAIN_FILES.wrap("kek", key)) == key
    with pytest.raises(KeyUnavailable, match="restore it"):
        PLAIN_FILES.unwrap("kek", key[:-1])

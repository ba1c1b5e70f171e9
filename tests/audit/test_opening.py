"""Before the first word: keys are made once, and in an order that a kill does not harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.errors import Locked, Unusable
from sekisho_audit.ledger import Ledger
from sekisho_audit.opening import Opened, open_parts
from support.ledgers import ORIGIN, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path)


def parts_of(home: Path) -> Opened:
    return open_parts(
        home / "data" / "ledger", home / "keys", ORIGIN, memory=100, kept=lambda _keys: ()
    )


def test_start_that_was_killed_before_the_public_key_begins_anew(tmp_path: Path) -> None:
    """Whatever keys it had made by then are taken, the others are made."""
    parts = parts_of(tmp_path)
    parts.keyring.close()
    parts.lock.release()
    for name in ("pepper", "principals.keys"):
        (tmp_path / "keys" / name).unlink()
    (tmp_path / "data" / "ledger" / "vkey").unlink()
    again = parts_of(tmp_path)
    assert again.notes.key == parts.notes.key
    assert (tmp_path / "data" / "ledger" / "vkey").read_text() == f"{again.notes.key.line()}\n"
    again.keyring.close()
    again.lock.release()


def test_lock_is_held_from_the_first_moment_and_given_back_on_failure(tmp_path: Path) -> None:
    """Nothing is read or made beside another writer; a start that fails blocks nobody."""
    parts = parts_of(tmp_path)
    (tmp_path / "keys" / "kek").unlink()
    with pytest.raises(Locked):
        parts_of(tmp_path)
    parts.keyring.close()
    parts.lock.release()
    for _ in range(2):
        with pytest.raises(Unusable, match="kek is missing"):
            parts_of(tmp_path)


@pytest.mark.parametrize("keys", ["data/keys", "data", "data/ledger", "."])
def test_keys_and_data_lie_apart(tmp_path: Path, keys: str) -> None:
    """Keys inside the data, or the reverse, are refused, also through a link."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Unusable, match="inside one another"):
        Ledger.open(tmp_path / "data" / "ledger", tmp_path / "link" / keys, ORIGIN)


def test_other_signing_key_is_refused(tmp_path: Path, ledger: Ledger) -> None:
    """A ledger goes on only with the key it was made with."""
    ledger.close()
    (tmp_path / "keys" / "signing.key").write_bytes(bytes(32))
    with pytest.raises(Unusable, match="another key"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("name", ["signing.key", "kek", "pepper", "principals.keys"])
def test_lost_key_is_not_made_anew(tmp_path: Path, ledger: Ledger, name: str) -> None:
    """A ledger whose keys are gone does not get new ones behind everybody's back."""
    ledger.close()
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(Unusable, match="missing"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("lost", [[], ["kek"], ["signing.key", "kek", "pepper"]])
def test_ledger_without_its_public_key_is_not_begun_again(
    tmp_path: Path, ledger: Ledger, lost: list[str]
) -> None:
    """Events are enough to know that there was a key: none is made, whatever else is missing."""
    ledger.close()
    (ledger.directory / "vkey").unlink()
    for name in lost:
        (tmp_path / "keys" / name).unlink()
    with pytest.raises(Unusable, match="missing"):
        open_ledger(tmp_path)
    assert not any((tmp_path / "keys" / name).exists() for name in lost)
    assert not (ledger.directory / "vkey").exists()

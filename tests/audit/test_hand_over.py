"""A change of keys, broken off at every step: the ledger has the old key or the new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import hand_over as module
from sekisho_audit.checkpoint import VerifierKey, open_any, open_note
from sekisho_audit.errors import Poisoned, Unusable
from sekisho_audit.key_chain import KeyChain, Rotation, find_rotations
from sekisho_audit.ledger import Ledger
from support.ledgers import open_ledger, run_exchange


class Killed(BaseException):
    """The process is gone here."""


def abandon(ledger: Ledger) -> None:
    """What the kernel does for a process that was killed."""
    for part in (ledger.files, ledger._keyring):
        part.close()
    ledger._lock.release()


def in_force(home: Path) -> VerifierKey:
    """The key that `vkey` names, which is also the one that signed the checkpoint."""
    directory = home / "data" / "ledger"
    key = VerifierKey.parse((directory / "vkey").read_text().strip())
    open_note((directory / "checkpoint").read_bytes(), key)
    return key


def test_the_new_key_is_in_force(tmp_path: Path) -> None:
    """It signs, `vkey` names it, the old one is gone; both signed the checkpoint between."""
    ledger = open_ledger(tmp_path)
    old = ledger.key
    new = ledger.rotate_key()
    note = (ledger.directory / "checkpoint").read_bytes()
    assert open_note(note, old) == open_note(note, new)
    assert open_note(ledger.note(), new).size == ledger.size
    run_exchange_of(ledger)
    ledger.close()
    assert in_force(tmp_path) == new != old
    assert sorted(path.name for path in (tmp_path / "keys").glob("signing*")) == ["signing.key"]
    again = open_ledger(tmp_path)
    assert (again.key, list(again.keys)) == (new, [old, new])
    again.close()


def run_exchange_of(ledger: Ledger) -> None:
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")


STEPS = ("create", "write", "checkpoint", "vkey", "rename", "directory")


def break_off(patch: pytest.MonkeyPatch, at: str, *, done: bool) -> None:
    """Be killed at a step of a hand-over, before it has an effect or after it."""

    def breaking(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            if done:
                real(*arguments, **named)
            raise Killed

        return run

    if at == "create":
        patch.setattr(module, "create", breaking(module.create))
    elif at == "write":
        patch.setattr(Ledger, "_write", breaking(Ledger._write))
    elif at == "checkpoint":
        patch.setattr(module.Signer, "sign", breaking(module.Signer.sign))
    elif at == "vkey":
        patch.setattr(module, "replace_file", breaking(module.replace_file))
    elif at == "rename":
        patch.setattr(Path, "rename", breaking_key(Path.rename, done=done))
    else:
        patch.setattr(module, "sync_directory", breaking_at_end(module.sync_directory))


def breaking_key(real: Callable[..., Any], *, done: bool) -> Callable[..., Any]:
    def run(path: Path, target: Path) -> Any:
        if path.name != "signing.key.next":
            return real(path, target)
        if done:
            real(path, target)
        raise Killed

    return run


def breaking_at_end(real: Callable[..., Any]) -> Callable[..., Any]:
    calls: list[Path] = []

    def run(path: Path) -> None:
        real(path)
        calls.append(path)
        if len(calls) == 2:  # the first is when a leftover of an earlier attempt is cleared
            raise Killed

    return run


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("at", STEPS)
def test_a_kill_at_any_step_leaves_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, done: bool
) -> None:
    """The next start works, the key it signs with is the one that the ledger names last."""
    ledger = open_ledger(tmp_path)
    run_exchange_of(ledger)
    old = ledger.key
    with monkeypatch.context() as patch:
        break_off(patch, at, done=done)
        with pytest.raises(Killed):
            ledger.rotate_key()
    abandon(ledger)
    again = open_ledger(tmp_path)
    run_exchange(again, "s-1")
    again.close()
    rotated = at not in {"create", "write"} or (at, done) == ("write", True)
    assert (again.key != old) is rotated
    assert in_force(tmp_path) == again.key
    assert not (tmp_path / "keys" / "signing.key.next").exists()
    rotations = [Rotation.read(leaf) for leaf in find_rotations(again.directory)]
    assert len(rotations) == rotated
    assert KeyChain(again.key, rotations).current == again.key
    third = open_ledger(tmp_path)
    assert third.rotate_key() != again.key
    third.close()


def test_a_disk_that_fails_ends_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed write nobody knows what is there; the next start finds out."""
    ledger = open_ledger(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(5, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_file", fail)
        with pytest.raises(Poisoned):
            ledger.rotate_key()
    abandon(ledger)
    again = open_ledger(tmp_path)
    again.close()
    assert in_force(tmp_path) == again.key != ledger.keys[0]


def test_keys_of_before_a_rotation_do_not_open_the_ledger(tmp_path: Path) -> None:
    """A backup of the keys from before must not go on with the old key."""
    ledger = open_ledger(tmp_path)
    before = (tmp_path / "keys" / "signing.key").read_bytes()
    ledger.rotate_key()
    ledger.close()
    (tmp_path / "keys" / "signing.key").write_bytes(before)
    with pytest.raises(Unusable, match="restore the keys"):
        open_ledger(tmp_path)
    line = next(iter(find_rotations(ledger.directory)))["data"]["old"]
    (ledger.directory / "vkey").write_text(f"{line}\n")
    with pytest.raises(Unusable):
        open_ledger(tmp_path)


def test_a_vkey_of_nobody_is_refused(tmp_path: Path) -> None:
    """Also if it names a key that was in force once."""
    ledger = open_ledger(tmp_path)
    first = ledger.key
    ledger.rotate_key()
    ledger.close()
    (ledger.directory / "vkey").write_text(f"{first.line()}\n")
    with pytest.raises(Unusable, match="another key"):
        open_ledger(tmp_path)


def test_a_leftover_of_a_killed_writer_is_cleared(tmp_path: Path) -> None:
    """A file that was not written whole is no key, and nothing was built on it."""
    ledger = open_ledger(tmp_path)
    ledger.close()
    (tmp_path / "keys" / "signing.key.next").write_bytes(b"half")
    again = open_ledger(tmp_path)
    assert again.key == ledger.key
    again.rotate_key()
    again.close()
    checkpoint = (again.directory / "checkpoint").read_bytes()
    assert open_any(checkpoint, [again.key]).size == again.size

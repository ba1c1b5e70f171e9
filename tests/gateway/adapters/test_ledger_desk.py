from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.ledger_desk import event, evidence, operator_account
from sekisho.config import Settings
from sekisho.errors import LedgerUnavailable
from sekisho_audit.ledger import Ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "audit": {"keys_dir": tmp_path / "keys"},
            "backends": [{"id": "local", "base_url": "http://127.0.0.1:9/v1", "models": ["*"]}],
        }
    )


@pytest.fixture
def auditd(settings: Settings) -> Iterator[None]:
    """A real auditd of this installation."""
    settings.run_dir.mkdir(mode=0o700, parents=True)
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "sekisho_audit.auditd"),
            *("--ledger", str(settings.ledger_dir), "--keys", str(settings.audit.keys_dir)),
            *("--socket", str(settings.auditd_socket), "--origin", settings.audit.origin),
        ],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready"
        yield
        process.terminate()
        process.wait(30)


def types(settings: Settings) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sekisho_audit.cli", "show", str(settings.ledger_dir)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split()[3] for line in done.stdout.splitlines()]


def test_without_auditd_the_command_appends_itself(settings: Settings) -> None:
    """Before the first start the ledger and its keys are made on the way."""
    with evidence(settings) as append:
        append([event("key.created", "staff-7", {"key": "abcdefgh"})])
    assert types(settings) == ["audit.boot", "key.created", "audit.shutdown"]


@pytest.mark.usefixtures("auditd")
def test_beside_auditd_it_goes_through_the_socket(settings: Settings) -> None:
    """Auditd stays the only writer while it runs."""
    with evidence(settings) as append:
        append([event("key.created", "staff-7", {"key": "abcdefgh"})])
    found = types(settings)
    assert found.count("audit.boot") == 1
    assert "key.created" in found


def test_a_ledger_that_someone_holds_silently_is_not_written(settings: Settings) -> None:
    """The lock is taken and nobody answers: the command fails instead of writing beside."""
    holder = Ledger.open(settings.ledger_dir, settings.audit.keys_dir, settings.audit.origin)
    try:
        with pytest.raises(LedgerUnavailable), evidence(settings):
            pass
    finally:
        holder.close()


def test_an_auditd_that_does_not_speak_is_unavailable(settings: Settings) -> None:
    """Something listens but never greets: no fallback to the lock, an error in time."""
    settings.run_dir.mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as dumb:
        dumb.bind(str(settings.auditd_socket))
        dumb.listen()
        with pytest.raises(LedgerUnavailable), evidence(settings):
            pass
    assert not settings.ledger_dir.exists()


def test_a_left_over_socket_is_nobody(settings: Settings) -> None:
    """After a crash the file remains; the command works as if it were not there."""
    settings.run_dir.mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(settings.auditd_socket))
    with evidence(settings) as append:
        append([event("key.created", "staff-7", {"key": "abcdefgh"})])
    assert "key.created" in types(settings)


def test_an_event_the_ledger_does_not_know_is_refused(settings: Settings) -> None:
    """Commands cannot write what the verifier could not read."""
    with evidence(settings) as append, pytest.raises(LedgerUnavailable):
        append([event("key.invented", "staff-7", {})])


def test_who_acted_is_asked_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """$USER and $LOGNAME can be anything; an account without a name is a number."""
    monkeypatch.setenv("USER", "someone-else")
    monkeypatch.setenv("LOGNAME", "someone-else")
    assert operator_account() == f"account:{pwd.getpwuid(os.getuid()).pw_name}"

    def nameless(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    assert operator_account() == f"account:{os.getuid()}"

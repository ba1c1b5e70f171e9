"""A command's end of the officers' socket: secrets come from private places, failures are told."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from sekisho_audit.officer_client import SECRET_VARIABLE, OfficerClient, OfficerError, secret_from
from sekisho_audit.officers import mint


def test_a_secret_comes_from_a_private_file(tmp_path: Path) -> None:
    path, secret = tmp_path / "secret", mint()
    path.write_text(secret + "\n")
    path.chmod(0o600)
    assert secret_from(path) == secret
    path.chmod(0o640)
    with pytest.raises(OfficerError, match="chmod 600"):
        secret_from(path)
    with pytest.raises(OfficerError, match="cannot be read"):
        secret_from(tmp_path / "missing")


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped one is never sent, and never shown."""
    secret = mint()
    monkeypatch.setenv(SECRET_VARIABLE, secret)
    assert secret_from(None) == secret
    monkeypatch.setenv(SECRET_VARIABLE, secret[:-1])
    with pytest.raises(OfficerError, match="mistyped") as error:
        secret_from(None)
    assert secret[:-1] not in str(error.value)
    monkeypatch.delenv(SECRET_VARIABLE)
    with pytest.raises(OfficerError, match="--secret-file"):
        secret_from(None)


def test_nobody_at_the_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(OfficerError, match="auditd must run"):
        OfficerClient(tmp_path / "officers.sock")


@pytest.mark.parametrize("said", [b"", b"\xff" * 64, b"\x00\x00\x00\x06\x00\x00\x00\x02[]"])
def test_an_odd_other_end_is_told(tmp_path: Path, said: bytes) -> None:
    """It hung up, or does not speak our language: an error, no traceback and no wait for ever."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            other, _ = listening.accept()
            with other:
                other.recv(65_536)
                other.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with OfficerClient(path, answer_s=10) as client, pytest.raises(OfficerError) as error:
            client.ask({"op": "present"})
        thread.join()
    assert error.value.code == "no_auditd"

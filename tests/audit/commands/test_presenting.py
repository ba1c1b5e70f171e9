"""An officer's command finds auditd beside the ledger and presents whoever asks."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest

from sekisho_audit.commands.presenting import (
    SECOND_VARIABLE,
    add_officer_arguments,
    presented,
    socket_of,
)
from sekisho_audit.officer_client import SECRET_VARIABLE, OfficerError
from support.ledgers import Auditd
from support.officers import OFFICER, SECOND, appoint
from support.officers import socket_of as listening_at


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_officer_arguments(parser)
    return parser.parse_args(words)


def test_the_socket_is_in_the_data_directory(tmp_path: Path) -> None:
    """Whether the data directory or the ledger in it is named, or the socket itself."""
    (tmp_path / "ledger" / "events").mkdir(parents=True)
    expected = tmp_path / "run" / "officers.sock"
    assert socket_of(parsed(str(tmp_path), "--officer", "x")) == expected
    assert socket_of(parsed(str(tmp_path / "ledger"), "--officer", "x")) == expected
    assert socket_of(parsed(".", "--officer", "x", "--socket", "/s")) == Path("/s")


async def test_who_asks_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One from a file, another from the environment; a wrong one is an error."""
    auditd = Auditd(tmp_path)
    await auditd.start()
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(appoint(tmp_path))
    monkeypatch.setenv(SECOND_VARIABLE, appoint(tmp_path, SECOND))
    words = ["data", "--socket", str(listening_at(auditd)), "--officer", OFFICER]
    pair = [*words, "--secret-file", str(secret), "--second", SECOND]

    def present(*given: str) -> None:
        with presented(parsed(*given)) as client, pytest.raises(OfficerError, match="present"):
            client.ask({"op": "present", "name": "third", "secret": ""})

    await asyncio.to_thread(present, *pair)
    monkeypatch.setenv(SECRET_VARIABLE, secret.read_text())
    monkeypatch.setenv(SECOND_VARIABLE, secret.read_text())
    with pytest.raises(OfficerError, match="recorded"):
        await asyncio.to_thread(present, *words, "--second", SECOND)
    await auditd.end()

"""The pure parts, and children that misbehave; whole installations are in tests/faults."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from sekisho.config import Settings
from sekisho.supervisor import (
    CannotServe,
    Child,
    Supervisor,
    _terminate,
    auditd_command,
    auditd_secrets,
    listen,
    metrics_directory,
    prepare_directories,
    require_secrets,
    valkey_command,
)
from sekisho.telemetry import MULTIPROC_DIR
from sekisho.web.tls import TLSUnusable
from sekisho_audit.auditd import parse
from sekisho_audit.cosignature import Cosigner
from sekisho_audit.index_postgres import PostgresDatabase, database_of
from sekisho_audit.ledger import Ledger

BACKEND = {"id": "local", "base_url": "https://models.example/v1", "models": ["*"]}


def _settings(folder: Path, **sections: Any) -> Settings:
    audit = {"keys_dir": folder / "keys", **sections.pop("audit", {})}
    return Settings.model_validate(
        {"data_dir": folder / "data", "audit": audit, "backends": [BACKEND], **sections}
    )


def test_directories_are_made_for_their_owner_only(tmp_path: Path) -> None:
    """Data, keys and sockets, also when a part of the way is missing."""
    settings = _settings(tmp_path / "new")
    prepare_directories(settings)

    for folder in (settings.data_dir, settings.audit.keys_dir, settings.run_dir):
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)


ISSUER = {"id": "corp", "url": "https://id.example", "audience": "sekisho", "client_id": "us"}


@pytest.mark.parametrize("value", [None, ""])
def test_an_issuer_whose_secret_is_not_there_stops_the_start(
    tmp_path: Path, value: str | None
) -> None:
    """Otherwise the first person who signs in finds out. Tokens alone need no secret."""
    issuer = {**ISSUER, "client_secret_env": "CORP_SECRET"}
    environ = {} if value is None else {"CORP_SECRET": value}
    with pytest.raises(CannotServe, match="CORP_SECRET, which is not set"):
        require_secrets(_settings(tmp_path, issuers=[issuer]), environ)
    require_secrets(_settings(tmp_path, issuers=[issuer]), {"CORP_SECRET": "x"})
    require_secrets(_settings(tmp_path, issuers=[{**issuer, "client_id": None}]), environ)
    require_secrets(_settings(tmp_path, issuers=[ISSUER]), environ)


@pytest.mark.parametrize("value", [None, "", "http://elsewhere.example/canary"])
def test_a_channel_without_its_address_stops_the_start(tmp_path: Path, value: str | None) -> None:
    """Found at start and not when somebody should have been told; the address is not repeated."""
    channel = {"name": "desk", "kind": "slack", "url_env": "DESK_URL"}
    settings = _settings(tmp_path, notify={"channels": [channel]})
    environ = {} if value is None else {"DESK_URL": value}
    with pytest.raises(CannotServe, match=r"desk: .*DESK_URL") as refused:
        require_secrets(settings, environ)
    assert "canary" not in refused.value.message
    require_secrets(settings, {"DESK_URL": "https://hooks.example/x"})


async def test_tls_that_cannot_be_served_stops_the_start_before_anything_is_made(
    tmp_path: Path,
) -> None:
    """With the setting and the file, in one line."""
    none = {"tls_certificate": tmp_path / "none.pem", "tls_key": tmp_path / "none.key"}
    settings = _settings(tmp_path, server={**none, "public_url": "https://gateway.example"})
    with pytest.raises(TLSUnusable, match=r"^server\.tls_certificate .*none\.pem cannot be read"):
        await Supervisor(settings, tmp_path / "sekisho.toml").run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever can put files there can put a ledger or a key there; the message mends it."""
    settings = _settings(tmp_path)
    settings.data_dir.mkdir()
    settings.data_dir.chmod(mode)

    with pytest.raises(CannotServe, match="chmod 700"):
        prepare_directories(settings)


def test_a_used_port_is_said_with_a_way_out(tmp_path: Path) -> None:
    """The setting to change stands in the message."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = _settings(tmp_path, server={"port": other.getsockname()[1]})
        with pytest.raises(CannotServe, match="SEKISHO_SERVER__PORT"):
            listen(settings)


def test_auditd_is_started_as_the_settings_say(tmp_path: Path) -> None:
    """Its own parser reads back what was set."""
    settings = _settings(
        tmp_path, audit={"origin": "a.example/l", "session_grace_s": 3, "segment_bytes": 2**21}
    )
    options = parse(auditd_command(settings)[3:])

    assert (settings.ledger_dir, settings.audit.keys_dir) == (options.ledger, options.keys)
    assert (settings.auditd_socket, "a.example/l") == (options.socket, options.origin)
    assert (3.0, 2**21) == (options.session_grace_s, options.segment_bytes)
    assert options.anchors == []


def test_the_password_of_the_search_index_is_in_no_list_of_processes(tmp_path: Path) -> None:
    """It goes to auditd by environment, and to nobody else."""
    url = "postgresql+asyncpg://sekisho:the-password@db.example/index"
    settings = _settings(tmp_path, audit={"index_url": url})
    child = Child("auditd", auditd_command(settings), stop_s=1, secrets=auditd_secrets(settings))

    assert "the-password" not in " ".join(child.command) + repr(settings)
    assert isinstance(database_of(tmp_path, child.environment), PostgresDatabase)
    assert auditd_secrets(_settings(tmp_path)) == {}


def test_auditd_is_told_of_anchors(tmp_path: Path) -> None:
    """Every kind, with what was set; its own parser reads it back."""
    key = Cosigner("w.example/1", bytes(32)).key.line()
    anchors = [
        {"name": "nas", "kind": "pin", "path": "/nas", "interval_s": 60},
        {"name": "w1", "kind": "witness", "url": "https://w.example/", "keys": [key]},
    ]
    options = parse(auditd_command(_settings(tmp_path, anchors=anchors))[3:])
    found = [(one.anchor.name, one.anchor.kind, one.interval_s) for one in options.anchors]
    assert [("nas", "pin", 60.0), ("w1", "witness", 300.0)] == found


def test_valkey_has_no_port_and_forgets_nothing(tmp_path: Path) -> None:
    """A Unix socket of its own, every write synced, never evicting a hold."""
    settings = _settings(tmp_path)
    settings.data_dir.mkdir()
    command = valkey_command(settings)
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert ("0", "700") == (options["--port"], options["--unixsocketperm"])
    assert ("yes", "always") == (options["--appendonly"], options["--appendfsync"])
    assert "noeviction" == options["--maxmemory-policy"]


def test_several_workers_count_in_one_emptied_place(tmp_path: Path) -> None:
    """What a former run left there would be counted as ours; one worker needs no such place."""
    assert metrics_directory(_settings(tmp_path)) is None
    settings = _settings(tmp_path, server={"workers": 2})
    prepare_directories(settings)
    folder = settings.run_dir / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").touch()

    assert folder == metrics_directory(settings)
    assert not list(folder.iterdir())


def test_a_child_is_told_where_to_count(tmp_path: Path) -> None:
    """In its environment, not in ours."""
    child = Child("worker-0", [], stop_s=1, counts_in=tmp_path)

    assert str(tmp_path) == child.environment[MULTIPROC_DIR]
    assert MULTIPROC_DIR not in os.environ


def _child(tmp_path: Path, code: str, **how: Any) -> Child:
    log = tmp_path / "log"
    return Child("part", [sys.executable, "-c", code], stop_s=5, log=log, **how)


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(3)", "3"), ("print('hello')", "0")]
)
async def test_a_child_that_does_not_say_ready_stops_the_start(
    tmp_path: Path, code: str, status: str
) -> None:
    """The message names the part and its exit status."""
    supervisor = Supervisor(_settings(tmp_path), tmp_path / "c.toml")
    child = _child(tmp_path, code, ready_line=b"ready")

    with pytest.raises(CannotServe, match=rf"part did not start \(exit status {status}\)"):
        await supervisor._start(child)


async def test_keys_of_before_a_change_stop_the_start_with_a_reason(tmp_path: Path) -> None:
    """The key was changed while nobody served, and an older directory of keys was put back."""
    settings = _settings(tmp_path)
    prepare_directories(settings)
    origin, key = settings.audit.origin, settings.audit.keys_dir / "signing.key"
    ledger = Ledger.open(settings.ledger_dir, settings.audit.keys_dir, origin)
    before = key.read_bytes()
    ledger.rotate_key()
    ledger.close()
    supervisor = Supervisor(settings, tmp_path / "c.toml")
    child = Child(
        "auditd", auditd_command(settings), stop_s=5, ready_line=b"ready", log=tmp_path / "log"
    )
    await supervisor._start(child)
    assert await _terminate(child) == 0

    key.write_bytes(before)
    with pytest.raises(CannotServe, match=r"auditd did not start \(exit status 65\)"):
        await supervisor._start(child)
    said = (tmp_path / "log").read_text()
    assert "if the signing key was changed: those of after it" in said


async def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """A stop ends, whatever a part does."""
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready', flush=True); time.sleep(60)"
    )
    child = _child(tmp_path, code, ready_line=b"ready")
    child.stop_s = 0.1
    await Supervisor(_settings(tmp_path), tmp_path / "c.toml")._start(child)

    assert -9 == await _terminate(child)
    assert not child.running


async def test_a_final_exit_is_not_started_again(tmp_path: Path) -> None:
    """Auditd after a disk that lied: a person has to look first."""
    supervisor = Supervisor(_settings(tmp_path), tmp_path / "c.toml")
    child = _child(tmp_path, "raise SystemExit(74)", final_exits=(65, 74))
    await supervisor._start(child)
    first = child.process

    await supervisor._watch(child)

    assert first is child.process

"""What is wrong with an installation, and the command that mends it (`sekisho doctor`).

Looks and never changes. Every check answers with one finding or more; a part that is not running is
no fault, since `serve` starts it. Checks that ask a process have a deadline each.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import socket
import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters import registry_keys
from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.diagnosis_anchors import anchors
from sekisho.adapters.diagnosis_break_glass import openings
from sekisho.adapters.diagnosis_halts import halts
from sekisho.adapters.diagnosis_identity import LoadTLS, certificate, issuers
from sekisho.adapters.diagnosis_notify import channels
from sekisho.adapters.diagnosis_policy import in_force
from sekisho.adapters.diagnosis_reviewers import reviewers
from sekisho.adapters.finding import Finding
from sekisho.adapters.registry_schema import why
from sekisho.adapters.sql_registry import Registry
from sekisho.adapters.tls_trust import untrusted
from sekisho.backends.profile import load as load_profile
from sekisho.config import BackendSettings, Settings
from sekisho.config.sections import ServerSettings
from sekisho.errors import LedgerUnavailable, SekishoError

ASK_S = 2.0
DISK_FREE_BYTES_MIN = 1024**3  # a busy day's evidence; auditd stops admitting well below that
_KEY_BYTES = 32
_KEY_FILES = ("signing.key", "kek", "pepper")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def diagnose(
    settings: Settings, config: Path, environ: Mapping[str, str], load_tls: LoadTLS
) -> list[Finding]:
    """All findings, in the order in which a person would mend them."""
    serve = f"sekisho serve --config {shlex.quote(str(config))}"
    return [
        *_directories(settings),
        *_keys(settings),
        _disk(settings),
        *certificate(settings.server, load_tls),
        _port(settings),
        *_auditd(settings, serve),
        _valkey(settings, serve),
        *halts(settings, ASK_S),
        *openings(settings, ASK_S),
        *in_force(settings, environ),
        _registry(settings, config),
        *reviewers(settings),
        *(finding for backend in settings.backends for finding in _backend(backend, environ)),
        *issuers(settings.issuers, environ),
        *channels(settings.notify, environ),
    ]


def _directories(settings: Settings) -> Iterator[Finding]:
    for name, path in (("data_dir", settings.data_dir), ("keys_dir", settings.audit.keys_dir)):
        try:
            facts = path.stat()
        except FileNotFoundError:
            yield Finding(name, ok=True, said=f"{path} will be made by serve")
            continue
        except OSError as error:
            yield Finding(name, ok=False, said=f"{path}: {error.strerror}", mend=f"ls -ld {path}")
            continue
        if facts.st_uid != os.getuid():
            yield Finding(name, ok=False, said="belongs to another account", mend=_owned(path))
        elif facts.st_mode & _OTHERS:
            yield Finding(name, ok=False, said="others may look into it", mend=_closed(path, 700))
        else:
            yield Finding(name, ok=True, said=str(path))


def _keys(settings: Settings) -> Iterator[Finding]:
    folder = settings.audit.keys_dir
    known = (settings.ledger_dir / "vkey").exists()
    missing = [name for name in _KEY_FILES if not (folder / name).exists()]
    if missing and known:
        yield Finding(
            "keys",
            ok=False,
            said=f"the ledger exists, but {', '.join(missing)} is gone from {folder}",
            mend="restore keys_dir from its own backup; without it sealed content stays closed",
        )
        return
    if missing:
        yield Finding("keys", ok=True, said="will be made at the first start")
        return
    for name in _KEY_FILES:
        facts = (folder / name).stat()
        if facts.st_mode & _OTHERS:
            mend = _closed(folder / name, 600)
            yield Finding("keys", ok=False, said=f"others may read {name}", mend=mend)
        elif facts.st_size != _KEY_BYTES:
            yield Finding(
                "keys",
                ok=False,
                said=f"{name} has {facts.st_size} bytes instead of {_KEY_BYTES}",
                mend="restore keys_dir from its own backup",
            )
        else:
            yield Finding("keys", ok=True, said=name)


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir
    while not place.exists() and place != place.parent:
        place = place.parent
    free_bytes = shutil.disk_usage(place).free
    said = f"{free_bytes // 1024**2} MiB free for {settings.data_dir}"
    if free_bytes < DISK_FREE_BYTES_MIN:
        return Finding("disk", ok=False, said=said, mend=f"df -h {place}")
    return Finding("disk", ok=True, said=said)


def _port(settings: Settings) -> Finding:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            mend = "choose a port above 1023 with SEKISHO_SERVER__PORT"
            return Finding("port", ok=False, said=f"{port} needs more rights", mend=mend)
        except OSError as error:
            return _answering(settings.server, error)
    return Finding("port", ok=True, said=f"{host}:{port} is free; the gateway is not running")


def _answering(server: ServerSettings, error: OSError) -> Finding:
    host, port = server.host, server.port
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if server.tls_certificate is None else "https"
    who = f"ss -ltnp 'sport = :{port}' shows who has it"
    try:
        answer = httpx.get(
            f"{scheme}://{shown}:{port}/readyz",
            timeout=ASK_S,
            trust_env=False,
            verify=_only(server.tls_certificate),
        )
        parts = answer.json()["parts"]
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as failed:
        why = untrusted(failed)
        if why:
            said = f"{host}:{port} does not show tls_certificate, or it expired"
            mend = f"restart serve if the certificate was renewed; {who}"
            return Finding("port", ok=False, said=f"{said}: {why}", mend=mend)
        said = f"{host}:{port} cannot be used: {error.strerror}"
        return Finding("port", ok=False, said=said, mend=f"{who}; or set SEKISHO_SERVER__PORT")
    wrong = [f"{name}: {word}" for name, word in parts.items() if word != "ok"]
    if wrong:
        return Finding("gateway", ok=False, said="; ".join(wrong), mend="mend the parts named")
    return Finding("gateway", ok=True, said=f"{host}:{port} is ready")


def _only(certificate: Path | None) -> ssl.SSLContext | bool:
    """Trusts our own certificate and no other, whoever signed it: only its holder is our gateway.

    Raises OSError if the file is no certificate.
    """
    if certificate is None:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False  # people reach it by a name, we by its address
    return context


def _auditd(settings: Settings, serve: str) -> Iterator[Finding]:
    if not settings.auditd_socket.exists():
        yield Finding("auditd", ok=True, said="not running; serve starts it")
        return
    try:
        status = asyncio.run(_status(settings))
    except (LedgerUnavailable, OSError):
        said = f"does not answer on {settings.auditd_socket}"
        yield Finding("auditd", ok=False, said=said, mend=serve)
        return
    if status.get("poisoned"):
        said = f"stopped for good: {status['poisoned']}"
        yield Finding("auditd", ok=False, said=said, mend="see docs/howto/recover.md")
        return
    yield Finding("auditd", ok=True, said=f"{status.get('size', '?')} events")
    yield from anchors(status.get("anchors"))


async def _status(settings: Settings) -> Mapping[str, object]:
    ledger = AuditdLedger(str(settings.auditd_socket))
    try:
        await ledger.start(ASK_S)
        return await ledger.status()
    finally:
        await ledger.close()


def _valkey(settings: Settings, serve: str) -> Finding:
    if settings.redis is None and not settings.valkey_socket.exists():
        return Finding("valkey", ok=True, said="not running; serve starts it")
    try:
        with Redis.from_url(
            settings.redis_url, socket_timeout=ASK_S, socket_connect_timeout=ASK_S
        ) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        mend = serve if settings.redis is None else "mend the server that [redis] url names"
        return Finding("valkey", ok=False, said=type(error).__name__, mend=mend)
    return Finding("valkey", ok=True, said="answers")


def _registry(settings: Settings, config: Path) -> Finding:
    path = settings.registry_path
    create = (
        f"sekisho key create --config {shlex.quote(str(config))} "
        "--principal staff-1 --groups employees --roles employee"
    )
    if not path.exists():
        return Finding("registry", ok=True, said=f"no key yet; make one: {create}")
    try:
        if path.stat().st_mode & _OTHERS:
            mend = _closed(path, 600)
            return Finding("registry", ok=False, said="others may read it", mend=mend)
        with Registry.look(path).reading() as look:
            count = len(registry_keys.listed(look))
    except (OSError, SQLAlchemyError) as error:
        return Finding("registry", ok=False, said=why(error), mend="restore it from a backup")
    except SekishoError as error:
        mend = "restore it from a backup"
        return Finding("registry", ok=False, said=error.message, mend=mend)
    if not count:
        return Finding("registry", ok=True, said=f"no key yet; make one: {create}")
    return Finding("registry", ok=True, said=f"{count} keys")


def _backend(backend: BackendSettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    part = f"backend {backend.id}"
    try:
        load_profile(backend.profile)
    except SekishoError as error:
        yield Finding(part, ok=False, said=error.message, mend="correct its profile")
        return
    name = backend.api_key_env
    if name is not None and not environ.get(name):
        yield Finding(part, ok=False, said=f"{name} is not set", mend=f"export {name}=…")
    else:
        yield Finding(part, ok=True, said=backend.base_url)


def _closed(path: Path, mode: int) -> str:
    return f"chmod {mode} {shlex.quote(str(path))}"


def _owned(path: Path) -> str:
    return f"chown -R $(id -u) {shlex.quote(str(path))}"

"""What `sekisho doctor` says of the kill switch: what stands, and whether Valkey knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from redis import Redis
from redis.exceptions import RedisError

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.finding import Finding
from sekisho.adapters.redis_halts import KEY, decode, encode
from sekisho.config import Settings
from sekisho.errors import SekishoError
from sekisho.model.halts import Halt

_LIFT = "sekisho halt list; lifting takes two: sekisho halt lift, sekisho halt confirm"


def halts(settings: Settings, ask_s: float) -> Iterator[Finding]:
    """One finding a switch. Nothing where neither auditd nor Valkey can be asked: others say so."""
    recorded, rows = _recorded(settings, ask_s), _rows(settings, ask_s)
    if recorded is None and rows is None:
        return
    known = {one.id: one for one in recorded or ()}
    live = {name: decode(name, row) for name, row in (rows or {}).items()}
    for one in known.values():
        if rows is not None and rows.get(one.id) != encode(one):
            said = f"{_said(one)}; Valkey does not have it as the ledger does"
            mend = "it is written back while the gateway runs; who changes Valkey by hand?"
            yield Finding("halt", ok=False, said=said, mend=mend)
        else:
            yield Finding("halt", ok=True, said=_said(one), mend=_LIFT)
    for name, other in live.items():
        if isinstance(other, Halt) and name not in known:
            yield Finding("halt", ok=True, said=f"{_said(other)}; not in this ledger", mend=_LIFT)
    if not known and not any(isinstance(one, Halt) for one in live.values()):
        yield Finding("halt", ok=True, said="nothing is stopped")


def _said(halt: Halt) -> str:
    return f"{halt.what} is stopped by {halt.by or 'nobody known'}: {halt.reason}"


def _recorded(settings: Settings, ask_s: float) -> Sequence[Halt] | None:
    if not settings.auditd_socket.exists():
        return None
    try:
        return asyncio.run(_asked(settings, ask_s))
    except (SekishoError, OSError):
        return None


async def _asked(settings: Settings, ask_s: float) -> Sequence[Halt]:
    ledger = AuditdLedger(str(settings.auditd_socket))
    try:
        await ledger.start(ask_s)
        found, _ = await ledger.halts()
        return found
    finally:
        await ledger.close()


def _rows(settings: Settings, ask_s: float) -> Mapping[str, bytes] | None:
    if settings.redis is None and not settings.valkey_socket.exists():
        return None
    try:
        with Redis.from_url(
            settings.redis_url, socket_timeout=ask_s, socket_connect_timeout=ask_s
        ) as client:
            rows: Mapping[bytes, bytes] = client.hgetall(KEY)
    except (RedisError, ValueError):
        return None
    return {name.decode("utf-8", "replace"): row for name, row in rows.items()}

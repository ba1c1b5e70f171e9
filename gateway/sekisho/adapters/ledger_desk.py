"""Evidence for commands: append events before `serve` runs, beside it, or after it.

If auditd answers on its socket, it appends. If nothing listens there, the command takes the
ledger's lock and appends itself. Never both: when the lock is taken by someone who does not answer,
the command fails and changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.config import Settings
from sekisho.errors import LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.errors import LedgerError
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger

CONNECT_S = 1.0  # a Unix socket answers at once or not at all

Append = Callable[[Sequence[Event]], None]


@contextmanager
def evidence(settings: Settings) -> Iterator[Append]:
    """A function that makes events durable or raises LedgerUnavailable."""
    if _listens(settings):
        with asyncio.Runner() as runner:
            ledger = AuditdLedger(
                str(settings.auditd_socket),
                limits=LedgerLimits(append_deadline_s=settings.audit.append_deadline_s),
            )
            runner.run(_opened(ledger))
            try:
                yield lambda events: _discard(runner.run(ledger.append(events)))
            finally:
                runner.run(ledger.close())
        return
    try:
        own = Ledger.open(settings.ledger_dir, settings.audit.keys_dir, settings.audit.origin)
    except (LedgerError, OSError) as error:
        raise LedgerUnavailable(f"The ledger cannot be written: {error}") from error
    try:
        yield lambda events: _append(own, events)
    finally:
        own.close()


def event(
    kind: str,
    principal: str,
    data: Mapping[str, Any],
    *,
    actor: str | None = None,
    payloads: tuple[Payload, ...] = (),
) -> Event:
    """An event outside any exchange, by default done by the account that runs the command."""
    return Event(
        id=uuid7(),
        type=kind,
        exchange=None,
        principal=principal,
        data=data,
        actor=actor or operator_account(),
        payloads=payloads,
    )


def operator_account() -> str:
    """The account of this machine that runs the command; taken from the kernel, not from $USER."""
    uid = os.getuid()
    try:
        return f"account:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"account:{uid}"  # containers often have no name for it


def _listens(settings: Settings) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_S)
        try:
            probe.connect(str(settings.auditd_socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise LedgerUnavailable(f"auditd cannot be reached: {error.strerror}") from error
    return True


async def _opened(ledger: AuditdLedger) -> None:
    try:
        await ledger.start()
    except LedgerUnavailable:
        await ledger.close()
        raise


def _append(ledger: Ledger, events: Sequence[Event]) -> None:
    try:
        ledger.append_batch(list(events))
    except LedgerError as error:
        raise LedgerUnavailable(f"The ledger refused the event: {error}") from error


def _discard(_: object) -> None:
    """The place of the events is of no interest to a command."""

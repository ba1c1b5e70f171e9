"""Workers with the kill switch: each with its own watch and desk, on a real auditd and Valkey."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.adapters.halt_desk import HaltDesk
from sekisho.adapters.halt_watch import HaltWatch
from sekisho.adapters.redis_halts import HaltStore
from sekisho.adapters.redis_holds import connect
from sekisho.errors import SekishoError
from sekisho.model.halts import Reach
from sekisho.model.principal import Role
from support.holds import SystemClock, person
from support.ledgers import ORIGIN

ONE, TWO = person("operator-1", Role.OPERATOR), person("operator-2", Role.OPERATOR)
AUDITOR = person("auditor-1", Role.AUDITOR)
ANYBODY = Reach(("sales",), "gpt-x", "openai")
BACKENDS = ("openai", "azure")


@dataclass
class Board:
    """One worker's part in it."""

    ledger: AuditdLedger
    watch: HaltWatch
    desk: HaltDesk
    told: list[int] = field(default_factory=list)

    async def refused(self, reach: Reach = ANYBODY) -> str:
        """The code with which an exchange is refused, or nothing."""
        try:
            await self.watch.check(reach)
        except SekishoError as error:
            return error.code
        return ""

    async def close(self) -> None:
        await self.watch.close()
        await self.ledger.close()


async def open_board(
    socket: str, url: str, *, origin: str = "", silence_s: float = 1.0, start: bool = True
) -> Board:
    """A worker at this auditd and Valkey."""
    ledger = AuditdLedger(socket, limits=LedgerLimits(append_deadline_s=1.0), origin=origin)
    await ledger.start()
    told: list[int] = []
    store = HaltStore(connect(url))
    watch = HaltWatch(store, ledger, SystemClock(), silence_s=silence_s, told=told.append)
    if start:
        watch.start()
    return Board(ledger, watch, HaltDesk(watch, ledger, SystemClock(), BACKENDS), told)


@contextmanager
def running_auditd(home: Path, at: Path | None = None) -> Iterator[str]:
    """A real auditd for tests that need no fault of it; its socket."""
    socket = str(at or home / "a.sock")
    command = [
        *(sys.executable, "-m", "sekisho_audit.auditd", "--origin", ORIGIN, "--socket", socket),
        *("--ledger", str(home / "data" / "ledger"), "--keys", str(home / "keys")),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield socket
        process.terminate()

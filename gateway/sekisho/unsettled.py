"""Outcomes that could not be written when they happened, written as soon as the ledger is back.

Only bare facts wait here, never content, and never more than `EVENTS_MAX`: a worker that cannot
tell its outcomes any more has no business admitting new exchanges. What is lost with the process is
closed by auditd as `unknown` when the worker's session ends.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.ports import Ledger
from sekisho_audit.events import Event

EVENTS_MAX = 4096  # eight times the exchanges a worker admits at once by default
PAUSE_S = 0.25

_log = structlog.get_logger("sekisho.unsettled")


class Unsettled:
    """A bounded queue of events with one task that keeps trying to append them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def full(self) -> bool:
        """Whether no more may be promised: the worker stops admitting."""
        return len(self._events) >= EVENTS_MAX

    def add(self, event: Event) -> None:
        """Write `event` later. Beyond the limit it is left to auditd, which closes it unknown."""
        if self.full:
            _log.error("too many unsettled outcomes; auditd will close one as unknown")
            return
        self._events.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Write what waits, oldest first, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Return when nothing waits any more."""
        while self._events:
            event = self._events[0]
            try:
                await self._ledger.append([event])
            except LedgerUnavailable:
                await asyncio.sleep(PAUSE_S)
                continue
            except LedgerRefused as error:
                _log.info("the ledger does not know this intent", why=error.code)
            self._events.popleft()

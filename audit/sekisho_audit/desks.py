"""What auditd keeps beside the ledger and can build again: history, search index, published log.

Each has a thread of its own. None of them is needed to append, and a server without one refuses
what only that one could answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from sekisho_audit.errors import Refused
from sekisho_audit.history import History
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.search_desk import SearchDesk

_FAREWELL_S = 1.0  # for the step a thread is in
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desks:
    """The desks of one auditd."""

    history: History | None = None
    search: SearchDesk | None = None
    log: LogDesk | None = None

    def start(self) -> None:
        """Begin to follow the ledger. In the event loop."""
        for following in (self.history, self.search):
            if following is not None:
                following.start()
        if self.log is not None:
            self.log.start()

    async def stop(self) -> None:
        """End their threads."""
        for following in (self.history, self.search):
            if following is not None:
                following.stop()
                await asyncio.to_thread(following.join, _FAREWELL_S)
        if self.log is not None:
            await self.log.stop()


def kept(desk: T | None, about: str) -> T:
    """The desk; Refused `busy` if this auditd has none."""
    if desk is None:
        raise Refused("busy", f"this auditd keeps no {about}")
    return desk

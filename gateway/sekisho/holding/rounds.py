"""What a worker asks the ledger about once a second, as long as it runs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

import structlog

from sekisho.errors import SekishoError

INTERVAL_S = 1.0

_log = structlog.get_logger("sekisho.rounds")


class Rounds(ABC):
    """One a worker: `run` as a task, `stop` to end it. `about` names it in the log."""

    about: ClassVar[str]

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    @abstractmethod
    async def once(self) -> None:
        """One round. Whatever of the gateway's errors it raises, another one follows."""

    async def run(self) -> None:
        """A round about each second, until stopped."""
        while not self._stopped.is_set():
            try:
                await self.once()
            except SekishoError as error:
                _log.warning("a round failed", about=self.about, code=error.code)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._stopped.wait()

    async def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

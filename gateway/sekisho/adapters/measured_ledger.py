"""The ledger with a watch on it: how long each append took, for operators.

Everything passes through unchanged, errors and cancellation included; only `append` is timed,
because it is what every exchange waits for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.grants import Grant
from sekisho.model.halts import Halt
from sekisho.ports import ExchangeKeys, ExchangePage, Ledger, LedgerHold, Used
from sekisho.telemetry import Metrics
from sekisho_audit.events import Appended, Event


class MeasuredLedger:
    """Satisfies `sekisho.ports.Ledger` by another one."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics

    @property
    def origin(self) -> str:
        """See the port."""
        return self._ledger.origin

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        """See the port. An append whose caller left is counted by nobody: it was not measured."""
        began_s = perf_counter()
        try:
            taken = await self._ledger.append(events)
        except (LedgerUnavailable, LedgerRefused):
            self._metrics.append_took("failed", perf_counter() - began_s)
            raise
        self._metrics.append_took("ok", perf_counter() - began_s)
        return taken

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        """See the port."""
        return await self._ledger.exchange_keys(principal, exchange)

    async def open_holds(self) -> Sequence[LedgerHold]:
        """See the port."""
        return await self._ledger.open_holds()

    async def halts(self) -> tuple[Sequence[Halt], int]:
        """See the port."""
        return await self._ledger.halts()

    async def grants(self) -> Sequence[Grant]:
        """See the port."""
        return await self._ledger.grants()

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        """See the port."""
        return await self._ledger.used(asked)

    async def exchanges(self, principal: str, before: str, limit: int) -> ExchangePage:
        """See the port."""
        return await self._ledger.exchanges(principal, before, limit)

    async def exchange(self, principal: str, exchange: str) -> Mapping[str, Any] | None:
        """See the port."""
        return await self._ledger.exchange(principal, exchange)

    async def appealed(self, exchange: str) -> Mapping[str, Any] | None:
        """See the port."""
        return await self._ledger.appealed(exchange)

    async def appeal_reasons(self, exchange: str, read: int) -> Mapping[str, str | None]:
        """See the port."""
        return await self._ledger.appeal_reasons(exchange, read)

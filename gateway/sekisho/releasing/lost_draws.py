"""Draws that were lost with a worker that was killed between an outcome and its draw, made up for.

    look    what the key draws, was given out a while ago, and has no draw
    tell    the draw, and that its content is gone: nobody kept it

The key decides, so a draw that is told later is the same, whoever tells it, and all workers may. It
is there for who counts draws, and for auditors who compute them again: nobody gets out of the draw
by killing a worker. What it says of risk and rules is as the history of the exchange has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from sekisho.errors import LedgerRefused, SekishoError
from sekisho.model import evidence
from sekisho.model.samples import SampleBook, Undrawn
from sekisho.ports import Ledger
from sekisho.releasing.sampling import About, Sampling

INTERVAL_S = 300.0  # nobody waits for it
PAUSE_S = 0.2  # between two looks: each takes some milliseconds of whoever appends

_log = structlog.get_logger("sekisho.samples")


class LostDraws:
    """One a worker: `run` as a task."""

    def __init__(self, ledger: Ledger, book: SampleBook, sampling: Sampling) -> None:
        self._ledger, self._book, self._sampling = ledger, book, sampling
        self._after = -1

    async def run(self) -> None:
        """Look at the start, and every five minutes, until cancelled."""
        while True:
            try:
                await self.once()
            except SekishoError as error:
                _log.warning("lost draws could not be looked for", code=error.code)
            await asyncio.sleep(INTERVAL_S)

    async def once(self) -> None:
        """Look at all that was not looked at before. Raises LedgerUnavailable: the next round goes
        on where this one stopped.
        """
        while True:
            found, after = await self._book.undrawn(self._after)
            for one in found:
                await self._make_up(one)
            if after == self._after:
                return
            self._after = after
            await asyncio.sleep(PAUSE_S)

    async def _make_up(self, lost: Undrawn) -> None:
        known = await self._ledger.exchange(lost.principal, lost.exchange)
        if known is None or not known["sends"]:
            return  # erased meanwhile
        sent, said = known["sends"][-1], _said(lost, known)
        try:
            told = await self._sampling.make_up(lost, sent["backend"], sent["model"], said)
        except LedgerRefused as error:  # it was told just now
            _log.warning("a lost draw is not on record", code=error.code)
        else:
            if told:
                _log.warning("a draw was lost and is told now", exchange=lost.exchange)


def _said(lost: Undrawn, known: Mapping[str, Any]) -> About:
    """As its holds have it, if people approved one, else as the decision about the request has it.
    Nobody can judge it, so who stands behind whoever asked is not asked for.
    """
    rules = dict.fromkeys(rule for one in known["decisions"] for rule in one["rules"])
    asked = [one for one in known["decisions"] if one["stage"] == "request"]
    ruled = known["hold"] if known["hold"] is not None else asked[-1] if asked else {}
    return About(lost.principal, int(ruled.get("risk", 0)), tuple(rules)[: evidence.REASONS_MAX])

"""What must happen to holds although nobody asks: each worker runs this loop.

    pending and over time        expired, recorded
    pending, nobody is asked     started: it was asked for in the background
    deciding, proposer gone      the proposal is recorded and published
    approved                     handed to `resume`, whether or not a client waits
    dispatching, lease over      unknown
    ended, kept long enough      removed
    reserved, never filed        restored if the ledger has it, else given up

All workers sweep; every step is a compare-and-set, so it does not matter who is first. One hold
that fails never stops the loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from sekisho.errors import SekishoError
from sekisho.holding import rebuild, settle
from sekisho.model.hold import HoldState
from sekisho.ports import HoldStore, Ledger

INTERVAL_S = 1.0
_SPREAD = 0.3  # workers started together do not sweep together for ever
_BATCH_MAX = 200
ORPHAN_S = 5.0  # longer than the ledger's deadline: a filing under way is not an orphan
_RESUMING_MAX = 16  # approved holds this worker sends at once for nobody waiting
_ALONE_MAX = 8  # of these, such as nobody was asked about: they leave room for what people approved

_log = structlog.get_logger("sekisho.holds")

Resume = Callable[[str], Awaitable[None]]
"""Claim this approved hold and send it; returns when it has ended, or at once if it was taken."""


class Sweep:
    """One per worker: `run` as a task, `stop` to end it."""

    def __init__(
        self, store: HoldStore, ledger: Ledger, resume: Resume, orphan_s: float = ORPHAN_S
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._resume = resume
        self._orphan_s = orphan_s
        self._resuming: dict[str, asyncio.Task[None]] = {}
        self._alone: set[str] = set()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Sweep about once a second, until stopped."""
        while not self._stopped.is_set():
            try:
                await self.once()
            except SekishoError as error:
                _log.warning("holds could not be swept", code=error.code)
            spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - not a secret
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S * spread):
                    await self._stopped.wait()

    async def once(self) -> None:
        """Do all that is due now. Raises Unavailable if the store cannot say what is due."""
        due = await self._store.due(_BATCH_MAX, self._orphan_s)
        for hold_id, state, origin, alone in due.holds:
            await self._guarded(hold_id, self._tend(hold_id, state, origin, alone=alone))
        for hold_id, join in due.orphans:
            await self._guarded(hold_id, self._adopt(hold_id, join))

    def start(self, hold_id: str, *, alone: bool = False) -> None:
        """Resume an approved hold now; nothing if this worker is at it, or has enough to send.

        `alone`: nobody waits for it, and it has to leave room for what people wait for.
        """
        if hold_id in self._resuming or len(self._resuming) >= _RESUMING_MAX:
            return
        if alone and len(self._alone) >= _ALONE_MAX:
            return
        task = asyncio.create_task(self._guarded(hold_id, self._resume(hold_id)))
        self._resuming[hold_id] = task
        if alone:
            self._alone.add(hold_id)
        task.add_done_callback(lambda _: self._ended(hold_id))

    def _ended(self, hold_id: str) -> None:
        self._resuming.pop(hold_id, None)
        self._alone.discard(hold_id)

    async def stop(self) -> None:
        """End `run` and wait for what this worker is still sending; cancel to wait no longer."""
        self._stopped.set()
        await asyncio.gather(*self._resuming.values(), return_exceptions=True)

    async def _guarded(self, hold_id: str, step: Awaitable[None]) -> None:
        try:
            await step
        except SekishoError as error:
            _log.warning("hold could not be tended", hold=hold_id, code=error.code)
        except Exception:  # noqa: BLE001 - one broken hold must not stop the care for all others
            _log.exception("hold could not be tended", hold=hold_id)

    async def _tend(self, hold_id: str, state: str, origin: str, *, alone: bool) -> None:
        match state:
            case HoldState.PENDING:
                await self._end_or_start(hold_id)
            case HoldState.DECIDING if origin == self._ledger.origin:
                await self._finish(hold_id)
            case HoldState.DECIDING:
                return  # its own ledger's workers finish it; until then it stays closed
            case HoldState.APPROVED:
                self.start(hold_id, alone=alone)
            case HoldState.DISPATCHING:
                await self._store.lose(hold_id)
            case _:
                await self._store.forget(hold_id)

    async def _end_or_start(self, hold_id: str) -> None:
        view = await self._store.get(hold_id)
        if view is None:
            return
        over = await self._store.now_us() >= view.hold.expires_us
        begin = settle.start if view.hold.starts_alone and not over else settle.expiry
        proposal = begin(view.hold, self._ledger.origin)
        await settle.decide(self._store, self._ledger, view.hold, proposal)

    async def _finish(self, hold_id: str) -> None:
        view = await self._store.get(hold_id)
        if view is not None and view.proposal is not None:
            await settle.finish(self._store, self._ledger, view, view.proposal)

    async def _adopt(self, hold_id: str, join: str) -> None:
        """A worker died between reserving and filing: the ledger tells how far it came."""
        if not await rebuild.restore_one(self._store, self._ledger, hold_id):
            await self._store.drop(hold_id, join)

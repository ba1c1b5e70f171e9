"""What one worker knows of the kill switch, and how it keeps knowing.

    every 250 ms      the hash in Valkey is read; a switch that is new stands at once
    every second      the ledger is asked, and what the hash has wrong is put right
    before anything   what was heard last is at most `silence_s` old, counted from when the question
                      was sent; else it is asked once more, and then nothing goes on

What the ledger has wins: a switch that vanishes from the hash stands on until the ledger says that
it was lifted, and is written back. One of another ledger stands until the hash says it was lifted.
After Valkey was lost the ledger is asked before anything is believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from sekisho.adapters.redis_halts import (
    LIFTED_KEPT_US,
    HaltStore,
    decode,
    encode,
    encode_lifted,
    unheard,
)
from sekisho.errors import HaltUnknown, LedgerRefused, SekishoError, Unavailable
from sekisho.model.halts import Halt, Reach, Switches, halted
from sekisho.ports import Clock, Ledger
from sekisho_audit.events import Event

READ_S = 0.25
LEDGER_S = 1.0
ASK_S = 1.0  # for one more question before an exchange is refused
PAUSE_S = 0.05  # a Valkey that starts again refuses at once
_log = structlog.get_logger("sekisho.halts")


class HaltWatch:
    """Satisfies `sekisho.model.halts.Halts`. One a worker: `start` it, `close` it."""

    def __init__(
        self,
        store: HaltStore,
        ledger: Ledger,
        clock: Clock,
        *,
        silence_s: float,
        told: Callable[[int], None] = lambda _: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`told` is told how many switches stand, whenever that may have changed."""
        self._store, self._ledger, self._clock = store, ledger, clock
        self._silence_s = silence_s
        self._told = told
        self._now_s = now_s
        self._heard_s = self._asked_s = float("-inf")
        self._lost = True  # what the ledger has must be known before Valkey is believed
        self._own: dict[str, Halt] = {}
        self._consulting = asyncio.Lock()
        self._pending: dict[str, tuple[Halt, Event]] = {}
        self._foreign: dict[str, Halt] = {}
        self._rows: Mapping[str, bytes] = {}
        self._seen: dict[str, Halt | int] = {}
        self._written: dict[str, bytes] = {}  # what the hash had, when it was right
        self._void: set[str] = set()  # seen in the hash, and by the ledger's word not standing
        self._reading: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self.standing = Switches()

    def start(self) -> None:
        """Begin to listen."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Listen no longer."""
        tasks = [one for one in (self._running, self._reading, self._asking) if one is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._store.close()

    async def check(self, reach: Reach) -> None:
        """See Halts."""
        if self._now_s() - self._heard_s > self._silence_s:
            await self._hear()
        found = self.standing.hit(reach)
        if found is not None:
            raise halted(found)

    # -- listening

    async def _run(self) -> None:
        while True:
            with suppress(SekishoError):
                await asyncio.shield(self._read())
            await asyncio.sleep(READ_S)

    async def _hear(self) -> None:
        """Ask once more, all callers together. Raises HaltUnknown."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + ASK_S
        while True:
            with suppress(TimeoutError, SekishoError):
                async with asyncio.timeout_at(until_s):
                    await asyncio.shield(self._read())
            if self._now_s() - self._heard_s <= self._silence_s:
                return
            if clock() >= until_s:
                raise unheard()
            await asyncio.sleep(PAUSE_S)

    def _read(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_once())
            self._reading.add_done_callback(_collect)
        return self._reading

    async def _read_once(self) -> None:
        sent_s = self._now_s()
        try:
            rows = await self._store.read()
        except HaltUnknown:
            self._lost = True
            raise
        if rows != self._rows:
            self._take(rows)
        if self._lost:
            await self.consult()
            self._lost = False
        elif self._differs() or sent_s - self._asked_s > LEDGER_S:
            self._consult_soon()
        self._heard_s = max(self._heard_s, sent_s)

    def _consult_soon(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self.consult())
            self._asking.add_done_callback(_collect)

    def _take(self, rows: Mapping[str, bytes]) -> None:
        """What the hash says now. Nothing is let go by what it does not say."""
        self._rows = rows
        self._seen = {name: decode(name, row) for name, row in rows.items()}
        for name, one in self._seen.items():
            if isinstance(one, Halt) and one.origin != self._ledger.origin and one.origin:
                self._foreign[name] = one
            elif not isinstance(one, Halt):
                self._foreign.pop(name, None)
        self._stand()

    def _stand(self) -> None:
        seen = {
            name: one
            for name, one in self._seen.items()
            if isinstance(one, Halt) and name not in self._void
        }
        pending = {name: halt for name, (halt, _) in self._pending.items()}
        # Last wins: the ledger's own word about a switch, then what was heard of others.
        all_of_them = {**seen, **pending, **self._foreign, **self._own}
        if set(all_of_them.values()) != set(self.standing.halts):
            self.standing = Switches(all_of_them.values())
            self._told(len(all_of_them))

    def _differs(self) -> bool:
        """Whether the hash is not what the ledger said last."""
        if any(self._rows.get(name) != encode(one) for name, one in self._own.items()):
            return True
        return any(self._is_void(one) for one in self._seen.values())

    def _is_void(self, one: Halt | int) -> bool:
        """Whether it says of itself that our ledger has it, and that has not."""
        if not isinstance(one, Halt) or one.id in self._own:
            return False
        return one.recorded and one.origin == self._ledger.origin

    # -- the ledger's word

    async def consult(self) -> None:
        """Ask the ledger what stands, and make the hash say so. Raises Unavailable.

        One at a time: what was asked before must not be heard after.
        """
        async with self._consulting:
            await self._record_pending()
            rows, seen = self._rows, self._seen  # read before the ledger: it has all that they have
            found, size = await self._ledger.halts()
            self._own = {one.id: one for one in found}
            self._written = {name: row for name, row in self._written.items() if name in self._own}
            self._void = {name for name, one in seen.items() if self._is_void(one)}
            self._asked_s = self._now_s()
            self._stand()
            for one in found:
                await self._restore(one, rows.get(one.id), seen.get(one.id))
            for name, other in seen.items():
                await self._clear(name, other, size)

    async def _restore(self, halt: Halt, row: bytes | None, seen: Halt | int | None) -> None:
        if row != encode(halt):
            # What is later than the ledger's last word about it was written by nobody of ours.
            force = seen is not None and (not isinstance(seen, Halt) or seen.last >= halt.last)
            wrote = await self._put(halt.id, encode(halt), halt.last, force=force)
            if not wrote:  # somebody of ours was faster; the next reading tells
                return
            if force or self._is_changed(halt, row, seen):
                _log.error(
                    "a switch was not in Valkey as the ledger has it; written back",
                    halt=halt.id,
                    scope=halt.scope,
                )
        self._written[halt.id] = encode(halt)

    async def _put(self, name: str, row: bytes, last: int, *, force: bool) -> bool:
        """Write it, and know what is there without reading it again."""
        wrote = await self._store.put(name, row, last, force=force)
        if wrote:
            self._rows = {**self._rows, name: row}
            self._seen = {**self._seen, name: decode(name, row)}
        return wrote

    def _is_changed(self, halt: Halt, row: bytes | None, seen: Halt | int | None) -> bool:
        """Whether somebody else's hand was at it; a word of ours that is not there yet is none."""
        before = self._written.get(halt.id)
        if row == before:
            return False
        same = isinstance(seen, Halt) and (seen.origin, seen.scope, seen.name) == (
            *(halt.origin, halt.scope, halt.name),
        )
        return not same

    async def _clear(self, name: str, seen: Halt | int, size: int) -> None:
        now_us = self._clock.now_us()
        if not isinstance(seen, Halt):
            if name not in self._own and now_us - seen > LIFTED_KEPT_US:
                await self._store.forget(name)
        elif name in self._void:
            last = max(size, seen.last)
            force = seen.last >= size
            await self._put(name, encode_lifted(seen.origin, last, now_us), last, force=force)

    # -- what this worker changes

    async def adopt(self, halt: Halt) -> bool:
        """A switch that the ledger has, or has a new word about, stands here at once. False: it is
        not known to be in Valkey yet.
        """
        self._own[halt.id] = halt
        self._stand()
        return await self.spread()

    async def adopt_unrecorded(self, halt: Halt, event: Event) -> bool:
        """As `adopt`, for one that the ledger could not take; it is offered again until it does."""
        self._pending[halt.id] = (halt, event)
        self._stand()
        try:
            await self._store.put(halt.id, encode(halt), halt.last)
        except HaltUnknown:
            return False
        return True

    async def spread(self) -> bool:
        """`consult`; false if it could not be done now: the next round does it."""
        try:
            await self.consult()
        except Unavailable:
            return False
        return True

    async def _record_pending(self) -> None:
        for name, (_, event) in list(self._pending.items()):
            try:
                await self._ledger.append([event])
            except LedgerRefused as error:
                # Somebody else's switch for the same thing was recorded meanwhile.
                _log.warning("a switch was not recorded", halt=name, code=error.code)
                await self._store.forget(name)
            del self._pending[name]


def _collect(task: asyncio.Task[None]) -> None:
    """Take note of a failure that nobody waited for; the next round tries again."""
    if not task.cancelled():
        task.exception()

"""auditd's counter for retention: runs it at the start and each day, and tells how it stands.

What is over is over at midnight (UTC), so a run is due when a new day begins, and at the latest a
day after the last by a clock that nobody sets. A run that a start finds cut off is finished first.

Nothing is destroyed by a clock that may be wrong: one that stands a month ahead of the last event
waits for an officer (`--now`). Nor while there is no room to write the file of keys anew.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sekisho_audit import retention_run
from sekisho_audit.erasure_desk import answer_of
from sekisho_audit.errors import Away, LedgerError, Poisoned, Refused
from sekisho_audit.index_file import Database
from sekisho_audit.ledger import Ledger
from sekisho_audit.retention import Retention, day_of, day_text
from sekisho_audit.retention_run import Ended, Run
from sekisho_audit.search_desk import SearchDesk

_DAY_S = 86_400.0
_AFTER_MIDNIGHT_S = 1.0
# Longer than this it is quicker to build the index anew.
_DROP_S = 1_800.0
_ROOM_BYTES = 64 * 1024 * 1024  # beside the file of keys, which is written anew

T = TypeVar("T")
Written = Callable[[Callable[[Ledger], T]], Awaitable[T]]
Tell = Callable[[str], None]


def _nobody(_principal: str) -> None:
    """No worker is there to be told."""


class RetentionDesk:
    """Used by the event loop. `tell_workers` is given a principal whose keys are to be dropped."""

    def __init__(
        self,
        ledger: Ledger,
        keys_dir: Path,
        retention: Retention,
        search: SearchDesk,
        index: Database,
    ) -> None:
        self._now_us = ledger.now_us
        self._keys = keys_dir / "principals.keys"
        self._retention = retention
        self._search = search
        self._index = index
        self._one = asyncio.Lock()
        self.tell_workers: Tell = _nobody

    async def keep(self, written: Written[Any]) -> None:
        """Run at once and every day, as long as the loop lives."""
        while True:
            try:
                await self._by_itself(written)
            except Poisoned:
                return  # the process is about to end; the next one begins here
            except (LedgerError, OSError) as error:
                sys.stderr.write(f"auditd: retention has to wait for its next run: {error}\n")
            await asyncio.sleep(self._until_tomorrow_s())

    def _until_tomorrow_s(self) -> float:
        now_s = self._now_us() / 1_000_000
        return min(_DAY_S, _DAY_S - now_s % _DAY_S + _AFTER_MIDNIGHT_S)

    async def _by_itself(self, written: Written[Any]) -> None:
        async with self._one:
            await self._finish_old(written)
        if await written(lambda own: own.custody.leapt(self._now_us())):
            raise Refused(
                "clock",
                f"the clock says {day_text(day_of(self._now_us()))}, a month and more after the "
                "last event: see that it is right, then run `sekisho-audit retention --now`",
            )
        await self.run(written)

    async def run(self, written: Written[Any], officers: Sequence[str] = ()) -> dict[str, Any]:
        """End what is over; returns what was done. Raises Refused, Poisoned."""
        async with self._one:
            self._check_room()
            await self._finish_old(written)
            began_s = time.monotonic()
            run: Run | None = await written(
                lambda own: retention_run.begin(own, self._retention, self._now_us(), officers)
            )
            if run is None:
                return {"begun": None, "done": None, **await self._standing(written)}
            done, ended, texts = await self._through(written, run)
        rows = ended.due.rows(self._retention.days, run.over)
        sys.stderr.write(
            f"auditd: retention destroyed {len(ended.due.keys)} keys and took {texts} texts from "
            f"the index in {time.monotonic() - began_s:.1f} s\n"
        )
        return {"begun": run.begun, "done": done, "texts": texts, "classes": rows}

    async def _finish_old(self, written: Written[Any]) -> None:
        """What is on record as begun is finished, whatever clock and ceilings say by now."""
        for run in await written(lambda own: list(retention_run.unfinished(own))):
            await self._through(written, run)

    async def _through(self, written: Written[Any], run: Run) -> tuple[int, Ended, int]:
        ended: Ended = await written(lambda own: retention_run.destroy(own, run))
        self._tell(ended)
        texts = await self._dropped()
        done: int = await written(lambda own: retention_run.finish(own, run, ended, texts=texts))
        # Again: an answer with a key may have been on its way when they were told first.
        self._tell(ended)
        return done, ended, texts

    def _tell(self, ended: Ended) -> None:
        for principal in ended.people:
            self.tell_workers(principal)

    async def _dropped(self) -> int:
        try:
            return await answer_of(self._search, lambda kept: kept.drop_texts(), _DROP_S)
        except (LedgerError, TimeoutError):
            try:
                await asyncio.to_thread(self._index.remove)
            except Away as error:
                raise Refused(
                    "busy",
                    "the keys are destroyed, but the search index whose database is not in reach "
                    "still has their texts; the next run goes on",
                ) from error
            return 0

    def _check_room(self) -> None:
        disk = os.statvfs(self._keys.parent)
        # It is written beside the old one.
        if disk.f_bavail * disk.f_frsize < self._keys.stat().st_size + _ROOM_BYTES:
            raise Refused("disk_full", f"there is no room to write {self._keys} anew")

    async def show(self, written: Written[Any]) -> dict[str, Any]:
        """Ceilings, and what a run would end now. Raises Poisoned."""
        return await self._standing(written)

    async def _standing(self, written: Written[Any]) -> dict[str, Any]:
        now_us = self._now_us()
        over = retention_run.over_at(self._retention, now_us)
        found = await written(lambda own: retention_run.due(own, over))
        rows = found.rows(self._retention.days, over)
        there = found.there
        return {
            "today": day_text(day_of(now_us)),
            "classes": [{**row, "there": there.get(row["class"], 0)} for row in rows],
            "leaves_days": self._retention.leaves_days,
        }
